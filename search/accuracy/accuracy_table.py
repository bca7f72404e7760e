"""Accuracies from a table, such as the one that ships with this package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from compofa.common.arrays import FloatArray
from compofa.common.errors import UserError
from compofa.common.normal_interval import standard_deviation
from compofa.profiler.models.collection.collection import Collection
from compofa.search.accuracy.metric import TOP1, Metric
from compofa.search.accuracy.sources import Cells
from compofa.supernet.evaluation.accuracy_file import read_accuracy_table
from compofa.supernet.space import Space


@dataclass(frozen=True)
class AccuracyTable:
    """Accuracies that were read from a CSV file; an `AccuracySource`.

    Attributes:
        path: the file.
        values: top-1 accuracies as fractions of one, by the name of the space, and then by subnet
            key and resolution; or what the metric of the file is. The resolution of model files
            may be 0, for any.
        sources: the different values of the file's column `source`.
        spreads: the standard deviations of those accuracies that have an interval, arranged as
            `values`.
    """

    path: Path
    values: Mapping[str, Mapping[tuple[str, int], float]]
    sources: tuple[str, ...]
    spreads: Mapping[str, Mapping[tuple[str, int], float]]

    @classmethod
    def read(cls, path: Path, metric: Metric = TOP1) -> Self:
        """Reads an accuracy table, of which `metric` is the column that counts.

        Raises:
            UserError: the file is not an accuracy table; the message names the file and the line.
        """
        values: dict[str, dict[tuple[str, int], float]] = {}
        spreads: dict[str, dict[tuple[str, int], float]] = {}
        _, rows = read_accuracy_table(path, metric.column)
        for row in rows:
            cell = (row.subnet, row.resolution)
            values.setdefault(row.space, {})[cell] = row.top1
            if row.low is not None and row.high is not None:
                spread = standard_deviation((row.high - row.low) / 2, row.confidence)
                spreads.setdefault(row.space, {})[cell] = spread
        sources = tuple(dict.fromkeys(row.source for row in rows))
        return cls(path, values, sources, spreads)

    @property
    def description(self) -> str:
        """The file's first two sources, and how many more there are."""
        more = f" and {len(self.sources) - 2} more" if len(self.sources) > 2 else ""
        return ", ".join(self.sources[:2]) + more

    @property
    def predicted(self) -> bool:
        """Whether a source in the file begins with "predicted"."""
        return any(source.lower().startswith("predicted") for source in self.sources)

    def resolutions(self, space: Space | Collection, /) -> tuple[int, ...]:
        """The resolutions in the file's rows of `space`, ascending."""
        return tuple(sorted({size for _, size in self.values.get(space.name, {})}))

    def top1(self, cells: Cells) -> FloatArray:
        """Looks up the accuracies of the cells; see `AccuracySource`."""
        name = cells.space.name
        if name not in self.values:
            known = ", ".join(self.values)
            message = f"the accuracy table has no rows of space {name}"
            raise UserError(message, path=self.path, hint=f"it has rows of {known}")
        return _looked_up(self.values[name], cells)

    def deviations(self, cells: Cells) -> FloatArray:
        """Standard deviations, computed from the intervals in the file; see `AccuracySource`."""
        return _looked_up(self.spreads.get(cells.space.name, {}), cells)


def _looked_up(values: Mapping[tuple[str, int], float], cells: Cells) -> FloatArray:
    if not values:
        return np.full(len(cells.keys), np.nan)
    anywhere = {key: value for (key, size), value in values.items() if size == 0}
    pairs = zip(cells.keys, cells.sizes.tolist(), strict=True)
    found = [values.get((key, size), anywhere.get(key, np.nan)) for key, size in pairs]
    return np.array(found, dtype=np.float64)
