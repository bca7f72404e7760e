"""Latency tables: the latencies of a set-up's cells, as a CSV file that people and tools can read.

One row per cell, one set-up per table, the unit in the column's name (docs/tables.md). Columns of
numbers that somebody adds are kept. What is read and what is written pass the same checks, so a
table that was written can be read.
"""

from __future__ import annotations

import csv
import io
import math
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from compofa.common.csv_lines import (
    CsvLines,
    check_text,
    parse_count,
    parse_number,
    shown,
)
from compofa.common.errors import UserError
from compofa.common.files import write_atomically
from compofa.common.normal_interval import check_confidence
from compofa.profiler.settings import CONFIDENCE
from compofa.supernet.export.dtype import usual_name

if TYPE_CHECKING:
    import pandas as pd

RowSource = Literal["measured", "predicted"]
Status = Literal["ok", "unconverged", "failed"]


@dataclass(frozen=True, slots=True)
class SetUp:
    """What the cells of a table ran on.

    Attributes:
        device: its name in devices.yaml.
        runtime: what executed the models; ``unknown`` in tables from elsewhere.
        threads: CPU threads; 0 where the runtime chose, or nobody knows.
        dtype: of the weights and activations, such as ``float32``; other names of our types, such
            as fp32, are read as ours.
    """

    device: str
    runtime: str
    runtime_version: str
    accelerator: str
    threads: int
    dtype: str


@dataclass(frozen=True, slots=True)
class Cell:
    """What a row is about: a network at one input size and batch size.

    Attributes:
        space: of subnets; of a user's model files, what they are called together.
        subnet: the subnet's key, or the model's name.
        resolution: the side of its square images in pixels; 0 where a model takes none.
    """

    space: str
    subnet: str
    resolution: int
    batch_size: int


@dataclass(frozen=True, slots=True)
class Row:
    """The latency of one cell.

    Attributes:
        latency_ms: per run of the whole batch; None where the cell failed.
        ci_low_ms, ci_high_ms: its interval, a confidence interval over sessions where measured and
            a prediction interval where predicted; None where there is none.
        confidence: of the interval, as a fraction of one.
        p90_ms: 90 % of the runs took at most this; None where single runs are unknown.
        source: whether this cell was measured or computed from others.
        status: ``unconverged`` where the target width was not reached within the budget.
        n_sessions, n_runs: behind the figure; 0 where predicted.
        model_sha256: of the model file that ran; empty where none did.
        measured_at: ISO 8601, UTC; empty where unknown.
        extra: what the table's own columns say of this cell, in the order of `Table.extra`; None
            where they say nothing.
    """

    cell: Cell
    latency_ms: float | None
    ci_low_ms: float | None
    ci_high_ms: float | None
    confidence: float
    p90_ms: float | None
    source: RowSource
    status: Status
    n_sessions: int
    n_runs: int
    model_sha256: str
    measured_at: str
    extra: tuple[float | None, ...] = ()


