"""The agent's folder on an SSH host: files named by the hash of their content, put there once.

They go through channels like those of programs. So a host needs no SFTP, which some do not have,
and whose server is confused by a login shell that prints something.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from compofa.common.errors import DeviceError, file_error
from compofa.profiler.transports.base import AgentLost
from compofa.profiler.transports.ssh.connection import Connection
from compofa.profiler.transports.ssh.remote_process import ProgramEnd, SshProcess, run

CAPACITY = 2_000_000_000
"""Bytes that are kept on the device for the next profile."""

HASH_S = 600.0
"""For a slow card to be read, or to write what it was sent."""

CHUNK = 1 << 15
"""Bytes per write."""

LONGEST_LIST = 1 << 24
"""Bytes that the names of all files in the folder may take."""

LIST = 'cd "$1" && LC_ALL=C ls -ltrn'
"""Oldest first; POSIX says what stands where in a line."""

HASHED = (
    '{ sha256sum "$1" || shasum -a 256 "$1" || openssl dgst -sha256 -r "$1" || '
    "echo compofa-no-hash; } 2>/dev/null"
)
"""Linux has the first, macOS the second, and some others the third."""

LOOK = f'if [ -f "$1" ]; then touch "$1"; [ "$2" = known ] && echo "$2" || {HASHED}; fi'
"""Marks a file as used, and prints its hash where that is not known yet."""

SIZE = '[ -f "$1" ] && wc -c <"$1" || echo none'

APPEND = f'cat >>"$1" && {HASHED}'

KEEP = 'chmod "$2" "$1.part" && mv -f "$1.part" "$1"'

OURS = re.compile(r"[0-9a-f]{64}(\.part)?")


class RemoteFiles:
    """A folder on an SSH host; when it is full, what was used longest ago goes.

    Args:
        connection: the way to the host.
        folder: absolute, there already, and private to the user.

    Raises:
        LinkLost: the line broke.
        DeviceError: the folder cannot be read.
    """

    def __init__(self, connection: Connection, folder: str) -> None:
        self._connection, self._folder = connection, folder
        self._right: set[str] = set()
        self._sizes: dict[str, int] = {}
        with SshProcess(connection, LIST, folder) as process:
            listed = self._done("list its files", process.finish(HASH_S, LONGEST_LIST))
        for line in listed.output.splitlines():
            fields = line.split()
            if len(fields) >= 9 and fields[4].isdecimal() and OURS.fullmatch(fields[-1]):
                self._sizes[fields[-1]] = int(fields[4][:18])

    def path(self, name: str) -> str:
        """Where the file `name` is on the host."""
        return f"{self._folder}/{name}"

    def put(self, file: Path, sha256: str, mode: int = 0o600) -> None:
        """Copies `file` there under the name `sha256`, unless it is there.

        What an earlier attempt left is gone on with. A file that is there has its hash checked on
        the host, once per connection.

        Raises:
            LinkLost: the line broke; what has arrived stays.
            UserError: `file` cannot be read.
            DeviceError: the host's disk is full, or the file arrived damaged.
        """
        with _readable(file):
            size = file.stat().st_size
        if self._is_there(sha256):
            self._used(sha256, size)
            return
        part = f"{sha256}.part"
        self._make_room(size)
        # A part of another origin, or one that two wrote at once, is found out and begun anew.
        for _ in range(2):
            if self._append(file, part) == sha256:
                kept = run(self._connection, KEEP, self.path(sha256), f"{mode:o}")
                self._done("keep a file", kept)
                self._right.add(sha256)
                self._used(sha256, size)
                return
            self._remove(part)
        raise DeviceError(f"{self._alias} damages the files that are copied to it")

    def exists(self, name: str) -> bool:
        """Whether the folder holds a file called `name`."""
        return run(self._connection, '[ -f "$1" ]', self.path(name)).code == 0

    def _is_there(self, sha256: str) -> bool:
        """Whether the host has the right file of that name; it is marked as used now."""
        known = "known" if sha256 in self._right else "unknown"
        found = run(self._connection, LOOK, self.path(sha256), known, deadline_s=HASH_S)
        self._done("look for a file", found)
        if not found.output:
            return False
        right = found.output == "known" or self._hash(found.output) == sha256
        if right:
            self._right.add(sha256)
        return right

    def _append(self, file: Path, part: str) -> str:
        """Adds to `part` what it lacks of `file`; returns the hash of all it holds then."""
        said = self._done("look for a file", run(self._connection, SIZE, self.path(part)))
        there = int(said.output) if re.fullmatch(r"[0-9]{1,18}", said.output) else 0
        with SshProcess(self._connection, APPEND, self.path(part)) as process:
            # What has arrived is kept: after a Ctrl-C nobody needs to wait for more.
            process.closing_s = 1.0
            with _readable(file), file.open("rb") as source:
                source.seek(there)
                try:
                    while chunk := source.read(CHUNK):
                        process.send(chunk)
                    process.end_input()
                except AgentLost:
                    pass  # it ended before it had read all, and says why
            ended = process.finish(HASH_S)
        if ended.code:
            self._remove(part)
            raise DeviceError(
                f"cannot copy {file.stat().st_size:,} bytes to {self._alias}: "
                f"{ended.last_words}; {self._free()} is free in {self._folder}"
            )
        return self._hash(ended.output)

    def _hash(self, printed: str) -> str:
        """The hash that `HASHED` printed; empty where the file could not be read."""
        if "compofa-no-hash" in printed:
            raise DeviceError(
                f"{self._alias} cannot check the files that are copied there",
                hint="it needs sha256sum, shasum or openssl",
            )
        # A name with backslashes makes sha256sum put one before the hash.
        found = re.match(r"\\?([0-9a-f]{64})\b", printed)
        return found[1] if found else ""

    def _free(self) -> str:
        """The room on the folder's disk, in words."""
        lines = run(self._connection, 'df -P -k "$1"', self._folder).output.splitlines()
        fields = lines[-1].split() if lines else []
        if len(fields) < 4 or not re.fullmatch(r"[0-9]{1,18}", fields[3]):
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
        self._done("delete a file", run(self._connection, 'rm -f "$1"', self.path(name)))

    def _done(self, doing: str, ended: ProgramEnd) -> ProgramEnd:
        """Returns `ended` if that went well."""
        if ended.code:
            raise DeviceError(f"cannot {doing} on {self._alias}: {ended.last_words}")
        return ended

    @property
    def _alias(self) -> str:
        return self._connection.login.alias


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise file_error(error, file, "cannot read the file to be copied") from None
