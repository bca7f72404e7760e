"""Predictions as rows of a table: the latency model, fitted on a table's measured rows."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from compofa.common.csv_lines import check_text, parse_count, read_lines, shown
from compofa.common.errors import UserError
from compofa.common.normal_interval import standard_deviation
from compofa.profiler.latency_model import LatencyModel
from compofa.profiler.results.meta import meta_path, read_meta
from compofa.profiler.results.table import CELL_COLUMNS, LARGEST_SIZE, Cell, Row, Table
from compofa.profiler.settings import PREDICTION_CONFIDENCE
from compofa.profiler.statistics.interval import NO_SHARED_ERROR, SharedError
from compofa.supernet.space import Space
from compofa.supernet.subnet import Subnet


def read_cells(path: Path, of_space: Space) -> tuple[Cell, ...]:
    """The cells of a CSV file with the columns space, subnet, resolution and batch_size.

    Raises:
        UserError: with the line, for anything that is not such a file, and for a cell of another
            space than `of_space`.
    """
    found: dict[Cell, int] = {}
    for line, values in read_lines(path, "the list of cells", CELL_COLUMNS):
        space, subnet, resolution, batch_size = values
        try:
            check_text(space, "space")
            check_text(subnet, "subnet")
            cell = Cell(
                space,
                subnet,
                parse_count(resolution, "resolution", 1, LARGEST_SIZE),
                parse_count(batch_size, "batch_size", 1, LARGEST_SIZE),
            )
            if cell in found:
                raise ValueError(f"the same cell as on line {found[cell]}")
            shapes(of_space, [cell])
        except ValueError as error:
            raise UserError(str(error), path=path, line=line) from None
        except UserError as error:
            raise UserError(error.message, path=path, line=line, hint=error.hint) from None
        found[cell] = line
    if not found:
        raise UserError("the list of cells has no rows", path=path)
    return tuple(found)


def shapes(space: Space, cells: Sequence[Cell]) -> list[tuple[Subnet, int, int]]:
    """Cells as the latency model takes them.

    Raises:
        UserError: a cell is of another space, or its key names no subnet.
    """
    other = next((cell.space for cell in cells if cell.space != space.name), None)
    if other is not None:
        its = shown(other)[1:-1]
        message = f"a latency model knows one space: this one is {space.name}, a cell is of {its}"
        raise UserError(message)
    return [(space.parse(cell.subnet), cell.resolution, cell.batch_size) for cell in cells]


def table_shared_error(path: Path, table: Table) -> SharedError:
    """The error that all measured rows of the table at `path` have in common.

    From its meta file where that is there and tells. Else each row's whole error, that of the
    median row, is taken for shared, which is too much rather than too little.

    Raises:
        UserError: the meta file is damaged.
    """
    if meta_path(path).exists():
        meta = read_meta(meta_path(path))
        if meta.shared_error is not None:
            return meta.shared_error
        if meta.noise is not None and math.isfinite(meta.noise.session) and meta.sessions > 1:
            return SharedError(meta.noise.session**2 / meta.sessions, meta.sessions - 1)
    rows = [row for row in table.rows if row.source == "measured"]
    errors = [error for error in map(standard_error, rows) if error is not None]
    return SharedError(statistics.median(errors) ** 2) if errors else NO_SHARED_ERROR


def predict_cells(
    table: Table,
    cells: Sequence[Cell],
    space: Space,
    confidence: float = PREDICTION_CONFIDENCE,
    shared: SharedError = NO_SHARED_ERROR,
) -> Table:
    """`cells`, predicted by a model that is fitted on the measured rows of `table`.

    Args:
        table: of measured rows.
        cells: to predict.
        space: of all cells.
        confidence: of the prediction intervals.
        shared: what the measured rows have in common, see `table_shared_error`.

    Raises:
        UserError: too few rows were measured, or a cell is of another space or batch size.
    """
    rows = [row for row in table.rows if row.source == "measured" and row.latency_ms is not None]
    latencies = [row.latency_ms for row in rows if row.latency_ms is not None]
    errors = [standard_error(row) for row in rows]
    noise = [error for error in errors if error is not None]
    known = shapes(space, [row.cell for row in rows])
    model = LatencyModel.fit(
        space, known, latencies, relative_noise=noise if len(noise) == len(rows) else None
    )
    model = replace(model, shared_error=shared)
    when = max((row.measured_at for row in rows), default="")
    return Table(table.setup, predicted_rows(model, space, cells, confidence, when))


def predicted_rows(
    model: LatencyModel, space: Space, cells: Sequence[Cell], confidence: float, when: str
) -> tuple[Row, ...]:
    """What `model` says of `cells`, with prediction intervals; `when` is their measured_at."""
    if not cells:
        return ()
    prediction = model.predict(shapes(space, cells), confidence)
    return tuple(
        Row(
            cell=cell,
            latency_ms=float(prediction.latency_ms[i]),
            ci_low_ms=float(prediction.low_ms[i]),
            ci_high_ms=float(prediction.high_ms[i]),
            confidence=confidence,
            p90_ms=None,
            source="predicted",
            status="ok",
            n_sessions=0,
            n_runs=0,
            model_sha256="",
            measured_at=when,
        )
        for i, cell in enumerate(cells)
    )


def standard_error(row: Row) -> float | None:
    """The standard error of a measured row relative to it, read off its interval."""
    if row.ci_low_ms is None or row.ci_high_ms is None or not row.latency_ms:
        return None
    half = (row.ci_high_ms - row.ci_low_ms) / 2 / row.latency_ms
    return standard_deviation(half, row.confidence)
