"""A host reached over SSH, as devices.yaml has it."""

from __future__ import annotations

from typing import Literal

from compofa.profiler.transports.device import Device, Port, Text


class SshDevice(Device):
    """A host reached over SSH; what is left out comes from ~/.ssh/config.

    Attributes:
        python: runs the agent; left out, the environment that `check --provision` made there, or
            else python3.
        folder: on the host, for agents and models; it is made private to the user.
    """

    transport: Literal["ssh"] = "ssh"
    host: Text
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
