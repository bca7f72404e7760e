"""The journal: every raw run, one line per session and cell, on disk before the next starts.

A journal begins with a header that says which set-up it belongs to. Every other line is a plan, the
start of a session, the timed runs of a cell (the reference model among them), a cell that failed, a
pause, or a session's drift-corrected values. The table can be rebuilt from it alone. A last line
that a crash tore apart is dropped, with a note; damage anywhere else is an error.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Self, TypeVar

from compofa.common.closing import Closing
from compofa.common.console import note
from compofa.common.errors import UserError, file_error
from compofa.profiler.results.table import Cell, SetUp

SCHEMA = 1


@dataclass(frozen=True)
class Header:
    """What all lines of a journal have in common.

    Attributes:
        fingerprint: facts that tell one device from another; tables of different ones do not merge.
    """

    setup: SetUp
    fingerprint: dict[str, Any]
    schema: int = SCHEMA


@dataclass(frozen=True)
class PlanLine:
    """What was to be measured, when a profile was started or resumed.

    Attributes:
        cells: candidates of the table: those not measured are predicted.
        fit, held_out: indices into `cells` of those to measure: for the latency model, and to test
            it.
        columns: the measures that were asked for, by name.
    """

    space: str
    plan: str
    seed: int
    cells: tuple[Cell, ...]
    fit: tuple[int, ...]
    held_out: tuple[int, ...]
    protocol: dict[str, Any]
    started_at: str
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class SessionLine:
    """The start of a session: one fresh agent process."""

    session: int
    started_at: str
    pid: int
    facts: dict[str, Any]
    state: dict[str, Any]
    affinity: tuple[int, ...] | None


@dataclass(frozen=True)
class Timing:
    """The timed runs of one cell in one session; `cell` None is the reference model.

    Attributes:
        at_s: seconds since the session's start at which the timed runs ended.
        warmup_ns: the runs before the model was warm; not part of any estimate.
        ns: of each run; 0 where it took less than a tick of the device's clock.
        settings: how the runtime ran it, as it said when it loaded the model; else empty.
        warm: False where it had fewer runs to warm up than this device's models were seen to take.
    """

    session: int
    cell: Cell | None
    model_sha256: str
    at_s: float
    load_ns: int
    warmup_ns: tuple[int, ...]
    ns: tuple[int, ...]
    state: dict[str, Any]
    measured_at: str
    settings: dict[str, Any] = field(default_factory=dict)
    warm: bool = True


@dataclass(frozen=True)
class Failure:
    """A cell that could not be measured, and why.

    Attributes:
        final: False where another session may try again (the agent died on the way).
    """

    session: int
    cell: Cell
    reason: str
    final: bool
    model_sha256: str
    measured_at: str


@dataclass(frozen=True)
class Pause:
    """A disturbance of the device, and how long it was waited out.

    Attributes:
        reasons: in plain words.
        cleared: whether it had passed when measuring went on.
    """

    session: int
    reasons: tuple[str, ...]
    seconds: float
    cleared: bool
    at: str


@dataclass(frozen=True)
class Caveat:
    """Something that casts doubt on what a session measured, in plain words."""

    session: int
    text: str
    at: str


@dataclass(frozen=True)
class Corrected:
    """A finished session: for each cell its condensed latency, raw and corrected for drift."""

    session: int
    raw_ms: tuple[tuple[Cell, float], ...]
    corrected_ms: tuple[tuple[Cell, float], ...]
    finished_at: str


JournalLine = PlanLine | SessionLine | Timing | Failure | Pause | Caveat | Corrected

L = TypeVar("L", PlanLine, SessionLine, Timing, Failure, Pause, Caveat, Corrected)

_KINDS: dict[str, type[JournalLine]] = {
    "plan": PlanLine,
    "session": SessionLine,
    "timing": Timing,
    "failure": Failure,
    "pause": Pause,
    "caveat": Caveat,
    "corrected": Corrected,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


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
        """Opens the journal at `path` to go on with it, or begins a new one.

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
                found, lines, intact = _read(path)
                if found is not None:
                    _check_same(found, header, path)
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
        self._write({"kind": _NAMES[type(line)], **asdict(line)})
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


def of_kind(lines: Iterable[JournalLine], kind: type[L]) -> list[L]:
    """Those of `lines` that are of one kind."""
    return [line for line in lines if isinstance(line, kind)]


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
        note(f"{path}: the last line is torn, its cell will be measured again")
    header: Header | None = None
    lines: list[JournalLine] = []
    for number, text in enumerate(raw[:intact].splitlines(), start=1):
        try:
            record = json.loads(text)
            kind = record.pop("kind")
            if (kind == "header") != (number == 1):
                raise ValueError("a journal has one header, on its first line")
            if kind == "header":
                header = _header(record)
            else:
                lines.append(_line(kind, record))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            message = f"the journal is damaged: {error}"
            raise UserError(message, path=path, line=number, hint="--fresh starts over") from None
    return header, lines, intact


def _header(record: dict[str, Any]) -> Header:
    if record["schema"] != SCHEMA:
        raise ValueError(f"schema {record['schema']!r}, this version knows {SCHEMA}")
    return Header(SetUp(**record["setup"]), dict(record["fingerprint"]))


def _line(name: str, record: dict[str, Any]) -> JournalLine:
    kind = _KINDS[name]
    for field_name in (
        "cells",
        "fit",
        "held_out",
        "columns",
        "ns",
        "warmup_ns",
        "affinity",
        "reasons",
    ):
        if isinstance(record.get(field_name), list):
            record[field_name] = tuple(record[field_name])
    if kind is PlanLine:
        record["cells"] = tuple(Cell(**cell) for cell in record["cells"])
    if record.get("cell") is not None:
        record["cell"] = Cell(**record["cell"])
    if kind is Timing:
        times = record["ns"]
        if not all(type(ns) is int and ns >= 0 for ns in times) or not any(times):
            raise ValueError("times must be whole nanoseconds, and not all zero")
    for field_name in ("raw_ms", "corrected_ms"):
        if field_name in record:
            pairs = record[field_name]
            record[field_name] = tuple((Cell(**cell), float(ms)) for cell, ms in pairs)
    return kind(**record)


def _check_same(found: Header, wanted: Header, path: Path) -> None:
    """Refuses to mix measurements of two set-ups or two devices."""
    old = {**asdict(found.setup), **found.fingerprint}
    new = {**asdict(wanted.setup), **wanted.fingerprint}
    for name in new:
        if old.get(name) != new[name]:
            raise UserError(
                f"the journal is of another set-up: {name} was {old.get(name)!r} and is "
                f"{new[name]!r} now",
                path=path,
                hint="--out writes elsewhere, --fresh starts over",
            )


def lock_journal(file: IO[bytes], path: Path) -> None:
    """Keeps a second profiler off this journal; the system lets go when this process ends.

    Raises:
        UserError: another process is writing it.
    """
    import fcntl

    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise UserError("another compofa-profile is writing this journal", path=path) from None
