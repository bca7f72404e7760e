"""Where an SSH device is and how to log in there: devices.yaml first, then ~/.ssh/config."""

from __future__ import annotations

import getpass
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paramiko

from compofa.common.errors import UserError, file_error

DEEPEST_INCLUDE = 16
"""As in OpenSSH; deeper means that files include each other."""


PLAIN = re.compile(r"[\w.:%@+][\w.:%@+-]*")
"""Names of hosts and users: they may end up in the command line of a ProxyCommand."""


@dataclass(frozen=True)
class Login:
    """How to get into one host.

    Attributes:
        alias: the host as the person calls it, for messages.
        host: the name or address to connect to.
        key_name: what its key is filed under in known_hosts.
        identities: private key files to offer, before any others.
        identities_only: whether to offer no others.
        jumps: hosts to go through, as in `user@host:port`, the nearest first.
        proxy_command: a shell command that makes the connection instead.
        known_hosts: files of known host keys; those that do not exist count as empty.
    """

    alias: str
    host: str
    port: int
    user: str
    key_name: str
    identities: tuple[Path, ...] = ()
    identities_only: bool = False
    jumps: tuple[str, ...] = ()
    proxy_command: str | None = None
    known_hosts: tuple[Path, ...] = ()

    @property
    def command(self) -> str:
        """How a person logs in there with OpenSSH, fit to be pasted into a shell."""
        port = "" if self.port == 22 else f"-p {self.port} "
        return f"ssh {port}{shlex.quote(f'{self.user}@{self.alias}')}"


class SshConfig:
    """What ~/.ssh/config says; nothing where there is no such file.

    Raises:
        UserError: it cannot be read, or is not valid.
    """

    def __init__(self) -> None:
        self._path = Path.home() / ".ssh" / "config"
        text = _with_includes(self._path, 0) if self._path.exists() else ""
        try:
            self._config = paramiko.SSHConfig.from_text(text)
        except paramiko.ConfigParseError as error:
            raise UserError(f"not a valid SSH configuration: {error}", path=self._path) from None

    def login(self, alias: str, user: str | None = None, port: int | None = None) -> Login:
        """How to get into `alias`; `user` and `port` beat what the file says.

        Raises:
            UserError: a name that a ProxyCommand's shell could take for something else.
        """
        for name, what in ((alias, "host"), (user, "user")):
            if name is not None and not PLAIN.fullmatch(name):
                raise UserError(f"{name!r} is no name of a {what}")
        found: dict[str, Any] = dict(self._config.lookup(alias))
        try:
            port = port or int(found.get("port", 22))
        except ValueError:
            message = f"the port of {alias} is not a number"
            raise UserError(message, path=self._path) from None
        host = found["hostname"]
        named = f"[{host}]:{port}" if port != 22 else host
        files = found.get("userknownhostsfile", "~/.ssh/known_hosts ~/.ssh/known_hosts2")
        files += " " + found.get("globalknownhostsfile", "/etc/ssh/ssh_known_hosts")
        return Login(
            alias=alias,
            host=host,
            port=port,
            user=user or found.get("user") or getpass.getuser(),
            key_name=found.get("hostkeyalias", named),
            identities=tuple(map(_path, found.get("identityfile", ()))),
            identities_only=found.get("identitiesonly", "no") == "yes",
            jumps=_jumps(found.get("proxyjump")),
            proxy_command=found.get("proxycommand"),
            known_hosts=tuple(map(_path, shlex.split(files))),
        )

    def hop(self, text: str) -> Login:
        """How to get into a jump host given as `user@host:port` or `ssh://user@host:port`."""
        parts = re.fullmatch(
            r"(?:ssh://)?(?:(?P<user>[^@]+)@)?(?P<host>\[[^]]+\]|[^:]+)(?::(?P<port>\d+))?/?", text
        )
        if parts is None:
            raise UserError(f"ProxyJump {text!r} is not user@host:port", path=self._path)
        port = int(parts["port"]) if parts["port"] else None
        return self.login(parts["host"].strip("[]"), parts["user"], port)


def _jumps(text: str | None) -> tuple[str, ...]:
    if text is None or text.lower() == "none":
        return ()
    return tuple(hop.strip() for hop in text.split(","))


def _path(text: str) -> Path:
    return Path(text).expanduser()


def _with_includes(path: Path, depth: int) -> str:
    """The text of a configuration file with the files it includes in their places.

    paramiko does not know `Include`. After an included file the `Host` or `Match` that stood before
    it counts again, as in OpenSSH.
    """
    if depth > DEEPEST_INCLUDE:
        raise UserError("files include each other without end", path=path)
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise file_error(error, path, "cannot read the SSH configuration") from None
    except UnicodeDecodeError:
        raise UserError("not UTF-8 text", path=path) from None
    found, section = [], "Host *"
    for line in lines:
        keyword, _, rest = line.strip().replace("=", " ", 1).partition(" ")
        if keyword.lower() in ("host", "match"):
            section = line
        if keyword.lower() != "include":
            found.append(line)
            continue
        for pattern in shlex.split(rest):
            relative = str(Path(pattern).expanduser())
            for included in sorted(_matching(relative)):
                found += [_with_includes(included, depth + 1), section]
    return "\n".join(found)


def _matching(pattern: str) -> list[Path]:
    """Files that a pattern of `Include` names; relative ones are in ~/.ssh."""
    whole = Path.home() / ".ssh" / pattern
    return list(Path(whole.anchor).glob(str(whole.relative_to(whole.anchor))))
