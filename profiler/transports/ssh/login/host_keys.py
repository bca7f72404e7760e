"""Whether a host is the known one: its key against known_hosts files, which are never written."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import paramiko

from compofa.common.errors import DeviceError, UserError, file_error
from compofa.profiler.transports.ssh.login.ssh_config import Login

SIGNED_BY_RSA = ("rsa-sha2-512", "rsa-sha2-256")
"""What a host that is known by an `ssh-rsa` key signs with today."""


@dataclass(frozen=True)
class KnownKey:
    """One line of a known_hosts file: `key` in base64, `marker` with its @, or empty."""

    path: Path
    line: int
    marker: str
    names: str
    kind: str
    key: str

    def names_host(self, name: str) -> bool:
        """Whether the line is about the host filed under `name`."""
        if self.names.startswith("|1|"):
            return _matches_hash(name, self.names)
        patterns = self.names.split(",")
        if any(p.startswith("!") and _matches(name, p[1:]) for p in patterns):
            return False
        return any(_matches(name, pattern) for pattern in patterns)


class KnownHost:
    """The keys by which one host is known.

    Raises:
        UserError: a known_hosts file is there and cannot be read.
    """

    def __init__(self, login: Login) -> None:
        self._login = login
        lines = [line for path in login.known_hosts for line in _read(path)]
        # A key that was revoked is bad on every host: nobody but its thief uses it now.
        self._revoked = [line for line in lines if line.marker == "@revoked"]
        self._keys = [line for line in lines if not line.marker and line.names_host(login.key_name)]

    def preferred(self, kinds: Sequence[str]) -> tuple[str, ...]:
        """`kinds` of keys, those first by which the host is known: it shows only one of them."""
        known = {known.kind for known in self._keys}
        if "ssh-rsa" in known:
            known.update(SIGNED_BY_RSA)
        return tuple(sorted(kinds, key=lambda kind: kind not in known))

    def check(self, key: paramiko.PKey) -> None:
        """Returns if the host is known by `key`.

        Raises:
            UserError: the host is not known yet.
            DeviceError: it is known by other keys, or this one was revoked.
        """
        shown, text = f"{key.get_name()} {key.fingerprint}", key.get_base64()
        who = f"{self._login.alias} ({self._login.key_name})"
        for line in self._revoked:
            if line.key == text:
                raise DeviceError(
                    f"{who} shows a host key that {line.path}:{line.line} revokes: {shown}"
                )
        if not self._keys:
            raise UserError(
                f"the host key of {who} is not known yet; it shows {shown}",
                hint=f"compare that with `ssh-keygen -lf` of its key on the device itself; if it "
                f"is the same, accept it by logging in once: {self._login.command}",
            )
        if all(line.key != text for line in self._keys):
            known = self._keys[0]
            raise DeviceError(
                f"THE HOST KEY OF {who} HAS CHANGED, somebody may be listening in: it shows "
                f"{shown}, which is not what {known.path}:{known.line} says",
                hint="if the device was set up anew, remove the old key with: "
                f"ssh-keygen -R '{self._login.key_name}'",
            )


def _read(path: Path) -> Iterator[KnownKey]:
    try:
        text = path.read_text(errors="replace")
    except FileNotFoundError:
        return
    except OSError as error:
        raise file_error(error, path, "cannot read known host keys") from None
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.split()
        marker = fields.pop(0) if fields and fields[0].startswith("@") else ""
        if len(fields) >= 3 and not fields[0].startswith("#"):
            names, kind, key = fields[:3]
            yield KnownKey(path, number, marker, names, kind, key)


def _matches(name: str, pattern: str) -> bool:
    """`*` and `?` are patterns here and brackets are not, as in `[host]:2222`."""
    return fnmatchcase(name.lower(), pattern.lower().replace("[", "[[]"))


def _matches_hash(name: str, hashed: str) -> bool:
    """Whether `hashed`, as in `|1|salt|digest` in base64, is `name`."""
    try:
        salt, digest = (base64.b64decode(part) for part in hashed[3:].split("|"))
    except ValueError:
        return False
    return hmac.compare_digest(hmac.digest(salt, name.encode(), "sha1"), digest)
