"""The lines of a journal, and the check that every one passes when it is read."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, Field, StringConstraints, TypeAdapter, ValidationError

from compofa.common.csv_lines import LONGEST_TEXT
from compofa.common.normal_interval import check_confidence
from compofa.profiler.results.table import LARGEST_SIZE, Cell, SetUp

SCHEMA = 1

LONGEST_NS = 10**15
"""Eleven days; no run or load takes longer."""


def _check_cell(cell: Cell) -> Cell:
    if not (0 < len(cell.space) <= LONGEST_TEXT and 0 < len(cell.subnet) <= LONGEST_TEXT):
        raise ValueError("the name of a space or a subnet is empty or too long")
    if not (0 <= cell.resolution <= LARGEST_SIZE and 0 < cell.batch_size <= LARGEST_SIZE):
        raise ValueError(f"no batch size is below 1, and no size above {LARGEST_SIZE:,}")
    return cell


def _check_protocol(protocol: dict[str, Any]) -> dict[str, Any]:
    """What later figures rest on has to be there; the rest is only shown."""
    for name in ("target", "confidence", "prediction_confidence"):
        value = protocol.get(name)
        if not isinstance(value, float) or not 0 < value < 1:
            raise ValueError(f"{name} has to be between 0 and 1")
        if name != "target":
            check_confidence(value)
    return protocol


def _check_setup(setup: SetUp) -> SetUp:
    texts = (setup.device, setup.runtime, setup.runtime_version, setup.accelerator, setup.dtype)
    if not setup.device or max(map(len, texts)) > LONGEST_TEXT:
        raise ValueError("the device has no name, or a text is too long")
    if not 0 <= setup.threads <= LARGEST_SIZE:
        raise ValueError(
            f"no device has {'fewer than 0' if setup.threads < 0 else 'so many'} threads"
        )
    return setup


# What may stand in a line; also what is constructed here keeps to it, but only reading checks it.
JournalText = Annotated[str, StringConstraints(max_length=10_000)]
Count = Annotated[int, Field(ge=0, le=2**63)]
Nanoseconds = Annotated[int, Field(ge=0, le=LONGEST_NS)]
Runs = Annotated[tuple[Nanoseconds, ...], Field(min_length=1)]
Seconds = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
Milliseconds = Annotated[float, Field(gt=0, le=1e12, allow_inf_nan=False)]
Amount = Annotated[float, Field(ge=-1e15, le=1e15, allow_inf_nan=False)]
SetUpOfHeader = Annotated[SetUp, AfterValidator(_check_setup)]
CellOfLine = Annotated[Cell, AfterValidator(_check_cell)]
ProtocolOfLine = Annotated[dict[str, Any], AfterValidator(_check_protocol)]


@dataclass(frozen=True)
class Header:
    """What all lines of a journal have in common.

    Attributes:
        fingerprint: facts that tell one device from another; tables of different ones do not merge.
    """

    setup: SetUpOfHeader
    fingerprint: dict[str, Any]
    schema: int = SCHEMA


@dataclass(frozen=True)
class PlanLine:
    """What was to be measured, when a profile was started or resumed.

    Attributes:
        cells: candidates of the table: those not measured are predicted.
        fit, held_out: indices into `cells` of those to measure: for the latency model, and to test
            it.
        columns: the names of the measured columns that were asked for.
        streams: how many workers run a model at once where throughput is measured.
    """

    space: JournalText
    plan: JournalText
    seed: Count
    cells: tuple[CellOfLine, ...]
    fit: tuple[Count, ...]
    held_out: tuple[Count, ...]
    protocol: ProtocolOfLine
    started_at: JournalText
    columns: tuple[JournalText, ...] = ()
    streams: Count = 1


@dataclass(frozen=True)
class ModelLine:
    """A user's model file as it was read; what was measured of an earlier one no longer counts.

    Attributes:
        file: its name.
        format: such as onnx.
        inputs_sha256: of the data that it is run on.
        size: bytes of all files that it consists of.
        inputs: names, shapes and types.
        reference: what its outputs are compared with; empty where with nothing.
        macs: multiply-accumulates of one run; None where they are not known.
        parameters, weight_bytes: None where they are not known.
        columns: the user's own.
    """

    cell: CellOfLine
    file: JournalText
    format: JournalText
    sha256: JournalText
    size: Count
    inputs: tuple[JournalText, ...]
    inputs_sha256: JournalText
    reference: JournalText
    macs: Count | None = None
    parameters: Count | None = None
    weight_bytes: Count | None = None
    columns: dict[JournalText, float] = field(default_factory=dict)


@dataclass(frozen=True)
class SessionLine:
    """The start of a session: one fresh agent process."""

    session: Count
    started_at: JournalText
    pid: Count
    facts: dict[str, Any]
    state: dict[str, Any]
    affinity: tuple[Count, ...] | None


@dataclass(frozen=True)
class Timing:
    """The timed runs of one cell in one session; `cell` None is the reference model.

    Attributes:
        at_s: seconds since the session's start at which the timed runs ended.
        first_ns: the first run after the model was loaded, until its output was there; 0 where
            nobody timed it.
        warmup_ns: the runs before the model was warm; not part of any estimate.
        ns: of each run; 0 where it took less than a tick of the device's clock.
        settings: how the runtime ran it, as it said when it loaded the model; else empty.
        warm: False where it had fewer runs to warm up than this device's models were seen to take.
    """

    session: Count
    cell: CellOfLine | None
    model_sha256: JournalText
    at_s: Seconds
    load_ns: Nanoseconds
    warmup_ns: tuple[Nanoseconds, ...]
    ns: Runs
    state: dict[str, Any]
    measured_at: JournalText
    settings: dict[str, Any] = field(default_factory=dict)
    warm: bool = True
    first_ns: Nanoseconds = 0


@dataclass(frozen=True)
class Failure:
    """A cell that could not be measured, and why.

    Attributes:
        final: False where another session may try again (the agent died on the way).
    """

    session: Count
    cell: CellOfLine
    reason: JournalText
    final: bool
    model_sha256: JournalText
    measured_at: JournalText


@dataclass(frozen=True)
class Pause:
    """A disturbance of the device, and how long it was waited out.

    Attributes:
        reasons: in plain words.
        cleared: whether it had passed when measuring went on.
    """

    session: Count
    reasons: tuple[JournalText, ...]
    seconds: Seconds
    cleared: bool
    at: JournalText


@dataclass(frozen=True)
class Caveat:
    """Something that casts doubt on what a session measured, in plain words."""

    session: Count
    text: JournalText
    at: JournalText


@dataclass(frozen=True)
class Corrected:
    """A finished session: for each cell its condensed latency, raw and corrected for drift."""

    session: Count
    raw_ms: tuple[tuple[CellOfLine, Milliseconds], ...]
    corrected_ms: tuple[tuple[CellOfLine, Milliseconds], ...]
    finished_at: JournalText


@dataclass(frozen=True)
class Cost:
    """What was counted of a cell in a pass of its own, apart from timing.

    Attributes:
        kind_of_pass: memory, throughput or energy.
        counted: amounts by name, with the unit last; empty where nothing could be counted.
        problem: why not, in plain words; empty where there is none.
    """

    kind_of_pass: JournalText
    cell: CellOfLine
    counted: dict[JournalText, Amount]
    problem: JournalText
    model_sha256: JournalText
    measured_at: JournalText


JournalLine = (
    PlanLine | ModelLine | SessionLine | Timing | Failure | Pause | Caveat | Corrected | Cost
)

L = TypeVar("L", PlanLine, ModelLine, SessionLine, Timing, Failure, Pause, Caveat, Corrected, Cost)

KINDS: dict[str, type[JournalLine]] = {
    "plan": PlanLine,
    "model": ModelLine,
    "session": SessionLine,
    "timing": Timing,
    "failure": Failure,
    "pause": Pause,
    "caveat": Caveat,
    "corrected": Corrected,
    "cost": Cost,
}
NAMES = {kind: name for name, kind in KINDS.items()}


def of_kind(lines: Iterable[JournalLine], kind: type[L]) -> list[L]:
    """Those of `lines` that are of one kind."""
    return [line for line in lines if isinstance(line, kind)]


def parse_line(text: bytes) -> Header | JournalLine:
    """What a line says, checked value by value.

    Raises:
        ValueError: it is not a line of a journal, or a value in it makes no sense.
    """
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("not JSON") from None
    kind = record.get("kind") if isinstance(record, dict) else None
    if not isinstance(kind, str) or kind not in ("header", *KINDS):
        raise ValueError("it has no kind of line that is known here")
    if kind == "header":
        check_schema(record.get("schema"), SCHEMA)
    try:
        # From JSON and not from `record`: lists are tuples here, and numbers in quotes are none.
        line: Header | JournalLine = _adapter(kind).validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join([kind, *map(str, first["loc"])])
        raise ValueError(f"{place}: {first['msg'].removeprefix('Value error, ')}") from None
    _check_together(line)
    return line


def check_schema(schema: object, known: int) -> None:
    """Returns if the form of a file, by its number, is the one that this version knows.

    Raises:
        ValueError: it is not; says so of a file that a newer version wrote.
    """
    if isinstance(schema, int) and not isinstance(schema, bool) and known < schema < 1000:
        raise ValueError(f"a newer compofa wrote it: schema {schema}, this one knows {known}")
    if schema != known or isinstance(schema, bool):
        raise ValueError(f"its schema is not {known}")


@cache
def _adapter(kind: str) -> TypeAdapter[Any]:
    """Checks lines of a kind; made when it is first needed, since that takes a while."""
    return TypeAdapter(Header if kind == "header" else KINDS[kind])


def _check_together(line: Header | JournalLine) -> None:
    """Raises ValueError where values make sense one by one, but not together."""
    if isinstance(line, PlanLine):
        count = len(line.cells)
        if any(index >= count for index in (*line.fit, *line.held_out)):
            raise ValueError(f"plan: fit or held_out names a cell that is none of {count:,}")
        if len(set(line.cells)) < count:
            raise ValueError("plan: a cell is given twice")
    elif isinstance(line, Timing) and not any(line.ns):
        raise ValueError("timing: ns: all runs took no time")
