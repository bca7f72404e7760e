"""Where an SSH device is and how to log in there: devices.yaml first, then OpenSSH's own files."""

from __future__ import annotations

import getpass
import hashlib
import os
import re
import shlex
import socket
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paramiko

from compofa.common.errors import UserError
from compofa.profiler.transports.ssh.library import translated
from compofa.profiler.transports.ssh.login.config_files import (
    CERTIFICATE,
    config_text,
    home,
    words,
)
from compofa.profiler.transports.ssh.ssh_device import check_host_name

SYSTEM_CONFIG = Path("/etc/ssh/ssh_config")
"""For all users of this computer; their own files come first."""

PLAIN_USER = re.compile(r"[\w.:%@+][\w.:%@+-]*")
"""Names of users: they may end up in the command line of a ProxyCommand."""

MATCHED = ("all", "canonical", "final", "host", "originalhost", "user", "localuser", "exec")
"""Criteria of `Match` that paramiko knows; any other it would take as met."""

NOT_DONE = {
    "pkcs11provider": "PKCS11Provider",
    "securitykeyprovider": "SecurityKeyProvider",
}
"""Options that bring keys and are not supported here."""


@dataclass(frozen=True)
class Login:
    """How to get into one host.

    Attributes:
        alias: the host as the person calls it, for messages.
        host: the name or address to connect to.
        key_name: what its key is filed under in known_hosts.
        identities: private key files to offer; None for the usual ones.
        certificates: certificates for them, beside those that lie next to a key.
        identities_only: whether to offer no others.
        agent: the socket of the ssh-agent to ask; None for no agent.
        agent_is_named: whether the configuration names it.
        uses_keys: whether keys may be used for this host at all.
        accepted_algorithms: as PubkeyAcceptedAlgorithms gives them; None for all.
        unsupported: in words, options that bring keys and have no effect here.
        jumps: hosts to go through, as in `user@host:port`, the nearest first.
        proxy_command: a shell command that makes the connection instead.
        known_hosts: files of known host keys; those that do not exist count as empty.
    """

    alias: str
    host: str
    port: int
    user: str
    key_name: str
    identities: tuple[Path, ...] | None = None
    certificates: tuple[Path, ...] = ()
    identities_only: bool = False
    agent: str | None = None
    agent_is_named: bool = False
    uses_keys: bool = True
    accepted_algorithms: str | None = None
    unsupported: tuple[str, ...] = ()
    jumps: tuple[str, ...] = ()
    proxy_command: str | None = None
    known_hosts: tuple[Path, ...] = ()

    @property
    def command(self) -> str:
        """How a person logs in there with OpenSSH, fit to be pasted into a shell."""
        port = "" if self.port == 22 else f"-p {self.port} "
        return f"ssh {port}{shlex.quote(f'{self.user}@{self.alias}')}"


class _Options(paramiko.SSHConfig):
    """paramiko's reader, with what it leaves out."""

    def _allowed_tokens(self, key: str) -> list[str]:
        base: Any = super()
        # It expands few of them and takes every ~ for the home folder; `_expanded` does it whole.
        return [] if key == "identityfile" else list(base._allowed_tokens(key))

    def _does_match(self, match_list: Any, *rest: Any) -> Any:
        unknown = [each["type"] for each in match_list if each["type"] not in MATCHED]
        known = [each for each in match_list if each["type"] in MATCHED]
        base: Any = super()
        if not unknown:
            return base._does_match(match_list, *rest)
        if known and not base._does_match(known, *rest):
            return False
        raise UserError(
            f"`Match {unknown[0]}` is not supported here, and may choose keys for this host",
            hint="`Match` with host, originalhost, user, localuser, exec, final or all works",
        )


