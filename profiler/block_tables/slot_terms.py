"""Costs that add up over blocks, or are those of the worst block, for many subnets at once.

Outside ResNet spaces a block's shape depends on nothing but its slot, its expand ratio and its
kernel: the channels between blocks are fixed. A cost that adds up over blocks (MACs, parameters,
the latency of a block table) is then one number per slot, expand ratio and kernel, and the cost of
a million subnets is a million look-ups. So is one that the worst block decides (memory).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compofa.common.arrays import FloatArray
from compofa.supernet.blocks import Block
from compofa.supernet.families.registry import family_of
from compofa.supernet.graph import graph_blocks
from compofa.supernet.space import Space
from compofa.supernet.subnet import Subnet, SubnetArrays


@dataclass(frozen=True)
class SlotTerms:
    """The terms of one space at one resolution.

    Attributes:
        fixed: of the blocks that every subnet has.
        terms: [slots, expands, kernels]; zero at expand 0 and kernel 0, where no block is.
        expands, kernels: what the last two axes stand for, ascending, 0 first.
        combine: how terms make a total: `np.add`, or `np.maximum` where the worst block decides.
    """

    fixed: float
    terms: FloatArray
    expands: FloatArray
    kernels: npt.NDArray[np.int64]
    combine: np.ufunc = np.add

    def totals(self, subnets: SubnetArrays) -> FloatArray:
        """The cost of each subnet, [n]."""
        slots = range(self.terms.shape[0])
        part = self.part(slots, subnets.expands, subnets.kernels)
        totals: FloatArray = self.combine(self.fixed, part)
        return totals

    def part(self, slots: range, expands: FloatArray, kernels: npt.NDArray[np.int64]) -> FloatArray:
        """The cost of the blocks in some consecutive `slots`, [n].

        Args:
            slots: s of them.
            expands, kernels: [n, s], 0 where no block is.
        """
        at_expand = np.searchsorted(self.expands, expands)
        at_kernel = np.searchsorted(self.kernels, kernels)
        terms = self.terms[np.array(slots), at_expand, at_kernel]
        part: FloatArray = self.combine.reduce(terms, axis=1)
        return part


def is_separable(space: Space) -> bool:
    """Whether the blocks of `space` depend on their own slot alone."""
    return family_of(space).separable


def slot_terms(
    space: Space,
    resolution: int,
    cost: Callable[[Block], float],
    combine: np.ufunc = np.add,
) -> SlotTerms:
    """The terms of `cost`, which may be NaN for blocks that have none.

    Raises:
        ValueError: the space is not separable.
    """
    if not is_separable(space):
        raise ValueError(f"blocks of {space.name} depend on more than their slot")
    expands = (0.0, *sorted({e for unit in space.units for e in unit.expands}))
    kernels = (0, *sorted({k for unit in space.units for k in unit.kernels}))
    depths = tuple(max(unit.depths) for unit in space.units)
    terms = np.zeros((space.slots, len(expands), len(kernels)))
    fixed = 0.0
    for i, expand in enumerate(expands[1:], start=1):
        for j, kernel in enumerate(kernels[1:], start=1):
            # The deepest subnet with the same choice everywhere shows each slot once. It need not
            # be of the space: a coupling does not change what a block looks like.
            same = Subnet(depths, (expand,) * space.slots, (kernel,) * space.slots)
            blocks = graph_blocks(space, same, resolution)
            terms[:, i, j] = [cost(block) for block in blocks if block.unit is not None]
            fixed = combine.reduce([cost(block) for block in blocks if block.unit is None])
    return SlotTerms(fixed, terms, np.array(expands), np.array(kernels, dtype=np.int64), combine)


def block_totals(
    space: Space,
    subnets: Sequence[Subnet],
    resolution: int,
    cost: Callable[[Block], float],
    combine: np.ufunc = np.add,
) -> FloatArray:
    """`cost` combined over the blocks of each subnet, [n], in any space."""
    if is_separable(space):
        return slot_terms(space, resolution, cost, combine).totals(space.arrays(subnets))
    graphs = (graph_blocks(space, subnet, resolution) for subnet in subnets)
    totals = [combine.reduce([cost(block) for block in blocks]) for blocks in graphs]
    return np.array(totals, dtype=np.float64)
