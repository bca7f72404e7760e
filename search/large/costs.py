"""The costs of subnets as functions of genomes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from compofa.common.arrays import FloatArray, IntArray
from compofa.profiler.block_tables.slot_terms import (
    SlotTerms,
    block_totals,
    is_separable,
    slot_terms,
)
from compofa.search.large.genomes import Genomes
from compofa.supernet.blocks import Block


class SubnetCost(Protocol):
    """A cost of subnets that can be limited, such as the latency on a device."""

    def of(self, genomes: IntArray) -> FloatArray:
        """The cost of each genome, [n]."""

    def least(self) -> IntArray | None:
        """The cheapest genome, [numbers]; None if it is not known without a search."""


@dataclass(frozen=True)
class UnitCost:
    """A cost that is the sum, or the maximum, of one term per unit.

    Attributes:
        fixed: the term of the blocks that every subnet has, [resolutions].
        terms: for each unit the terms of its choices, [resolutions, choices].
        combine: how the terms make a total: `np.add` or `np.maximum`.
    """

    fixed: FloatArray
    terms: tuple[FloatArray, ...]
    combine: np.ufunc = np.add

    @classmethod
    def from_slots(cls, genomes: Genomes, at: Callable[[int], SlotTerms]) -> UnitCost:
        """Makes the cost from the terms of block slots.

        Args:
            genomes: the subnets of the space.
            at: returns the terms of the slots at a resolution.
        """
        slots = [at(resolution) for resolution in genomes.resolutions]
        terms = [
            np.stack([each.part(positions, unit.expands, unit.kernels) for each in slots])
            for positions, unit in zip(genomes.space.slot_ranges, genomes.units, strict=True)
        ]
        fixed = np.array([each.fixed for each in slots])
        return cls(fixed, tuple(terms), slots[0].combine)

    def of(self, genomes: IntArray) -> FloatArray:
        """See `SubnetCost`."""
        sizes = genomes[:, -1]
        total: FloatArray = self.fixed[sizes]
        for terms, at in zip(self.terms, genomes.T, strict=False):
            total = self.combine(total, terms[sizes, at])
        return total

    def least(self) -> IntArray | None:
        """The cheapest choice of every unit, at the resolution where their total is smallest."""
        totals = self.combine.reduce([self.fixed, *(terms.min(axis=1) for terms in self.terms)])
        size = int(totals.argmin())
        return np.array([*(int(terms[size].argmin()) for terms in self.terms), size])


@dataclass(frozen=True)
class GraphCost:
    """A total over blocks, such as MACs, in a space where a block's cost depends on other blocks.

    Attributes:
        genomes: the subnets of the space.
        block: the cost of one block.
        combine: how the costs make a total: `np.add` or `np.maximum`.
    """

    genomes: Genomes
    block: Callable[[Block], float]
    combine: np.ufunc = np.add

    def of(self, genomes: IntArray) -> FloatArray:
        """See `SubnetCost`."""
        totals = np.empty(len(genomes))
        for i, resolution in enumerate(self.genomes.resolutions):
            here = np.flatnonzero(genomes[:, -1] == i)
            subnets = [self.genomes.subnet(genomes[row]) for row in here]
            if subnets:
                space = self.genomes.space
                totals[here] = block_totals(space, subnets, resolution, self.block, self.combine)
        return totals

    def least(self) -> IntArray | None:
        """None: the cheapest subnet is not known without a search."""
        return None


def block_cost(
    genomes: Genomes, block: Callable[[Block], float], combine: np.ufunc = np.add
) -> SubnetCost:
    """The total of `block` over the blocks of a subnet, as a cost.

    Args:
        genomes: the subnets of the space.
        block: the cost of one block.
        combine: how the costs make a total: `np.add` or `np.maximum`.
    """
    if not is_separable(genomes.space):
        return GraphCost(genomes, block, combine)

    def at(resolution: int) -> SlotTerms:
        return slot_terms(genomes.space, resolution, block, combine)

    return UnitCost.from_slots(genomes, at)


def costs_of(costs: Sequence[SubnetCost], genomes: IntArray) -> FloatArray:
    """Each of `costs` for each genome, [n, costs]."""
    return np.column_stack([cost.of(genomes) for cost in costs])
