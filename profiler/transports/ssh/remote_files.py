"""The agent's folder on an SSH host: files named by the hash of their content, put there once.

They go through channels like those of programs. So a host needs no SFTP, which some do not have,
and whose server is confused by a login shell that prints something.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from compofa.common.console import detail
from compofa.common.errors import DeviceError, file_error
from compofa.profiler.transports.base import AgentLost
from compofa.profiler.transports.ssh.connection import Connection
from compofa.profiler.transports.ssh.remote_process import ProgramEnd, SshProcess, run
from compofa.profiler.transports.upload_progress import parts_to_send

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

HASH = (
    '{{ sha256sum "{0}" || shasum -a 256 "{0}" || openssl dgst -sha256 -r "{0}" || '
    "echo compofa-no-hash; }} 2>/dev/null"
)
"""Linux has the first, macOS the second, and some others the third."""

LOOK = (
    'if [ -f "$1" ]; then touch "$1"; if [ "$2" = known ]; then echo known; else '
    f'{HASH.format("$1")}; fi; fi; if [ -f "$1.part" ]; then wc -c <"$1.part"; else echo 0; fi'
)
"""Marks a file as used, and prints its hash where that is not known yet; then the size of its part.
One script does all this, since a slow board takes long to start one."""

APPEND = (
    f'cat >>"$1.part" && sum=$({HASH.format("$1.part")}) && case $sum in '
    '"$3"\\ *|"\\\\$3"\\ *) chmod "$2" "$1.part" && mv -f "$1.part" "$1" && echo kept ;; '
    '*) echo "$sum" ;; esac'
)
"""Appends what it is sent to a part; once the part has the right hash, it becomes the file.

The hash stands first, behind a backslash if the file's name holds one. That name holds the hash
too, so it must not be searched for it."""

OURS = re.compile(r"[0-9a-f]{64}(\.part)?")


class RemoteFiles:
    """A folder on an SSH host; when it is full, what was used longest ago goes.

    Args:
        connection: the way to the host.
        folder: absolute, there already, and private to the user.

    Raises:
        LinkLost: the connection broke.
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

        What an earlier attempt has left is completed. The hash of a file that is there already is
        checked on the host, once per connection.

        Raises:
            LinkLost: the connection broke; what has arrived stays.
            UserError: `file` cannot be read.
            DeviceError: the host's disk is full, or the file arrived damaged.
        """
        with _readable(file):
            size = file.stat().st_size
        there, part_size = self._look(sha256)
        if there:
            detail(f"{self._alias}: {sha256[:12]} is there already")
            self._used(sha256, size)
            return
        detail(f"{self._alias}: copying {sha256[:12]}, {size} bytes, {part_size} of them are there")
        self._make_room(size)
        # A damaged part, or one that two profilers wrote at once, gets the wrong hash: once more.
        for start in (part_size, 0):
            if self._append(file, sha256, mode, start):
                self._right.add(sha256)
                self._used(sha256, size)
                return
            self._remove(f"{sha256}.part")
        raise DeviceError(f"files that are copied to {self._alias} arrive damaged")

    def exists(self, name: str) -> bool:
        """Whether the folder holds a file called `name`."""
        return run(self._connection, '[ -f "$1" ]', self.path(name)).code == 0

    def _look(self, sha256: str) -> tuple[bool, int]:
        """Whether the host has the right file of that name, and how many bytes of its part."""
        known = "known" if sha256 in self._right else "unknown"
        looked = run(self._connection, LOOK, self.path(sha256), known, deadline_s=HASH_S)
        *said, size = self._done("look for a file", looked).output.split("\n") or [""]
        right = bool(said) and (said[0] == "known" or self._hash(said[0]) == sha256)
        if right:
            self._right.add(sha256)
        return right, int(size) if re.fullmatch(r"[0-9]{1,18}", size.strip()) else 0

    def _append(self, file: Path, sha256: str, mode: int, start: int) -> bool:
        """Adds to its part what that lacks of `file`; whether that has made it the right file."""
        words = self.path(sha256), f"{mode:o}", sha256
        with SshProcess(self._connection, APPEND, *words) as process:
            # What has arrived is kept: after a Ctrl-C nobody needs to wait for more.
            process.closing_s = 1.0
            with _readable(file), file.open("rb") as source:
                source.seek(start)
                try:
                    for chunk in parts_to_send(source, CHUNK, f"{file.name} to {self._alias}"):
                        process.send(chunk)
                    process.end_input()
                except AgentLost:
                    pass  # it ended before it had read all, and says why
            ended = process.finish(HASH_S)
        if ended.code:
            self._remove(f"{sha256}.part")
            raise DeviceError(
                f"cannot copy {file.stat().st_size:,} bytes to {self._alias}: "
                f"{ended.last_words}; {self._free()} is free in {self._folder}"
            )
        if ended.output == "kept":
            return True
        self._hash(ended.output)  # raises where there is none
        return False

    def _hash(self, printed: str) -> str:
        """The hash that `HASH` printed; empty where the file could not be read."""
        if "compofa-no-hash" in printed:
            raise DeviceError(
                f"{self._alias} cannot check the files that are copied to it",
                hint="it needs sha256sum, shasum or openssl",
            )
        # A name with backslashes makes sha256sum put one before the hash.
        digest = re.match(r"\\?([0-9a-f]{64})\b", printed)
        return digest[1] if digest else ""

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
