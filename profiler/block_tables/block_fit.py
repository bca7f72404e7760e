"""Block latencies that explain the latencies of whole subnets, where no block was timed.

Whole subnets do not say how fast each block is: blocks that always come together share one number.
So this finds the non-negative block latencies that reproduce the subnets best (least squares); if
several do, it takes those nearest to a share by MACs. Their sums are valid for subnets like those
of the table. The figure of a single block is part of such sums, not a measurement of the block.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compofa.common.arrays import FloatArray
from compofa.common.errors import UserError
from compofa.profiler.block_tables.block_files import BlockTime
from compofa.profiler.results.table import Row, Table
from compofa.supernet.blocks import Block
from compofa.supernet.graph import graph_blocks
from compofa.supernet.space import Space

MACS_PULL = 1e-3
"""Weight of the pull towards a share by MACs: enough to decide a tie, far too little to bend one.

It enters the least squares squared: one part in a million of one subnet's weight.
"""


@dataclass(frozen=True)
class BlockFit:
    """Block latencies and how well their sums reproduce the table.

    Attributes:
        blocks: for each resolution, block key -> latency; `count` is the number of subnets that
            have the block, and the standard deviation is 0, since none was observed.
        errors: for each resolution, |sum of blocks - latency| / latency of each subnet.
    """

    blocks: dict[int, dict[str, BlockTime]]
    errors: dict[int, FloatArray]


def fit_blocks(table: Table, space: Space) -> BlockFit:
    """The block latencies behind `table`'s rows of `space`, each resolution by itself.

    Raises:
        UserError: the table has no such rows, several batch sizes, or keys of another space.
    """
    rows = [row for row in table.rows if row.cell.space == space.name and row.latency_ms]
    if not rows:
        raise UserError(f"the table has no latencies of space {space.name}")
    batches = sorted({row.cell.batch_size for row in rows})
    if len(batches) > 1:
        listed = ", ".join(map(str, batches))
        raise UserError(f"the table has batch sizes {listed}, and a block table is of a single one")
    fit = BlockFit({}, {})
    for resolution in sorted({row.cell.resolution for row in rows}):
        here = [row for row in rows if row.cell.resolution == resolution]
        fit.blocks[resolution], fit.errors[resolution] = _fit(here, space, resolution)
    return fit


def _fit(rows: list[Row], space: Space, resolution: int) -> tuple[dict[str, BlockTime], FloatArray]:
    from scipy.optimize import nnls

    graphs = [graph_blocks(space, space.parse(row.cell.subnet), resolution) for row in rows]
    known: dict[str, Block] = {block.key: block for blocks in graphs for block in blocks}
    column = {key: j for j, key in enumerate(known)}
    counts = np.zeros((len(rows), len(known)))
    for i, blocks in enumerate(graphs):
        for block in blocks:
            counts[i, column[block.key]] += 1
    latency = np.array([row.latency_ms for row in rows], dtype=np.float64)
    # At least one, for blocks without MACs: pooling.
    macs = np.array([max(block.macs, 1) for block in known.values()], dtype=np.float64)
    share = macs * (latency.sum() / (counts @ macs).sum())
    pull = MACS_PULL * np.eye(len(known))
    fitted, _ = nnls(np.vstack([counts, pull]), np.concatenate([latency, pull @ share]))
    users = (counts > 0).sum(axis=0)
    times = {key: BlockTime(float(fitted[j]), 0.0, int(users[j])) for key, j in column.items()}
    return times, np.abs(counts @ fitted - latency) / latency