@dataclass(frozen=True)
class Table:
    """The rows of one set-up, at most one for each cell.

    Attributes:
        extra: names of columns that somebody has added, such as ``energy_mj``: numbers, one for
            each cell or none.
    """

    setup: SetUp
    rows: tuple[Row, ...]
    extra: tuple[str, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """The table with the columns of its file, one row per cell."""
        import pandas as pd

        setup = astuple(self.setup)
        columns = [*COLUMNS, *self.extra]
        return pd.DataFrame([setup + _values(row) for row in self.rows], columns=columns)


SETUP_COLUMNS = tuple(field.name for field in fields(SetUp))
CELL_COLUMNS = tuple(field.name for field in fields(Cell))
COLUMNS = SETUP_COLUMNS + CELL_COLUMNS + tuple(field.name for field in fields(Row)[1:-1])
"""The columns of a table file, in order; any of the table's own come after them."""

NEWER = " (or did a newer compofa write this table?)"
"""Follows a value that this version does not know."""

LARGEST_SIZE = 1_000_000
"""No resolution or batch size is larger."""


def read_table(path: Path, *, predicted: bool = True, most_rows: int | None = None) -> Table:
    """Reads a table and checks every row of it.

    Args:
        path: the file.
        predicted: whether to read rows that were predicted; else they are passed over unseen.
        most_rows: that may be read.

    Raises:
        UserError: with the file and the line, for anything that is not a table: see docs/tables.md.
    """
    first: list[str] | None = None
    lines: dict[Cell, int] = {}
    rows: list[Row] = []
    width = len(SETUP_COLUMNS)
    source = COLUMNS.index("source")
    file = CsvLines(path, "the table", COLUMNS, own_columns=True)
    for line, values in file:
        if not predicted and values[source] == "predicted":
            continue
        if len(rows) == most_rows:
            message = f"the table has more than {most_rows:,} rows that were measured"
            raise UserError(message, path=path, line=line)
        try:
            if first is None:
                first, first_line, setup = values[:width], line, _parse_setup(values[:width])
            elif values[:width] != first:
                raise ValueError(_difference(values, first, first_line))
            row = _parse_row(values[width:], file.own)
            if lines.setdefault(row.cell, line) != line:
                raise ValueError(f"the same cell as on line {lines[row.cell]}: {_named(row.cell)}")
        except ValueError as error:
            raise UserError(str(error), path=path, line=line) from None
        rows.append(row)
    if first is None:
        none = "no rows" if predicted else "no row that was measured"
        raise UserError(f"the table has {none}", path=path)
    return Table(setup, tuple(rows), file.own)


def write_table(path: Path, table: Table) -> None:
    """Writes `table` so that `read_table` gives it back equal; the old file stays until then.

    Raises:
        UserError: the file cannot be written, or the table has no rows.
        ValueError: a row breaks the rules of docs/tables.md: a bug of whoever made it.
    """
    if not table.rows:
        raise UserError("there are no cells to write: a table needs at least one row", path=path)
    _check_setup(table.setup)
    setup = [str(value) for value in astuple(table.setup)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*COLUMNS, *table.extra))
    seen: set[Cell] = set()
    for row in table.rows:
        _check_row(row)
        if len(row.extra) != len(table.extra):
            raise ValueError(f"{len(row.extra)} values for the columns {table.extra}")
        if row.cell in seen:
            raise ValueError(f"a cell is given twice: {_named(row.cell)}")
        seen.add(row.cell)
        writer.writerow([*setup, *map(_text, _values(row))])
    write_atomically(path, text.getvalue(), "the table")


def _values(row: Row) -> tuple[str | int | float | None, ...]:
    """The row's values in the order of its columns."""
    cell = row.cell
    return (
        cell.space, cell.subnet, cell.resolution, cell.batch_size,
        row.latency_ms, row.ci_low_ms, row.ci_high_ms, row.confidence, row.p90_ms, row.source,
        row.status, row.n_sessions, row.n_runs, row.model_sha256, row.measured_at, *row.extra,
    )  # fmt: skip


def _text(value: str | int | float | None) -> str:
    # float() first: the repr of NumPy's floats names their type.
    return "" if value is None else repr(float(value)) if isinstance(value, float) else str(value)


def _parse_setup(values: list[str]) -> SetUp:
    device, runtime, version, accelerator, threads, dtype = values
    count = parse_count(threads, "threads", 0, LARGEST_SIZE)
    setup = SetUp(device, runtime, version, accelerator, count, usual_name(dtype))
    _check_setup(setup)
    return setup


def _check_setup(setup: SetUp) -> None:
    check_text(setup.device, "device")
    check_text(setup.runtime, "runtime")
    for name in ("runtime_version", "accelerator", "dtype"):
        check_text(getattr(setup, name), name, empty=True)


