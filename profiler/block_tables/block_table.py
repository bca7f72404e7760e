"""Block tables: latencies of single blocks, whose sum is a subnet's latency."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from compofa.common.arrays import FloatArray
from compofa.common.csv_lines import check_text
from compofa.common.errors import UserError
from compofa.profiler.block_tables.block_files import (
    Blocks,
    BlockTime,
    block_file,
    read_block_files,
)
from compofa.profiler.block_tables.slot_terms import SlotTerms, is_separable, slot_terms
from compofa.profiler.results.table import Cell, Row, SetUp, Table
from compofa.profiler.settings import CONFIDENCE
from compofa.supernet.blocks import Block
from compofa.supernet.graph import graph_blocks
from compofa.supernet.space import Space
from compofa.supernet.spaces import SPACES
from compofa.supernet.subnet import Subnet


@dataclass(frozen=True)
class BlockTable:
    """The block latencies of one device.

    Attributes:
        folder: where it was read; names it in messages.
        blocks: for each resolution, block key -> latency.
    """

    folder: Path
    blocks: Blocks
    _terms: dict[tuple[Space, int], SlotTerms] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def resolutions(self) -> tuple[int, ...]:
        """The resolutions it covers, ascending."""
        return tuple(sorted(self.blocks))

    def latency(self, space: Space, subnet: Subnet, resolution: int) -> float:
        """Milliseconds: the sum of the means of the subnet's blocks, the first block included.

        Raises:
            UserError: the table lacks the resolution, or a block; the message names it.
        """
        times = self._at(resolution)
        total = 0.0
        for block in graph_blocks(space, subnet, resolution):
            if block.key not in times:
                raise self._missing(block, space, resolution)
            total += times[block.key].mean_ms
        return total

    def latencies(self, space: Space, subnets: Sequence[Subnet], resolution: int) -> FloatArray:
        """`latency` of each subnet, [n], within rounding.

        Raises:
            UserError: as `latency`.
        """
        import numpy as np

        if not is_separable(space):
            return np.array([self.latency(space, each, resolution) for each in subnets])
        latencies = self.slot_terms(space, resolution).totals(space.arrays(subnets))
        # The first that is missing is computed again, which raises the error that names the block.
        for i in np.flatnonzero(np.isnan(latencies))[:1]:
            self.latency(space, subnets[i], resolution)
        return latencies

    def slot_terms(self, space: Space, resolution: int) -> SlotTerms:
        """The latencies as terms of slot, expand ratio and kernel; NaN where a block is missing.

        Raises:
            UserError: the table lacks the resolution.
            ValueError: the space is not separable.
        """
        key = (space, resolution)
        if key not in self._terms:
            times = self._at(resolution)

            def mean(block: Block) -> float:
                time = times.get(block.key)
                return float("nan") if time is None else time.mean_ms

            self._terms[key] = slot_terms(space, resolution, mean)
        return self._terms[key]

    def _at(self, resolution: int) -> Mapping[str, BlockTime]:
        if resolution not in self.blocks:
            known = ", ".join(map(str, self.resolutions))
            message = f"the block table has no resolution {resolution}"
            raise UserError(message, path=self.folder, hint=f"it has {known}")
        return self.blocks[resolution]

    def _missing(self, block: Block, space: Space, resolution: int) -> UserError:
        covered = [each.name for each in SPACES.values() if self._covers(each, resolution)]
        message = f"space {space.name} needs block {block.key}, which is not in this table"
        hint = f"its blocks are those of {', '.join(covered)}" if covered else None
        return UserError(message, path=block_file(self.folder, resolution), hint=hint)

    def _covers(self, space: Space, resolution: int) -> bool:
        largest = graph_blocks(space, space.extreme(largest=True), resolution)
        return all(block.key in self.blocks[resolution] for block in largest)


def import_lut(
    folder: Path, space: Space, device: str, resolutions: Sequence[int] | None = None
) -> Table:
    """A block table as a latency table of every subnet of `space`, at batch size 1.

    A sum of blocks is a prediction: nobody timed these subnets. How far sums are off, the spread of
    single blocks does not tell, so the rows have no interval.

    Args:
        folder: the block table.
        space: an enumerable space.
        device: what the table's device is called.
        resolutions: which to take; the space's own that the block table has, unless given.

    Raises:
        UserError: a file is wrong, a block or resolution is missing, the space is too large.
    """
    blocks = read_block_table(folder)
    subnets = space.enumerate()
    if resolutions is None:
        resolutions = [each for each in space.resolutions if each in blocks.blocks]
        if not resolutions:
            known, wanted = _listed(blocks.resolutions), _listed(space.resolutions)
            message = f"the block table has resolutions {known}; space {space.name} uses {wanted}"
            raise UserError(message, path=folder, hint="choose with --resolutions")
    return sums(blocks, space, device, dict.fromkeys(resolutions, subnets))


def sums(
    blocks: BlockTable, space: Space, device: str, subnets: Mapping[int, Sequence[Subnet]]
) -> Table:
    """The latencies of some subnets at each resolution, as a table at batch size 1.

    Raises:
        UserError: a block or resolution is missing, or the device's name is not valid.
    """
    try:
        check_text(device, "the device's name")
    except ValueError as error:
        raise UserError(str(error)) from None
    key = lru_cache(maxsize=None)(space.key)
    rows = [
        _row(blocks.folder, Cell(space.name, key(subnet), resolution, 1), float(latency))
        for resolution, here in subnets.items()
        for subnet, latency in zip(here, blocks.latencies(space, here, resolution), strict=True)
    ]
    return Table(SetUp(device, "unknown", "", "unknown", 0, "unknown"), tuple(rows))


def _row(folder: Path, cell: Cell, latency_ms: float) -> Row:
    if not 0 < latency_ms < math.inf:
        message = f"the blocks of {cell.subnet} add up to {latency_ms} ms"
        raise UserError(message, path=block_file(folder, cell.resolution))
    return Row(cell, latency_ms, None, None, CONFIDENCE, None, "predicted", "ok", 0, 0, "", "")


def read_block_table(folder: Path) -> BlockTable:
    """Reads a folder of ``RES_lookup_table.yaml`` files.

    Raises:
        UserError: there is none, or one is not as published; the message names file and line.
    """
    return BlockTable(folder, read_block_files(folder))


def _listed(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))
