"""What the measured columns of a table come to, over its cells, and whether they are predicted."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from compofa.profiler.results.measures import interval_names
from compofa.profiler.results.meta import MeasuredColumn
from compofa.profiler.results.table import Table


@dataclass(frozen=True)
class ColumnSummary:
    """The values of the measured cells that have a column; None where there is none.

    Attributes:
        cells: how many have it.
        held_out_percent, predicted: see `MeasuredColumn`.
    """

    cells: int
    min: float | None
    median: float | None
    max: float | None
    held_out_percent: float | None
    predicted: bool


def summarise_columns(
    table: Table, measures: Mapping[str, MeasuredColumn]
) -> dict[str, ColumnSummary]:
    """Of each column of `table` that its meta file has among the measured ones."""
    summaries = {}
    for place, name in enumerate(table.extra):
        column = measures.get(name)
        if column is None:
            continue
        known = [
            value
            for row in table.rows
            if row.source == "measured" and (value := row.extra[place]) is not None
        ]
        summaries[name] = ColumnSummary(
            cells=len(known),
            min=min(known, default=None),
            median=statistics.median(known) if known else None,
            max=max(known, default=None),
            held_out_percent=column.held_out_percent,
            predicted=column.predicted,
        )
    return summaries


def described_columns(
    table: Table, measures: Mapping[str, MeasuredColumn]
) -> list[tuple[str, str]]:
    """The names of columns that are no end of an interval, each with a few words on it."""
    summaries = summarise_columns(table, measures)
    ends = {end for name in summaries for end in interval_names(name)}
    return [(name, _described(each)) for name, each in summaries.items() if name not in ends]


def _described(summary: ColumnSummary) -> str:
    if summary.median is None:
        return "not known of any cell"
    told = f"{summary.median:.4g} (from {summary.min:.4g} to {summary.max:.4g})"
    if summary.predicted:
        told += f", predicted within {summary.held_out_percent:.1f} % on held-out cells"
    return told
