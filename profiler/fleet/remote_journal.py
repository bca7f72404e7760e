"""A journal that is written on another host and comes back line by line."""

from __future__ import annotations

import os
from pathlib import Path

from compofa.common.closing import Closing
from compofa.common.errors import file_error
from compofa.profiler.results.journal import lock_journal


class JournalCopy(Closing):
    """The caller's end: a journal, locked as a profile on this computer would lock it.

    Args:
        path: of the journal, which is continued if it exists.
        fresh: discards it first.

    Raises:
        UserError: it cannot be written, or another process is writing it.
    """

    def __init__(self, path: Path, *, fresh: bool = False) -> None:
        self._path = path
        try:
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            raise file_error(error, path, "cannot write the journal") from None
        try:
            lock_journal(self._file, path)
        except BaseException:
            self._file.close()
            raise
        if fresh:
            self._file.truncate(0)

    @property
    def content(self) -> bytes:
        """All its complete lines; one that a crash left incomplete is cut off the file."""
        content = self._path.read_bytes()
        intact = content.rfind(b"\n") + 1
        self._file.truncate(intact)
        return content[:intact]

    def append(self, lines: bytes) -> None:
        """Writes whole lines and waits until they are on the disk.

        Raises:
            UserError: they cannot be written, as on a full disk.
        """
        try:
            rest = memoryview(lines)
            while rest:
                rest = rest[self._file.write(rest) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            raise file_error(error, self._path, "cannot write the journal") from None

    def close(self) -> None:
        """See `Closing.close`."""
        self._file.close()


class JournalTail:
    """The measuring host's end: the new lines of a journal.

    Args:
        path: of the journal; what it holds now is not new.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._seen = path, path.stat().st_size

    def gained(self) -> bytes:
        """The complete lines that were written since the last call."""
        with self._path.open("rb") as file:
            file.seek(self._seen)
            lines = file.read()
        lines = lines[: lines.rfind(b"\n") + 1]
        self._seen += len(lines)
        return lines
