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
from compofa.profiler.latency_model import (
    FEWEST_CELLS,
    KnownDevice,
    LatencyModel,
    Workload,
    known_devices,
)
from compofa.profiler.results.meta import meta_path, read_meta
from compofa.profiler.results.table import CELL_COLUMNS, LARGEST_SIZE, Cell, Row, Table, read_table
from compofa.profiler.settings import PREDICTION_CONFIDENCE
from compofa.profiler.statistics.interval import NO_SHARED_ERROR, SharedError
from compofa.supernet.space import Space
from compofa.supernet.subnet import Subnet

MOST_NAMED = 5
"""How many suspicious rows are named, at most."""


def read_cells(path: Path, of_space: Space) -> tuple[Cell, ...]:
    """The cells of a CSV file with the columns space, subnet, resolution and batch_size.

    Raises:
        UserError: with the line, for anything that is not such a file, and for a cell of another
            space than `of_space`.
    """
    line_of: dict[Cell, int] = {}
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
            if cell in line_of:
                raise ValueError(f"the same cell as on line {line_of[cell]}")
            shapes(of_space, [cell])
        except ValueError as error:
            raise UserError(str(error), path=path, line=line) from None
        except UserError as error:
            raise UserError(error.message, path=path, line=line, hint=error.hint) from None
        line_of[cell] = line
    if not line_of:
        raise UserError("the list of cells has no rows", path=path)
    return tuple(line_of)


def shapes(space: Space, cells: Sequence[Cell]) -> list[tuple[Subnet, int, int]]:
    """Cells as the latency model takes them.

    Raises:
        UserError: a cell is of another space, or its key names no subnet.
    """
    other = next((cell.space for cell in cells if cell.space != space.name), None)
    if other is not None:
        its = shown(other)[1:-1]
        raise UserError(
            f"a latency model is of one space: this one is of {space.name}, and a cell is of {its}"
        )
    return [(space.parse(cell.subnet), cell.resolution, cell.batch_size) for cell in cells]


def table_shared_error(path: Path, table: Table) -> SharedError:
    """The error that all measured rows of the table at `path` have in common.

    It is read from the meta file if that says it. Otherwise the whole error of the median row is
    taken to be shared, which is too much rather than too little.

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
    others: Sequence[KnownDevice] = (),
) -> tuple[Table, list[str]]:
    """`cells`, predicted by a model that is fitted on the measured rows of `table`.

    Args:
        table: of the device.
        cells: to predict.
        space: of all cells.
        confidence: of the prediction intervals.
        shared: what the measured rows have in common, see `table_shared_error`.
        others: devices that this one may be like, see `known_in_tables`.

    Returns:
        The predicted rows, and sentences that say what was odd about what they rest on.

    Raises:
        UserError: too few rows were measured, or a cell is of another space or batch size.
    """
    rows = [row for row in table.rows if row.source == "measured" and row.latency_ms is not None]
    model = replace(fit_rows(rows, space, others), shared_error=shared)
    when = max((row.measured_at for row in rows), default="")
    predicted = Table(table.setup, predicted_rows(model, space, cells, confidence, when))
    return predicted, model_notes(model, shapes(space, cells))


def fit_rows(rows: Sequence[Row], space: Space, others: Sequence[KnownDevice] = ()) -> LatencyModel:
    """A latency model of measured rows that have a latency, and of devices that it may be like.

    Raises:
        UserError: as `LatencyModel.fit`.
    """
    latencies = [row.latency_ms for row in rows if row.latency_ms is not None]
    errors = [standard_error(row) for row in rows]
    noise = [error for error in errors if error is not None]
    return LatencyModel.fit(
        space,
        shapes(space, [row.cell for row in rows]),
        latencies,
        relative_noise=noise if len(noise) == len(rows) else None,
        others=others,
    )


def known_in_rows(name: str, rows: Sequence[Row], space: Space) -> list[KnownDevice]:
    """What rows of `space` say about the device called `name`, for each batch size."""
    here = [row for row in rows if row.cell.space == space.name and row.latency_ms is not None]
    latencies = [row.latency_ms for row in here if row.latency_ms is not None]
    return known_devices(space, name, shapes(space, [row.cell for row in here]), latencies)


def known_in_tables(paths: Sequence[Path], space: Space) -> list[KnownDevice]:
    """What table files say about their devices, for each batch size.

    Raises:
        UserError: one is not a table, or has too few cells of `space` to learn from.
    """
    devices = []
    for path in paths:
        table = read_table(path)
        known = known_in_rows(table.setup.device, table.rows, space)
        if not known:
            raise UserError(
                f"the table has too few cells of {space.name} to learn from: "
                f"{FEWEST_CELLS} of one batch size are needed",
                path=path,
            )
        devices += known
    return devices


def model_notes(model: LatencyModel, cells: Sequence[Workload]) -> list[str]:
    """What a user should know of a model before its predictions of `cells` are believed."""
    notes = []
    for device in model.set_aside:
        why = "the measured cells contradict it"
        if device.falling:
            why = "its latencies fall as networks grow (are they images per second?)"
        elif device.unrelated:
            why = (
                "its latencies have nothing to do with the sizes of the networks (are they in "
                "another order than the networks?)"
            )
        notes.append(
            f"the table of {device.name} at batch size {device.batch_size} is set aside, because "
            f"{why}"
        )
    for suspect in model.suspects[:MOST_NAMED]:
        subnet, resolution, batch_size = suspect.cell
        notes.append(
            f"the row of {model.space.key(subnet)} at {resolution}, batch size {batch_size}, "
            f"hardly counts: it says {suspect.latency_ms:.4g} ms, and the other rows suggest "
            f"{suspect.expected_ms:.4g} ms"
        )
    if len(model.suspects) > MOST_NAMED:
        notes.append(f"{len(model.suspects) - MOST_NAMED} more rows hardly count, for that reason")
    outside = model.count_outside(cells)
    if outside:
        notes.append(
            f"{outside:,} of {len(cells):,} cells are smaller or larger than all that were "
            "measured: their intervals are wider, and may still be too narrow"
        )
    return notes


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
