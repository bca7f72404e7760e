"""Costs of subnets that can be bounded or minimised: MACs, parameters, bytes, table columns."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from compofa.common.arrays import FloatArray
from compofa.common.errors import UserError, suggestion
from compofa.profiler.models.collection.collection import Collection
from compofa.search.candidates import Candidates
from compofa.supernet.blocks import Block
from compofa.supernet.export.dtype import bytes_per_number


class Measure(Protocol):
    """A cost of candidates, such as MACs."""

    @property
    def name(self) -> str:
        """The name of what is counted, for messages, as in "MACs"."""

    def of(self, candidates: Candidates) -> FloatArray:
        """The cost of each candidate, [n]; NaN where it is not known.

        Raises:
            UserError: the cost is a column that no table has.
        """


@dataclass(frozen=True)
class BlockMeasure:
    """A cost per image that is the sum or the maximum of the costs of a subnet's blocks.

    Attributes:
        name: the name of what is counted, for messages.
        block: the cost of one block.
        combine: how the costs of the blocks make that of the subnet: `np.add` or `np.maximum`.
        numbers: whether it counts stored numbers, so that it is multiplied by their bytes.
        column: the column of tables about model files that says it.
    """

    name: str
    block: Callable[[Block], int]
    combine: np.ufunc = np.add
    numbers: bool = False
    column: str = ""

    def of(self, candidates: Candidates) -> FloatArray:
        """See `Measure`."""
        if isinstance(candidates.space, Collection):
            return self._of_files(candidates)
        totals = candidates.block_totals(self.block, self.combine)
        return totals * self.unit(*(table.table.setup.dtype for table in candidates.tables))

    def _of_files(self, candidates: Candidates) -> FloatArray:
        """What the tables say of model files, per image: the most, where several say it."""
        told = [
            np.array([_number(row.extra[place]) for row in rows])
            for table, rows in zip(candidates.tables, candidates.rows, strict=True)
            if (place := _place(self.column, table.table.extra)) is not None
        ]
        if not told:
            hint = "the tables know it of ONNX and TFLite files that compofa-profile has measured"
            raise UserError(f"the {self.name} of these model files are not known", hint=hint)
        costs: FloatArray = np.fmax.reduce(told)
        if self.column == "macs":
            costs = costs / np.array([cell.batch_size for cell in candidates.cells])
        return costs

    def unit(self, *dtypes: str) -> int:
        """The factor from a total to the cost: the bytes of the widest of `dtypes`, or 1."""
        return max(map(bytes_per_number, dtypes)) if self.numbers else 1


MEASURES = {
    "macs": BlockMeasure("MACs", lambda block: block.macs, column="macs"),
    "params": BlockMeasure("parameters", lambda block: block.params, column="parameters"),
    "size": BlockMeasure(
        "bytes of weights",
        lambda block: block.folded_params,
        numbers=True,
        column="weight_bytes",
    ),
    "memory": BlockMeasure(
        "bytes of activations", lambda block: block.peak_activations, np.maximum, numbers=True
    ),
}
"""The costs that every subnet has, by the names that options use."""


@dataclass(frozen=True)
class ColumnMeasure:
    """A further column of a table; the sum of the columns if several tables have it."""

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
    """The latency in milliseconds; with several tables, the largest of them."""

    name: str = "ms of latency"

    def of(self, candidates: Candidates) -> FloatArray:
        """See `Measure`."""
        largest: FloatArray = candidates.latency_ms.max(axis=1)
        return largest


LATENCY = "latency_ms"
"""The name that options use for the latency."""


def _place(name: str, columns: tuple[str, ...]) -> int | None:
    return columns.index(name) if name in columns else None


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def measure(name: str) -> Measure:
    """The measure with that name: `LATENCY`, one of `MEASURES`, or else a column of the tables."""
    if name == LATENCY:
        return LatencyMeasure()
    return MEASURES.get(name) or ColumnMeasure(name)


@dataclass(frozen=True)
class Bound:
    """An upper bound on a cost.

    Attributes:
        measure: the cost.
        most: the largest value allowed.
    """

    measure: Measure
    most: float

    def __str__(self) -> str:
        return f"{_shown(self.most)} {self.measure.name}"


def within_bound(candidates: Candidates, bound: Bound) -> tuple[Candidates, str | None]:
    """The candidates that keep within `bound`.

    Returns:
        The candidates and None; or, if none keeps within it, all candidates and a message.

    Raises:
        UserError: the bound is on a column that no table has.
    """
    costs = bound.measure.of(candidates)
    kept = costs <= bound.most
    if kept.any():
        return candidates.keep(kept), None
    if np.isnan(costs).all():
        return candidates, f"no {candidates.noun} has at most {bound}: the value of none is known"
    cell = candidates.cells[int(np.nanargmin(costs))]
    least = f"{cell.subnet} at {cell.resolution} has the least, {_shown(float(np.nanmin(costs)))}"
    return candidates, f"no {candidates.noun} has at most {bound}: {least}"


def accurate_enough(candidates: Candidates, top1: float) -> tuple[Candidates, str | None]:
    """The candidates whose accuracy is at least `top1`, a fraction of one.

    Returns:
        The candidates and None; or, if none is accurate enough, all candidates and a message.
    """
    kept = candidates.top1 >= top1
    if kept.any():
        return candidates.keep(kept), None
    best = int(candidates.top1.argmax())
    cell = candidates.cells[best]
    metric = candidates.metric
    reached, asked = metric.in_full(float(candidates.top1[best])), metric.in_full(top1)
    most = f"{cell.subnet} at {cell.resolution} has the most, {reached}"
    return candidates, f"no {candidates.noun} has a {candidates.top1_name} of {asked}: {most}"


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,g}"
