"""Predicts the cells that a device's table lacks, from tables of other devices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from compofa.common.errors import UserError
from compofa.profiler.latency_model import KnownDevice, LatencyModel
from compofa.profiler.results.predict import (
    fit_rows,
    known_in_rows,
    model_notes,
    predicted_rows,
    shapes,
)
from compofa.profiler.results.table import Cell, Row, Table
from compofa.profiler.settings import PREDICTION_CONFIDENCE
from compofa.search.candidates import Latencies
from compofa.supernet.space import Space


def learn(others: Sequence[Latencies], space: Space) -> list[KnownDevice]:
    """What the tables of the others say about their devices.

    There is one element for each table and batch size with enough cells.
    """
    return [
        known
        for each in others
        for known in known_in_rows(each.device, list(_usable(each, space).values()), space)
    ]


def complete(
    new: Latencies,
    others: Sequence[Latencies],
    space: Space,
    known: Sequence[KnownDevice] | None = None,
) -> tuple[Latencies, list[str]]:
    """Adds a predicted row to `new` for every cell that all `others` have and it lacks.

    Args:
        new: the table to complete.
        others: tables of other devices, at least one.
        space: the space of the cells.
        known: what `learn` returned for `others`; None to call it.

    Returns:
        The table, and sentences for the user about the predictions and their uncertainty.

    Raises:
        UserError: no cell of `new` was measured at a batch size of the others, or the others have
            no cell in common.
    """
    tables = [_usable(each, space) for each in others]
    shared = [cell for cell in tables[0] if all(cell in rows for rows in tables[1:])]
    if not shared:
        paths = ", ".join(str(each.path) for each in others)
        raise UserError(f"the tables to learn from share no cell of {space.name}: {paths}")
    own = _usable(new, space)
    batches = {cell.batch_size for cell in shared}
    measured = [
        row for cell, row in own.items() if row.source == "measured" and cell.batch_size in batches
    ]
    if not measured:
        raise UserError(
            f"the table has no measured cell at a batch size of the tables to learn from "
            f"({', '.join(map(str, sorted(batches)))})",
            path=new.path,
            hint="measure a few of their cells, for example with compofa-profile --plan 5",
        )
    here = {row.cell.batch_size for row in measured}
    missing = [cell for cell in shared if cell.batch_size in here and cell not in own]
    if not missing:
        told = f"{new.device} has every cell already: none was predicted from other tables"
        return new, [told]
    model = fit_rows(measured, space, learn(others, space) if known is None else known)
    when = max(row.measured_at for row in measured)
    rows = predicted_rows(model, space, missing, PREDICTION_CONFIDENCE, when)
    table = Table(new.table.setup, (*new.table.rows, *_as_wide(rows, new.table)), new.table.extra)
    return replace(new, table=table), _notes(new, others, model, rows, measured, space)


def _notes(
    new: Latencies,
    others: Sequence[Latencies],
    model: LatencyModel,
    rows: Sequence[Row],
    measured: Sequence[Row],
    space: Space,
) -> list[str]:
    reach = np.median([(row.ci_high_ms or 0) / (row.latency_ms or 1) - 1 for row in rows])
    names = ", ".join(each.device for each in others)
    told = (
        f"{len(rows):,} cells of {new.device} are predicted from {len(measured)} measured ones and "
        f"{names}; half of their {PREDICTION_CONFIDENCE:.0%} intervals end less than {reach:.1%} "
        "above the prediction"
    )
    return [told, *model_notes(model, shapes(space, [row.cell for row in rows]))]


def _usable(latencies: Latencies, space: Space) -> dict[Cell, Row]:
    """The rows of `space` that have a latency, by cell."""
    rows = latencies.table.rows
    return {
        row.cell: row for row in rows if row.cell.space == space.name and row.latency_ms is not None
    }


def _as_wide(rows: Sequence[Row], table: Table) -> tuple[Row, ...]:
    """`rows` with empty values in the columns that `table` has in addition."""
    return tuple(replace(row, extra=(None,) * len(table.extra)) for row in rows)