class SshConfig:
    """What ~/.ssh/config and then the system's own file say; nothing where there are no such files.

    Raises:
        UserError: they cannot be read, or are not valid.
    """

    def __init__(self) -> None:
        self._path = Path.home() / ".ssh" / "config"
        self._text = config_text((self._path, SYSTEM_CONFIG))
        with self._checked():
            _Options.from_text(self._text)

    def login(self, alias: str, user: str | None = None, port: int | None = None) -> Login:
        """How to get into `alias`; `user` and `port` beat what the files say.

        Raises:
            UserError: a name that a ProxyCommand's shell could take for something else, or a
                setting that makes no sense.
        """
        try:
            check_host_name(alias)
        except ValueError as error:
            raise UserError(f"the host {error}, not {alias!r}") from None
        if user is not None and not PLAIN_USER.fullmatch(user):
            raise UserError(f"{user!r} is not a valid user name")
        options = self._options(alias, user, port)
        port = self._port(alias, options.get("port", "22"))
        host = options["hostname"]
        user = options.get("user") or getpass.getuser()
        tokens = _tokens(alias, host, port, user, options)
        named = [_expanded(text, tokens) for text in options.get("identityfile", ())]
        identities = [each for each in named if not each.startswith(CERTIFICATE)]
        agent = _agent(options.get("identityagent"), tokens)
        files = options.get("userknownhostsfile", "~/.ssh/known_hosts ~/.ssh/known_hosts2")
        files += " " + options.get("globalknownhostsfile", "/etc/ssh/ssh_known_hosts")
        return Login(
            alias=alias,
            host=host,
            port=port,
            user=user,
            key_name=tokens["%k"],
            # As in OpenSSH, "none" among them leaves no file at all.
            identities=tuple(Path(each) for each in identities if each.lower() != "none")
            if identities
            else None,
            certificates=tuple(
                Path(home(each.removeprefix(CERTIFICATE)))
                for each in named
                if each.startswith(CERTIFICATE)
            ),
            identities_only=_is_on(options, "identitiesonly", False),
            agent=agent,
            agent_is_named="identityagent" in options,
            uses_keys=_is_on(options, "pubkeyauthentication", True),
            accepted_algorithms=options.get(
                "pubkeyacceptedalgorithms", options.get("pubkeyacceptedkeytypes")
            ),
            unsupported=tuple(
                f"{name} of the SSH configuration is not supported here"
                for key, name in NOT_DONE.items()
                if options.get(key, "none").lower() not in ("none", "internal")
            ),
            jumps=_jumps(options.get("proxyjump")),
            proxy_command=options.get("proxycommand"),
            known_hosts=tuple(Path(_expanded(each, tokens)) for each in words(files)),
        )

    def hop(self, text: str) -> Login:
        """How to get into a jump host given as `user@host:port` or `ssh://user@host:port`."""
        parts = re.fullmatch(
            r"(?:ssh://)?(?:(?P<user>[^@]+)@)?(?P<host>\[[^]]+\]|[^:]+)(?::(?P<port>\d+))?/?", text
        )
        if parts is None:
            raise UserError(f"ProxyJump {text!r} is not user@host:port", path=self._path)
        port = self._port(text, parts["port"]) if parts["port"] else None
        return self.login(parts["host"].strip("[]"), parts["user"], port)

    def _options(self, alias: str, user: str | None, port: int | None) -> dict[str, Any]:
        """All that the files say of `alias`; `user` and `port` come first, as if given to ssh."""
        first = [f"User {user}"] * (user is not None) + [f"Port {port}"] * (port is not None)
        text = "\n".join([*first, self._text])
        with self._checked():
            return dict(_Options.from_text(text).lookup(alias))

    def _checked(self) -> AbstractContextManager[None]:
        invalid = "not a valid SSH configuration: "
        return translated(lambda why: UserError(invalid + why, path=self._path))

    def _port(self, alias: str, text: str) -> int:
        if re.fullmatch(r"[0-9]{1,5}", text) and 0 < int(text) < 1 << 16:
            return int(text)
        message = f"the port of {alias} is not a number from 1 to 65535"
        raise UserError(message, path=self._path)


def _is_on(options: dict[str, Any], key: str, default: bool) -> bool:
    said = str(options.get(key, "yes" if default else "no")).lower()
    # "unbound" and "host-bound" of PubkeyAuthentication are kinds of yes.
    return said not in ("no", "false")


def _agent(said: str | None, tokens: dict[str, str]) -> str | None:
    """The socket of the ssh-agent, by what IdentityAgent says."""
    if said is None or said == "SSH_AUTH_SOCK":
        return os.environ.get("SSH_AUTH_SOCK") or None
    if said.lower() == "none":
        return None
    if re.fullmatch(r"\$\w+", said):
        return os.environ.get(said[1:]) or None
    return _expanded(said, tokens)


def _tokens(alias: str, host: str, port: int, user: str, options: dict[str, Any]) -> dict[str, str]:
    """What the tokens of OpenSSH (ssh_config(5), TOKENS) stand for."""
    full_name = socket.gethostname()
    jump = options.get("proxyjump") or ""
    hashed = full_name + host + str(port) + user + jump
    return {
        "%%": "%",
        "%C": hashlib.sha1(hashed.encode(), usedforsecurity=False).hexdigest(),
        "%d": str(Path.home()),
        "%h": host,
        "%i": str(os.getuid()),
        "%j": jump,
        "%k": options.get("hostkeyalias") or (f"[{host}]:{port}" if port != 22 else host),
        "%L": full_name.partition(".")[0],
        "%l": full_name,
        "%n": alias,
        "%p": str(port),
        "%r": user,
        "%u": getpass.getuser(),
    }


def _expanded(text: str, tokens: dict[str, str]) -> str:
    """A path with its tokens, variables and home folder written out, as OpenSSH does."""

    def replaced(found: re.Match[str]) -> str:
        if found[1]:
            return os.environ.get(found[1], "")
        return tokens.get(found[0], found[0])

    return home(re.sub(r"\$\{(\w+)\}|%.", replaced, text))


def _jumps(text: str | None) -> tuple[str, ...]:
    if text is None or text.lower() == "none":
        return ()
    return tuple(hop.strip() for hop in text.split(","))
