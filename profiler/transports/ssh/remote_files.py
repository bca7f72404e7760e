"""The agent's folder on an SSH host: files named by the hash of their content, put there once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import paramiko

from compofa.common.closing import Closing
from compofa.common.console import printable
from compofa.common.errors import DeviceError
from compofa.profiler.transports.ssh.connection import Connection
from compofa.profiler.transports.ssh.remote_process import run

CAPACITY = 2_000_000_000
"""Bytes that are kept on the device for the next profile."""

ANSWER_S = 120.0
"""For one request of SFTP, behind all that is under way on a slow line."""

HASH_S = 600.0
"""For a slow card to be read."""

CHUNK = 1 << 15
"""Bytes per write: what every SFTP server takes."""

HASH = '{ sha256sum "$1" || shasum -a 256 "$1"; } 2>/dev/null'
"""Linux has the first, macOS the second."""

OURS = re.compile(r"[0-9a-f]{64}(\.part)?")


class RemoteFiles(Closing):
    """A folder on an SSH host; when it is full, what was used longest ago goes.

    Args:
        connection: the way to the host.
        folder: absolute, there already, and private to the user.

    Raises:
        LinkLost: the line broke.
        DeviceError: the host has no SFTP.
    """

    def __init__(self, connection: Connection, folder: str) -> None:
        self._connection, self._folder = connection, folder
        self._right: set[str] = set()
        with self._explained("start SFTP"):
            channel = connection.open_session()
            channel.settimeout(ANSWER_S)
            channel.invoke_subsystem("sftp")
            self._sftp = paramiko.SFTPClient(channel)
            found = [(f.st_mtime or 0, f.filename, f.st_size or 0) for f in self._listed()]
        self._sizes = {name: size for _, name, size in sorted(found)}

    def path(self, name: str) -> str:
        """Where the file `name` is on the host."""
        return f"{self._folder}/{name}"

    def put(self, file: Path, sha256: str, mode: int = 0o600) -> None:
        """Copies `file` there under the name `sha256`, unless it is there.

        What an earlier attempt left is gone on with. A file that is there has its hash checked on
        the host, once per connection.

        Raises:
            LinkLost: the line broke; what has arrived stays.
            DeviceError: the host's disk is full, or the file arrived damaged.
        """
        size, part = file.stat().st_size, f"{sha256}.part"
        if self._touch(sha256) and (sha256 in self._right or self._is_right(sha256, sha256)):
            self._used(sha256, size)
            return
        self._make_room(size)
        # A part of another origin, or one that two wrote at once, is found out and begun anew.
        for _ in range(2):
            self._append(file, part)
            if self._is_right(part, sha256):
                with self._explained("keep a file"):
                    self._sftp.chmod(self.path(part), mode)
                    self._sftp.posix_rename(self.path(part), self.path(sha256))
                self._used(sha256, size)
                return
            self._remove(part)
        raise DeviceError(f"{self._alias} damages the files that are copied to it")

    def exists(self, name: str) -> bool:
        """Whether the folder holds a file called `name`."""
        with self._explained("look for a file"):
            return self._size(name) is not None

    def close(self) -> None:
        """See `Closing.close`."""
        self._sftp.close()

    def _listed(self) -> list[paramiko.SFTPAttributes]:
        found = self._sftp.listdir_attr(self._folder)
        return [entry for entry in found if OURS.fullmatch(entry.filename)]

    def _touch(self, name: str) -> bool:
        """Marks a file as used now; False where there is none, whoever deleted it."""
        with self._explained("touch a file"), suppress(FileNotFoundError):
            self._sftp.utime(self.path(name), None)
            return True
        return False

    def _size(self, name: str) -> int | None:
        """Bytes of a file; None where there is none."""
        with suppress(FileNotFoundError):
            return self._sftp.stat(self.path(name)).st_size or 0
        return None

    def _append(self, file: Path, part: str) -> None:
        """Adds to `part` what it lacks of `file`."""
        try:
            # Not "ab": paramiko then asks for the size, and swallows a Ctrl-C while it waits.
            size = self._size(part)
            mode = "wb" if size is None else "r+b"
            with file.open("rb") as source, self._sftp.open(self.path(part), mode) as target:
                self._copy(source, target, size or 0)
        except (OSError, EOFError, paramiko.SSHException) as error:
            if self._connection.broke():
                raise self._connection.lost from None
            self._remove(part)
            raise DeviceError(
                f"cannot copy {file.stat().st_size:,} bytes to {self._alias}: {_reason(error)}; "
                f"{self._free()} is free in {self._folder}"
            ) from None

    def _copy(self, source: IO[bytes], target: paramiko.SFTPFile, start: int) -> None:
        """Writes what `target` lacks, from `start` on."""
        try:
            target.set_pipelined(True)
            source.seek(start)
            target.seek(start)
            while chunk := source.read(CHUNK):
                target.write(chunk)
            # paramiko drops what the host says to the last writes.
            if (target.stat().st_size or 0) < source.tell():
                raise OSError("it takes no more")
        except KeyboardInterrupt:
            # A request is half sent or an answer half read: `target` would wait for others in vain.
            target.set_pipelined(False)
            self._sftp.close()
            raise

    def _is_right(self, name: str, sha256: str) -> bool:
        """Whether the file's content on the host has that hash."""
        found = run(self._connection, HASH, self.path(name), deadline_s=HASH_S)
        # A name with backslashes makes sha256sum put one before the hash.
        right = found.output.lstrip("\\").startswith(sha256)
        if right:
            self._right.add(sha256)
        return right

    def _free(self) -> str:
        """The room on the folder's disk in words; SFTP itself does not say what went wrong."""
        lines = run(self._connection, 'df -P -k "$1"', self._folder).output.splitlines()
        fields = lines[-1].split() if lines else []
        if len(fields) < 4 or not fields[3].isdigit():
            return "an unknown amount"
        return f"{int(fields[3]) / 1024:,.1f} MB"

    def _used(self, name: str, size: int) -> None:
        self._sizes.pop(name, None)
        self._sizes[name] = size

    def _make_room(self, size: int) -> None:
        while self._sizes and sum(self._sizes.values()) + size > CAPACITY:
            self._remove(next(iter(self._sizes)))

    def _remove(self, name: str) -> None:
        self._sizes.pop(name, None)
        self._right.discard(name)
        with self._explained("delete a file"), suppress(FileNotFoundError):
            self._sftp.remove(self.path(name))

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        """Turns what SFTP raises into errors of ours."""
        try:
            yield
        except (OSError, EOFError, paramiko.SSHException) as error:
            if self._connection.broke():
                raise self._connection.lost from None
            raise DeviceError(f"cannot {doing} on {self._alias}: {_reason(error)}") from None

    @property
    def _alias(self) -> str:
        return self._connection.login.alias


def _reason(error: Exception) -> str:
    return printable(str(error) or type(error).__name__)
