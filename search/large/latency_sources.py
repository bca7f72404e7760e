"""Sources of latencies for a large space: block tables, or a model fitted to measured cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from compofa.common.arrays import FloatArray, IntArray
from compofa.common.errors import UserError
from compofa.profiler.block_tables.block_table import BlockTable, sums
from compofa.profiler.latency_model import LatencyModel
from compofa.profiler.results.predict import predicted_rows, shapes, table_shared_error
from compofa.profiler.results.table import Cell, Table
from compofa.profiler.settings import PREDICTION_CONFIDENCE
from compofa.search.exact import upper_ms
from compofa.search.large.costs import SubnetCost, UnitCost
from compofa.search.large.genomes import Genomes
from compofa.supernet.space import Space
from compofa.supernet.subnet import Subnet


class LatencySource(Protocol):
    """A source that knows the latency of every subnet of a space on one device."""

    @property
    def path(self) -> Path:
        """The file or folder from which it was read."""

    @property
    def resolutions(self) -> tuple[int, ...] | None:
        """The resolutions that it knows, ascending; None if it knows all."""

    @property
    def dtype(self) -> str:
        """The dtype of the weights and activations that were timed."""

    def cost(self, genomes: Genomes, risk: float | None) -> SubnetCost:
        """The milliseconds that are compared with a latency limit, as a cost.

        These are the latencies; with `risk`, what the true latencies exceed with that probability.

        Raises:
            UserError: a latency is missing, or `risk` is given but there are no intervals.
        """

    def table(self, space: Space, subnets: Mapping[int, Sequence[Subnet]]) -> Table:
        """A table of the latencies of some subnets, which are given by resolution."""


@dataclass(frozen=True)
class BlockDevice:
    """A device of which the latency of each block is known; they are summed up."""

    blocks: BlockTable

    @property
    def path(self) -> Path:
        """The folder of the block tables."""
        return self.blocks.folder

    @property
    def resolutions(self) -> tuple[int, ...] | None:
        """The resolutions of which the folder has a block table."""
        return self.blocks.resolutions

    @property
    def dtype(self) -> str:
        """The word "unknown", because block tables do not state it."""
        return "unknown"

    def cost(self, genomes: Genomes, risk: float | None) -> SubnetCost:
        """See `LatencySource`."""
        if risk is not None:
            message = "--risk needs latencies with intervals, which block tables do not have"
            raise UserError(message, path=self.path)
        space = genomes.space
        cost = UnitCost.from_slots(
            genomes, lambda resolution: self.blocks.slot_terms(space, resolution)
        )
        # A block that the table lacks is reported now. In the search, its NaN would only keep
        # subnets from being found.
        for i, resolution in enumerate(genomes.resolutions):
            for unit, terms in enumerate(cost.terms):
                for choice in np.flatnonzero(np.isnan(cost.fixed[i] + terms[i]))[:1]:
                    genome = np.zeros(len(genomes.sizes), dtype=np.int64)
                    genome[unit] = choice
                    # This raises an error that names the missing block.
                    self.blocks.latency(space, genomes.subnet(genome), resolution)
        return cost

    def table(self, space: Space, subnets: Mapping[int, Sequence[Subnet]]) -> Table:
        """See `LatencySource`."""
        return sums(self.blocks, space, self.path.resolve().name or "device", subnets)


@dataclass(frozen=True)
class ModelDevice:
    """A device whose latencies are predicted by a model that was fitted to a table's measured rows.

    Attributes:
        path: the file of the table.
        measured: the table.
        model: the fitted model.
        batch_size: the batch size of the predicted cells.
    """

    path: Path
    measured: Table
    model: LatencyModel
    batch_size: int

    @classmethod
    def fit(cls, path: Path, table: Table, space: Space, batch_size: int | None) -> ModelDevice:
        """Fits the model to the measured rows of `space`.

        Args:
            path: the file of the table.
            table: the table.
            space: the space of the rows.
            batch_size: that of the cells to predict; needed only if the table has several.

        Raises:
            UserError: too few rows are measured, or `batch_size` is needed but not given.
        """
        rows = {
            row.cell: row.latency_ms
            for row in table.rows
            if row.cell.space == space.name and row.source == "measured" and row.latency_ms
        }
        try:
            model = LatencyModel.fit(space, shapes(space, list(rows)), list(rows.values()))
        except UserError as error:
            raise UserError(error.message, path=path, hint=error.hint) from None
        sizes = model.batch_sizes
        if batch_size is None and len(sizes) > 1:
            message = f"the table has batch sizes {', '.join(map(str, sizes))}"
            raise UserError(message, path=path, hint="choose one with --batch-size")
        if batch_size is not None and batch_size not in sizes:
            known = ", ".join(map(str, sizes))
            message = f"the table has too few measured cells of batch size {batch_size}"
            raise UserError(message, path=path, hint=f"it has enough of {known}")
        model = replace(model, shared_error=table_shared_error(path, table))
        return cls(path, table, model, batch_size or sizes[0])

    @property
    def resolutions(self) -> tuple[int, ...] | None:
        """None, since the model can predict any resolution."""
        return None

    @property
    def dtype(self) -> str:
        """The dtype of the table's set-up."""
        return self.measured.setup.dtype

    def cost(self, genomes: Genomes, risk: float | None) -> SubnetCost:
        """See `LatencySource`."""
        return PredictedCost(self.model, genomes, self.batch_size, risk)

    def table(self, space: Space, subnets: Mapping[int, Sequence[Subnet]]) -> Table:
        """See `LatencySource`."""
        cells = [
            Cell(space.name, space.key(subnet), resolution, self.batch_size)
            for resolution, here in subnets.items()
            for subnet in here
        ]
        when = max((row.measured_at for row in self.measured.rows), default="")
        known = {row.cell: row for row in self.measured.rows if row.source == "measured"}
        rows = predicted_rows(self.model, space, cells, PREDICTION_CONFIDENCE, when)
        measured = tuple(known.get(row.cell, row) for row in rows)
        return Table(self.measured.setup, measured, self.measured.extra)


@dataclass(frozen=True)
class PredictedCost:
    """Latencies that a model predicts, as a `SubnetCost`.

    Attributes:
        model: the latency model.
        genomes: the subnets of the space.
        batch_size: the batch size of the cells.
        risk: as in `LatencySource.cost`.
    """

    model: LatencyModel
    genomes: Genomes
    batch_size: int
    risk: float | None

    def of(self, genomes: IntArray) -> FloatArray:
        """See `SubnetCost`."""
        pixels = self.genomes.pixels(genomes).tolist()
        cells = [
            (self.genomes.subnet(genome), size, self.batch_size)
            for genome, size in zip(genomes, pixels, strict=True)
        ]
        predicted = self.model.predict(cells, PREDICTION_CONFIDENCE)
        if self.risk is None:
            return predicted.latency_ms
        level = np.full(predicted.latency_ms.shape, PREDICTION_CONFIDENCE)
        return upper_ms(predicted.latency_ms, predicted.high_ms, level, self.risk)

    def least(self) -> IntArray | None:
        """None: the fastest subnet is not known without a search."""
        return None
