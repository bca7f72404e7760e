"""The journal: every raw run, one line per session and cell, on disk before the next starts.

A journal begins with a header that says which set-up it belongs to. Every other line is a plan, the
start of a session, the timed runs of a cell (the reference model among them), a cell that failed, a
pause, or a session's drift-corrected values. The table can be rebuilt from it alone. A last line
that a crash tore apart is dropped, with a note; damage anywhere else is an error.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Self

from compofa.common.closing import Closing
from compofa.common.console import note, printable
from compofa.common.errors import UserError, file_error
from compofa.profiler.results.journal_lines import (
    NAMES,
    Caveat,
    Corrected,
    Cost,
    Failure,
    Header,
    JournalLine,
    ModelLine,
    Pause,
    PlanLine,
    SessionLine,
    Timing,
    of_kind,
    parse_line,
)
from compofa.profiler.transports.device_identity import SERIAL, same_serial

__all__ = [
    "Caveat",
    "Corrected",
    "Cost",
    "Failure",
    "Header",
    "Journal",
    "JournalLine",
    "ModelLine",
    "Pause",
    "PlanLine",
    "SessionLine",
    "Timing",
    "journal_path",
    "lock_journal",
    "of_kind",
    "read_journal",
    "utc_now",
]


def journal_path(table: Path) -> Path:
    """The journal of a table: NAME.journal.jsonl."""
    return table.with_suffix(".journal.jsonl")


@dataclass
class Journal(Closing):
    """A journal file, open for appending; made by `Journal.open`.

    Attributes:
        lines: everything in it, what was appended included.
    """

    path: Path
    header: Header
    lines: list[JournalLine]
    _file: IO[bytes] = field(repr=False)

    @classmethod
    def open(cls, path: Path, header: Header, *, fresh: bool = False) -> Self:
        """Opens the journal at `path` to continue it, or begins a new one.

        Raises:
            UserError: it belongs to another set-up or device, is damaged, cannot be written, or
                another process is writing it.
        """
        try:
            # Without a buffer: what a failed write leaves in one would go out with the next line.
            file = path.open("ab", buffering=0)
        except OSError as error:
            raise file_error(error, path, "cannot write the journal") from None
        try:
            lock_journal(file, path)
            if fresh:
                file.truncate(0)
            lines: list[JournalLine] = []
            if path.stat().st_size:
                before, lines, intact = _read(path)
                if before is not None:
                    _check_same(before, header, path)
                if intact < path.stat().st_size:
                    file.truncate(intact)
            journal = cls(path, header, lines, file)
            if not path.stat().st_size:
                journal._write({"kind": "header", **asdict(header)})
        except BaseException:
            file.close()
            raise
        return journal

    def append(self, line: JournalLine) -> None:
        """Writes `line` and waits until it is on the disk.

        Raises:
            UserError: it cannot be written, as on a full disk; what was there before stays.
        """
        self._write({"kind": NAMES[type(line)], **asdict(line)})
        self.lines.append(line)

    def _write(self, record: Mapping[str, Any]) -> None:
        size = os.fstat(self._file.fileno()).st_size
        try:
            rest = memoryview(json.dumps(record, allow_nan=False).encode() + b"\n")
            while rest:
                rest = rest[self._file.write(rest) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            # Half a line would be dropped anyway; without it the next one starts clean.
            os.ftruncate(self._file.fileno(), size)
            raise file_error(error, self.path, "cannot write the journal") from None

    def close(self) -> None:
        """See `Closing.close`."""
        self._file.close()


def read_journal(path: Path) -> tuple[Header, list[JournalLine]]:
    """All of a journal.

    Raises:
        UserError: it cannot be read, is damaged other than at its end, or is empty.
    """
    header, lines, _ = _read(path)
    if header is None:
        raise UserError("the journal is empty", path=path)
    return header, lines


def utc_now() -> str:
    """The time as journals and tables write it: ISO 8601, UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _read(path: Path) -> tuple[Header | None, list[JournalLine], int]:
    """Header, lines, and how many bytes of the file are intact."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise file_error(error, path, "cannot read the journal") from None
    intact = raw.rfind(b"\n") + 1
    if intact < len(raw):
        note(f"{path}: the last line is incomplete, so its cell will be measured again")
    header: Header | None = None
    lines: list[JournalLine] = []
    for number, text in enumerate(raw[:intact].splitlines(), start=1):
        try:
            line = parse_line(text)
            if isinstance(line, Header) != (number == 1):
                raise ValueError("a journal has one header, on its first line")
        except ValueError as error:
            raise UserError(
                f"the journal is damaged: {printable(str(error))[:200]}",
                path=path,
                line=number,
                hint="--fresh discards it and starts over",
            ) from None
        if isinstance(line, Header):
            header = line
        else:
            lines.append(line)
    return header, lines, intact


def _check_same(recorded: Header, wanted: Header, path: Path) -> None:
    """Refuses to mix measurements of two set-ups or two devices."""
    old = {**asdict(recorded.setup), **recorded.fingerprint}
    new = {**asdict(wanted.setup), **wanted.fingerprint}
    for name in new:
        before, now = old.get(name), new[name]
        # Without a key nobody knows which device it was; earlier versions wrote serials unkeyed.
        if name == SERIAL and (None in (before, now) or same_serial(before, now)):
            continue
        if before != now:
            raise UserError(
                f"the journal is of another set-up: {name} was {_short(before)} and is "
                f"{_short(now)} now",
                path=path,
                hint="--out writes another table, --fresh discards this one and starts over",
            )


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 90 else f"{text[:90]}..."


def lock_journal(file: IO[bytes], path: Path) -> None:
    """Keeps a second profiler off this journal; the system unlocks it when this process ends.

    Raises:
        UserError: another process is writing it.
    """
    import fcntl

    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise UserError(
            "another compofa-profile is writing this journal",
            path=path,
            hint="wait until it has ended, or write another table with --out",
        ) from None
