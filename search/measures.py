"""What subnets cost besides latency: MACs, parameters, bytes, and a table's own columns."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from compofa.common.arrays import FloatArray
from compofa.common.errors import UserError, suggestion
from compofa.search.candidates import Candidates
from compofa.supernet.blocks import Block
from compofa.supernet.export.dtype import bytes_per_number


class Measure(Protocol):
    """Something that every candidate costs."""

    @property
    def name(self) -> str:
        """What it counts, for messages: "MACs"."""

    def of(self, candidates: Candidates) -> FloatArray:
        """Of each candidate, [n]; NaN where it is not known.

        Raises:
            UserError: the candidates do not have it.
        """


@dataclass(frozen=True)
class BlockMeasure:
    """A cost that the blocks of a subnet have, per image.

    Attributes:
        block: of one block.
        combine: `np.add` where blocks add up, `np.maximum` where the worst of them decides.
        numbers: whether it counts numbers that are held, so that its unit is the bytes of these.
    """

    name: str
    block: Callable[[Block], int]
    combine: np.ufunc = np.add
    numbers: bool = False

    def of(self, candidates: Candidates) -> FloatArray:
        """See `Measure`."""
        totals = candidates.block_totals(self.block, self.combine)
        return totals * self.unit(*(table.table.setup.dtype for table in candidates.tables))

    def unit(self, *dtypes: str) -> int:
        """What a total is multiplied by: the bytes of the widest of `dtypes`, or 1."""
        return max(map(bytes_per_number, dtypes)) if self.numbers else 1


MEASURES = {
    "macs": BlockMeasure("MACs", lambda block: block.macs),
    "params": BlockMeasure("parameters", lambda block: block.params),
    "size": BlockMeasure("bytes of weights", lambda block: block.folded_params, numbers=True),
    "memory": BlockMeasure(
        "bytes of activations", lambda block: block.peak_activations, np.maximum, numbers=True
    ),
}
"""Those that every subnet has, by the name of their option."""


@dataclass(frozen=True)
class ColumnMeasure:
    """A column that somebody has added to a table; with several such tables, their sum."""

    name: str

    def of(self, candidates: Candidates) -> FloatArray:
        """See `Measure`."""
        columns = [
            np.array([_number(row.extra[place]) for row in rows])
            for table, rows in zip(candidates.tables, candidates.rows, strict=True)
            if (place := _place(self.name, table.table.extra)) is not None
        ]
        if not columns:
            known = [
                LATENCY,
                *MEASURES,
                *(name for each in candidates.tables for name in each.table.extra),
            ]
            raise UserError(
                f"no table has a column {self.name[:60]}",
                hint=suggestion(self.name, known),
            )
        total: FloatArray = np.sum(columns, axis=0)
        return total


@dataclass(frozen=True)
class LatencyMeasure:
    """The latency; with several tables, the largest of them."""

    name: str = "ms of latency"

    def of(self, candidates: Candidates) -> FloatArray:
        """See `Measure`."""
        largest: FloatArray = candidates.latency_ms.max(axis=1)
        return largest


LATENCY = "latency_ms"
"""What an option calls the latency."""


def _place(name: str, columns: tuple[str, ...]) -> int | None:
    return columns.index(name) if name in columns else None


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def measure(name: str) -> Measure:
    """The measure of that name: `LATENCY`, one of `MEASURES`, else a column of the tables."""
    if name == LATENCY:
        return LatencyMeasure()
    return MEASURES.get(name) or ColumnMeasure(name)


@dataclass(frozen=True)
class Bound:
    """The most that a candidate may cost of something."""

    measure: Measure
    most: float

    def __str__(self) -> str:
        return f"{_shown(self.most)} {self.measure.name}"


def within_bound(candidates: Candidates, bound: Bound) -> tuple[Candidates, str | None]:
    """The candidates that keep within `bound`, or why there is none.

    Raises:
        UserError: see `Measure.of`.
    """
    costs = bound.measure.of(candidates)
    kept = costs <= bound.most
    if kept.any():
        return candidates.keep(kept), None
    if np.isnan(costs).all():
        return candidates, f"no subnet has at most {bound}: it is not known of any"
    cell = candidates.cells[int(np.nanargmin(costs))]
    least = f"{cell.subnet} at {cell.resolution} has the least, {_shown(float(np.nanmin(costs)))}"
    return candidates, f"no subnet has at most {bound}: {least}"


def accurate_enough(candidates: Candidates, top1: float) -> tuple[Candidates, str | None]:
    """The candidates whose accuracy is at least `top1`, or why there is none."""
    kept = candidates.top1 >= top1
    if kept.any():
        return candidates.keep(kept), None
    best = int(candidates.top1.argmax())
    cell = candidates.cells[best]
    most = f"{cell.subnet} at {cell.resolution} has the most, {candidates.top1[best]:.2%}"
    return candidates, f"no subnet has a {candidates.top1_name} of {top1:.2%}: {most}"


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,g}"
