"""A host reached over SSH, as devices.yaml has it."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Annotated, Literal

from pydantic import AfterValidator

from compofa.profiler.transports.device import Device, Port, Text

PLAIN_HOST = re.compile(r"[\w.+][\w.+-]*")
"""Names of hosts: they may end up in the command line of a ProxyCommand."""

WHOLE_ADDRESS = re.compile(
    r"(?:ssh://)?(?:(?P<user>[^@/]+)@)?(?P<host>\[[^]]+\]|[^:@/]+)(?::(?P<port>[0-9]*))?/?"
)
"""As people write it for ssh and scp: user@host:port."""


def check_host_name(name: str) -> str:
    """Returns `name` if it is the name or address of a host, and nothing more.

    Raises:
        ValueError: it is not; says where its parts belong if it is user@host:port.
    """
    if _is_host(name):
        return name
    parts = WHOLE_ADDRESS.fullmatch(name)
    if parts is None or not _is_host(parts["host"].strip("[]")):
        raise ValueError("must be the name or address of a host")
    settings = {"host": parts["host"].strip("[]"), "user": parts["user"], "port": parts["port"]}
    wanted = ", ".join(f"{key}: {value}" for key, value in settings.items() if value)
    raise ValueError(f"must be its name or address alone (write {wanted})")


def _is_host(text: str) -> bool:
    if PLAIN_HOST.fullmatch(text):
        return True
    try:
        ip_address(text)
    except ValueError:
        return False
    # What may follow the % of an address goes into the command line of a ProxyCommand, too.
    return re.fullmatch(r"[\w.:%-]+", text) is not None


class SshDevice(Device):
    """A host reached over SSH; what is left out comes from ~/.ssh/config.

    Attributes:
        python: runs the agent; left out, the environment that `check --provision` made there, or
            else python3.
        folder: on the host, for agents and models; it is made private to the user.
    """

    transport: Literal["ssh"] = "ssh"
    host: Annotated[Text, AfterValidator(check_host_name)]
    user: Text | None = None
    port: Port | None = None
    python: Text | None = None
    folder: Text = "~/.cache/compofa"

    @property
    def address(self) -> str:
        """See `Device.address`."""
        user = f"{self.user}@" if self.user else ""
        return f"{user}{self.host}" + (f":{self.port}" if self.port else "")

    @property
    def resource(self) -> str:
        """See `Device.resource`; the user is left out, since all of them share the host."""
        return f"ssh {self.host}:{self.port or ''}"

    def install_hint(self, package: str) -> str:
        """See `Device.install_hint`."""
        if self.python is not None:
            return super().install_hint(package)
        return f"`compofa-profile check --device {self.name} --provision` installs it there"