def _parse_row(values: list[str], extra: tuple[str, ...]) -> Row:
    space, subnet, resolution, batch_size = values[:4]
    latency, low, high, confidence, p90 = values[4:9]
    source, status, sessions, runs, sha256, measured_at = values[9:15]
    cell = Cell(
        space,
        subnet,
        parse_count(resolution, "resolution", 0, LARGEST_SIZE),
        parse_count(batch_size, "batch_size", 1, LARGEST_SIZE),
    )
    row = Row(
        cell,
        _optional(latency, "latency_ms"),
        _optional(low, "ci_low_ms"),
        _optional(high, "ci_high_ms"),
        _confidence(confidence, low),
        _optional(p90, "p90_ms"),
        cast(RowSource, source),
        cast(Status, status),
        parse_count(sessions, "n_sessions"),
        parse_count(runs, "n_runs"),
        sha256,
        measured_at,
        tuple(_own(value, name) for value, name in zip(values[15:], extra, strict=True)),
    )
    _check_row(row)
    return row


def _confidence(text: str, low: str) -> float:
    """The confidence of the interval; where there is no interval, it may be left empty."""
    if not text and low:
        raise ValueError("confidence is empty although there is an interval")
    return parse_number(text, "confidence") if text else CONFIDENCE


def _optional(text: str, name: str) -> float | None:
    return parse_number(text, name) if text else None


def _own(text: str, name: str) -> float | None:
    try:
        return _optional(text, name)
    except ValueError as error:
        raise ValueError(f"{error}{NEWER}") from None


def _check_row(row: Row) -> None:
    """Raises ValueError where `row` is not a row of a table."""
    check_text(row.cell.space, "space")
    check_text(row.cell.subnet, "subnet")
    check_text(row.model_sha256, "model_sha256", empty=True)
    check_text(row.measured_at, "measured_at", empty=True)
    if row.source not in ("measured", "predicted"):
        raise ValueError(f"source must be measured or predicted, not {shown(row.source)}{NEWER}")
    if row.status not in ("ok", "unconverged", "failed"):
        raise ValueError(
            f"status must be ok, unconverged or failed, not {shown(row.status)}{NEWER}"
        )
    check_confidence(row.confidence)
    if row.cell.batch_size < 1 or min(row.cell.resolution, row.n_sessions, row.n_runs) < 0:
        raise ValueError(f"a size or a count is negative or zero: {row}")
    _check_latencies(row)


def _check_latencies(row: Row) -> None:
    latency, low, high, p90 = row.latency_ms, row.ci_low_ms, row.ci_high_ms, row.p90_ms
    if row.status == "failed":
        if (latency, low, high, p90) != (None,) * 4:
            raise ValueError("a failed cell must not have a latency, an interval or a p90_ms")
        return
    if latency is None:
        raise ValueError(f"latency_ms is empty although the status is {row.status}")
    for name, value in (("latency_ms", latency), ("p90_ms", p90)):
        if value is not None and not 0 < value < math.inf:
            raise ValueError(f"{name} must be above zero and finite, not {value}")
    if (low is None) != (high is None):
        raise ValueError("of ci_low_ms and ci_high_ms, one is empty and the other is not")
    if low is not None and high is not None and not -math.inf < low <= latency <= high < math.inf:
        raise ValueError(f"the interval {low} to {high} ms does not hold the latency {latency} ms")


def _difference(values: list[str], first: list[str], first_line: int) -> str:
    """What makes two rows belong to different set-ups."""
    for name, value, before in zip(SETUP_COLUMNS, values, first, strict=False):
        if value != before:
            here = f"{name} is {shown(value)} here and {shown(before)} on line {first_line}"
            return f"a table holds one set-up, but {here}"
    raise AssertionError("the rows do not differ")


def _named(cell: Cell) -> str:
    space, subnet = shown(cell.space)[1:-1], shown(cell.subnet)[1:-1]
    return f"{space} {subnet} at {cell.resolution}, batch {cell.batch_size}"
