"""Accuracies from a column of the latency tables themselves, as a manifest puts it there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compofa.common.arrays import FloatArray
from compofa.profiler.models.collection.collection import Collection
from compofa.profiler.results.table import Table
from compofa.search.accuracy.metric import Metric
from compofa.search.accuracy.sources import Cells
from compofa.supernet.space import Space


@dataclass(frozen=True)
class ColumnAccuracy:
    """What tables say themselves; see `AccuracySource`.

    Attributes:
        values: by the name of the model, and its resolution.
    """

    metric: Metric
    values: dict[tuple[str, int], float]

    @property
    def description(self) -> str:
        """Names the column."""
        return f"the column {self.metric.column} of the latency tables"

    @property
    def predicted(self) -> bool:
        """They are whatever the user says."""
        return False

    def resolutions(self, _space: Space | Collection, /) -> tuple[int, ...]:
        """Those of the tables' rows that have a value."""
        return tuple(sorted({size for _, size in self.values}))

    def top1(self, cells: Cells) -> FloatArray:
        """Looks the cells up; see `AccuracySource`."""
        pairs = zip(cells.keys, cells.sizes.tolist(), strict=True)
        return np.array([self.values.get(pair, np.nan) for pair in pairs], dtype=np.float64)

    def deviations(self, cells: Cells) -> FloatArray:
        """Not known."""
        return np.full(len(cells.keys), np.nan)


def column_accuracy(tables: Sequence[Table], metric: Metric) -> ColumnAccuracy | None:
    """The accuracies that the tables have in a column of that name; None where none has it.

    Of several tables that say something about a cell, the first counts. Where a share is above 1,
    the column is in percent.
    """
    values: dict[tuple[str, int], float] = {}
    for table in tables:
        if metric.column not in table.extra:
            continue
        place = table.extra.index(metric.column)
        for row in table.rows:
            value = row.extra[place]
            if value is not None:
                values.setdefault((row.cell.subnet, row.cell.resolution), value)
    if not values:
        return None
    if metric.is_share and max(values.values()) > 1:
        values = {cell: value / 100 for cell, value in values.items()}
    return ColumnAccuracy(metric, values)
