"""Physical features of cells: the work and shape of each block, and how deep a network is.

Nothing here is learned. Amounts of work are per image: models are fitted for one batch size each,
so that the batch's scale goes into the coefficients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from compofa.supernet.blocks import Add, Block, Conv, Layer, SqueezeExcite
from compofa.supernet.graph import build_graph, graph_blocks
from compofa.supernet.space import Space
from compofa.supernet.subnet import Subnet

Floats = npt.NDArray[np.float64]

Workload = tuple[Subnet, int, int]
"""A subnet, a resolution and a batch size."""

AMOUNTS = ("dense MACs", "depthwise MACs", "activations moved", "weights", "kernels launched")
"""What a device can be slow at; the columns of `Features.amounts`."""

SHAPE_SCALES = np.array([1.2, 1.0, 2.0, 0.8, 1.5, 0.75])
"""How much two blocks may differ in each column of `Features.shapes` and still be similar."""

SQUEEZE_EXCITE_KERNELS = 5
"""Operations that runtimes launch for one: pool, two convolutions, hard sigmoid, multiply."""


@dataclass(frozen=True)
class Features:
    """Many cells at once, as sums over the distinct blocks that they are made of.

    Attributes:
        counts: [cells, blocks], how often each cell has each block.
        amounts: [blocks, 5], work of each block, in the order of `AMOUNTS`.
        shapes: [blocks, 6], log2 of output pixels, widest channels, kernel size, log2 of stride,
            log2 of output channels, and 1 for squeeze-excite, each over its `SHAPE_SCALES`.
        depths: [cells, units + 1], depth of every unit, and half of their sum.
        resolutions: [cells], in pixels.
        others: [cells, other devices], how far the log latency on another device departs from that
            device's own roofline; no columns where there is no other device.
    """

    counts: Floats
    amounts: Floats
    shapes: Floats
    depths: Floats
    resolutions: Floats
    others: Floats

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def totals(self) -> Floats:
        """[cells, 5], work of each cell."""
        return self.counts @ self.amounts

    def take(self, rows: npt.NDArray[np.intp] | slice) -> Features:
        """The cells at `rows`."""
        return replace(
            self,
            counts=self.counts[rows],
            depths=self.depths[rows],
            resolutions=self.resolutions[rows],
            others=self.others[rows],
        )


def cell_features(space: Space, cells: Sequence[Workload]) -> Features:
    """Features of `cells`, which may be of several batch sizes.

    Raises:
        UserError: a subnet is not of `space`, or a resolution is out of bounds.
    """
    known: set[Subnet] = set()
    positions: dict[str, int] = {}
    blocks: list[Block] = []
    rows: list[int] = []
    columns: list[int] = []
    for i, (subnet, resolution, _) in enumerate(cells):
        for block in _blocks(space, subnet, resolution, known):
            at = positions.setdefault(block.key, len(blocks))
            if at == len(blocks):
                blocks.append(block)
            rows.append(i)
            columns.append(at)
    counts = np.zeros((len(cells), len(blocks)))
    np.add.at(counts, (rows, columns), 1.0)
    depths = np.array([s.depths for s, _, _ in cells], float).reshape(len(cells), -1)
    return Features(
        counts,
        np.array([_amounts(block) for block in blocks]).reshape(-1, len(AMOUNTS)),
        np.array([_shape(block) for block in blocks]).reshape(-1, len(SHAPE_SCALES)) / SHAPE_SCALES,
        np.column_stack([depths, depths.sum(axis=1) / 2]),
        np.array([resolution for _, resolution, _ in cells], float),
        np.empty((len(cells), 0)),
    )


def _blocks(space: Space, subnet: Subnet, resolution: int, known: set[Subnet]) -> tuple[Block, ...]:
    """Blocks of a cell; a subnet is checked the first time it comes."""
    if subnet in known and resolution in space.resolutions:
        return graph_blocks(space, subnet, resolution)
    known.add(subnet)
    return build_graph(space, subnet, resolution).blocks


def _amounts(block: Block) -> list[float]:
    depthwise = sum(a.macs for a in block.layers if isinstance(a, Conv) and a.depthwise)
    moved = sum(a.output.elements + _read(a) for a in block.layers)
    kernels = sum(
        SQUEEZE_EXCITE_KERNELS if isinstance(a, SqueezeExcite) else 1 for a in block.layers
    )
    return [block.macs - depthwise, depthwise, moved, block.params, kernels]


def _read(layer: Layer) -> int:
    """Activations that `layer` reads."""
    return layer.input.elements * (2 if isinstance(layer, Add) else 1)


def _shape(block: Block) -> list[float]:
    convs = [layer for layer in block.layers if isinstance(layer, Conv)]
    input, output = block.layers[0].input, block.layers[-1].output
    widest = max((conv.output.channels for conv in convs), default=output.channels)
    return [
        float(np.log2(output.height * output.width)),
        float(np.log2(widest)),
        float(max((conv.kernel for conv in convs), default=1)),
        float(np.log2(input.height / output.height)),
        float(np.log2(output.channels)),
        float(any(isinstance(layer, SqueezeExcite) for layer in block.layers)),
    ]
