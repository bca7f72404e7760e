"""Completes the table of a device on which little was measured, from tables of other devices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from compofa.common.errors import UserError
from compofa.profiler.latency_model.features import Floats, cell_features
from compofa.profiler.latency_model.transfer import Transfer
from compofa.profiler.results.predict import shapes, standard_error
from compofa.profiler.results.table import Cell, Row, Table
from compofa.profiler.settings import PREDICTION_CONFIDENCE
from compofa.search.candidates import Latencies
from compofa.supernet.space import Space


def complete(new: Latencies, others: Sequence[Latencies], space: Space) -> tuple[Latencies, str]:
    """`new` with a predicted row for every cell that all `others` have and it has not.

    Returns:
        The table, and a sentence that says what was done and how sure it is.

    Raises:
        UserError: none of its measured cells is in the others' tables, or those share no cell.
    """
    known = [_usable(each, space) for each in others]
    shared = [cell for cell in known[0] if all(cell in rows for rows in known[1:])]
    if not shared:
        paths = ", ".join(str(each.path) for each in others)
        raise UserError(f"the tables to learn from share no cell of {space.name}: {paths}")
    own = _usable(new, space)
    measured = [cell for cell in shared if cell in own and own[cell].source == "measured"]
    if not measured:
        raise UserError(
            f"none of its measured cells is among the {len(shared):,} of the tables to learn from",
            path=new.path,
            hint="measure a few of those, for example with compofa-profile --plan 5",
        )
    rows: list[Row] = []
    for batch_size in sorted({cell.batch_size for cell in measured}):
        here = [cell for cell in measured if cell.batch_size == batch_size]
        missing = [c for c in shared if c.batch_size == batch_size and c not in own]
        rows += _predicted(here, missing, own, known, space)
    if not rows:
        return new, f"{new.device} has every cell already: nothing had to be learned from others"
    table = Table(new.table.setup, (*new.table.rows, *_as_wide(rows, new.table)), new.table.extra)
    reach = np.median([(row.ci_high_ms or 0) / (row.latency_ms or 1) - 1 for row in rows])
    names = ", ".join(each.device for each in others)
    told = (
        f"{len(rows):,} cells of {new.device} are predicted from {len(measured)} measured ones and "
        f"{names}; their {PREDICTION_CONFIDENCE:.0%} intervals reach {reach:.1%} up (median)"
    )
    return replace(new, table=table), told


def _predicted(
    measured: Sequence[Cell],
    missing: Sequence[Cell],
    own: dict[Cell, Row],
    known: Sequence[dict[Cell, Row]],
    space: Space,
) -> list[Row]:
    """Rows for the cells that are `missing`, all of one batch size."""
    if not missing:
        return []
    explained = _explained([*measured, *missing], known, space)
    devices, prior = len(known), np.zeros(explained.shape[1])
    prior[:devices] = 1 / devices
    rows = [own[cell] for cell in measured]
    latency = np.array([row.latency_ms for row in rows], dtype=np.float64)
    noise = np.array([standard_error(row) or 0.0 for row in rows])
    model = Transfer.fit(explained[: len(measured)], prior, latency, noise)
    predicted = model.predict(explained[len(measured) :], PREDICTION_CONFIDENCE)
    when = max(row.measured_at for row in rows)
    return [
        Row(
            cell, float(ms), float(low), float(high), PREDICTION_CONFIDENCE, None,
            "predicted", "ok", 0, 0, "", when,
        )
        for cell, ms, low, high in zip(missing, *predicted, strict=True)
    ]  # fmt: skip


def _explained(cells: Sequence[Cell], known: Sequence[dict[Cell, Row]], space: Space) -> Floats:
    """What is known of each cell: log latencies on the other devices, logs of amounts of work."""
    latencies = [[rows[cell].latency_ms for rows in known] for cell in cells]
    work = cell_features(space, shapes(space, cells)).totals
    return np.log(np.column_stack([np.array(latencies, dtype=np.float64), work]))


def _usable(latencies: Latencies, space: Space) -> dict[Cell, Row]:
    """The rows of `space` that have a latency, by cell."""
    rows = latencies.table.rows
    return {
        row.cell: row for row in rows if row.cell.space == space.name and row.latency_ms is not None
    }


def _as_wide(rows: Sequence[Row], table: Table) -> tuple[Row, ...]:
    """`rows` with nothing in the columns that `table` has of its own."""
    return tuple(replace(row, extra=(None,) * len(table.extra)) for row in rows)
