"""The keys to offer an SSH host, in the order in which OpenSSH offers them."""

from __future__ import annotations

import base64
import binascii
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import paramiko
from paramiko.agent import AgentKey, AgentSSH

from compofa.common.closing import Closing
from compofa.common.errors import DeviceError
from compofa.profiler.transports.ssh.library import translated
from compofa.profiler.transports.ssh.login.ssh_config import Login

USUAL_IDENTITIES = (
    "id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk", "id_xmss", "id_dsa",
)  # fmt: skip
"""As in OpenSSH, where the configuration names none."""

AGENT_S = 60.0
"""For one answer of an ssh-agent, which may ask its owner to confirm."""

LARGEST_KEY = 1_000_000
"""Bytes of a key file."""

SECURITY_KEYS = ("sk-ssh-", "sk-ecdsa-")
"""Kinds of keys that live in a device of their own."""


class KeyAgent(AgentSSH, Closing):
    """The ssh-agent that listens at a socket, with a time limit, which paramiko's own has not.

    Raises:
        Exception: it does not answer; for `translated`.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(AGENT_S)
            connection.connect(path)
            base: Any = self
            base._connect(connection)
        except BaseException:
            connection.close()
            raise

    def close(self) -> None:
        """See `Closing.close`."""
        base: Any = self
        base._close()


class Identities(Closing):
    """The keys for one login.

    Attributes:
        problems: in words, the keys that could not be used, and why.
    """

    def __init__(self, login: Login) -> None:
        self._login = login
        self.problems: list[str] = []
        self._opened = ExitStack()
        self._held: dict[bytes, AgentKey] = {}
        if login.agent is not None:
            try:
                with translated(DeviceError):
                    agent = self._opened.enter_context(KeyAgent(login.agent))
                    self._held = {bytes(key.blob): key for key in agent.get_keys()}
            except DeviceError as error:
                if login.agent_is_named:
                    self.problems.append(f"no ssh-agent at {login.agent}: {error.message}")

    def __iter__(self) -> Iterator[paramiko.PKey]:
        """Certificates first, then what the agent holds, then files; a key is offered once."""
        login = self._login
        files = login.identities
        if files is None:
            files = tuple(Path.home() / ".ssh" / name for name in USUAL_IDENTITIES)
        named = {path: self._public(path) for path in files}
        yield from self._certified(named)
        for public in named.values():
            if public is not None and public in self._held:
                yield self._held[public]
        if not login.identities_only:
            yield from (key for blob, key in self._held.items() if blob not in named.values())
        for path, public in named.items():
            if public not in self._held and (key := self._private(path)) is not None:
                yield key

    def close(self) -> None:
        """See `Closing.close`."""
        self._opened.close()

    def _certified(self, named: dict[Path, bytes | None]) -> Iterator[paramiko.PKey]:
        """Keys together with the certificates that say whose they are."""
        beside = (path.with_name(path.name + "-cert.pub") for path in named)
        for path in dict.fromkeys((*self._login.certificates, *beside)):
            certificate = _public_line(path)
            if certificate is None:
                if path in self._login.certificates:
                    self.problems.append(f"{path} is not a certificate")
                continue
            for blob, key in self._held.items():
                if _certifies(certificate, blob):
                    yield _with_certificate(AgentKey(key.agent, blob), path)
                    break
            else:
                for file, public in named.items():
                    if public is not None and _certifies(certificate, public):
                        private = self._private(file)
                        if private is not None:
                            yield _with_certificate(private, path)
                            break

    def _public(self, path: Path) -> bytes | None:
        """The public half of the key in `path`; None where it cannot be told."""
        beside = _public_line(path.with_name(path.name + ".pub"))
        # The file that is named may itself be a public key whose other half an agent holds.
        return beside or _public_line(path) or _public_of_private(path)

    def _private(self, path: Path) -> paramiko.PKey | None:
        """The key in `path`, without its certificate; None where it cannot be used."""
        if not _is_small_file(path) or _public_line(path) is not None:
            return None
        public = _public_of_private(path)
        if public is not None and _kind(public).startswith(SECURITY_KEYS):
            self.problems.append(f"{path} is a security key: add it to an ssh-agent with ssh-add")
            return None
        kept = (TypeError, paramiko.PasswordRequiredException, PermissionError)
        try:
            with translated(DeviceError, keep=kept):
                key = paramiko.PKey.from_path(path)
                key.public_blob = None
                return key
        except (TypeError, paramiko.PasswordRequiredException):
            self.problems.append(f"{path} has a passphrase: add it to an ssh-agent with ssh-add")
        except PermissionError:
            self.problems.append(f"{path} cannot be read")
        except DeviceError:
            self.problems.append(f"{path} is not a key that can be used here")
        return None


def _with_certificate(key: paramiko.PKey, path: Path) -> paramiko.PKey:
    key.load_certificate(str(path))
    return key


def _certifies(certificate: bytes, public: bytes) -> bool:
    """Whether a certificate is about a public key.

    It holds its own kind, a random number, and then all fields of the key but the key's kind.
    """
    try:
        whole, plain = paramiko.Message(certificate), paramiko.Message(public)
        kind, fields = plain.get_text(), plain.get_remainder()
        if not whole.get_text().startswith(f"{kind}-cert-"):
            return False
        whole.get_string()
        return bool(whole.get_remainder().startswith(fields))
    except (UnicodeDecodeError, ValueError):
        return False


def _public_line(path: Path) -> bytes | None:
    """The key in a file such as id_ed25519.pub; None where there is none."""
    words = _content(path).split(maxsplit=2)
    if len(words) < 2 or not words[0].startswith((b"ssh-", b"ecdsa-", b"sk-")):
        return None
    try:
        return base64.b64decode(words[1], validate=True)
    except (ValueError, binascii.Error):
        return None


def _public_of_private(path: Path) -> bytes | None:
    """The public half that OpenSSH's own format keeps in the open, also in a locked file."""
    lines = _content(path).strip().splitlines()
    if len(lines) < 3 or b"BEGIN OPENSSH PRIVATE KEY" not in lines[0]:
        return None
    try:
        raw = base64.b64decode(b"".join(lines[1:-1]))
    except (ValueError, binascii.Error):
        return None
    magic = b"openssh-key-v1\0"
    if not raw.startswith(magic):
        return None
    message = paramiko.Message(raw[len(magic) :])
    for _ in range(3):  # cipher, key derivation and its parameters
        message.get_string()
    return message.get_string() if message.get_int() == 1 else None


def _kind(public: bytes) -> str:
    return str(paramiko.Message(public).get_binary().decode(errors="replace"))


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes() if _is_small_file(path) else b""
    except OSError:
        return b""


def _is_small_file(path: Path) -> bool:
    """Whether it is a file that is read at once, and not, say, a pipe that nobody writes to."""
    try:
        return path.is_file() and path.stat().st_size <= LARGEST_KEY
    except (OSError, ValueError):
        return False
