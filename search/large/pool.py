"""The subnets that a search has evaluated, each once, with their accuracies and costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compofa.common.arrays import FloatArray, IntArray
from compofa.search.accuracy.sources import ArrayAccuracy
from compofa.search.large.costs import SubnetCost, costs_of
from compofa.search.large.genomes import Genomes


@dataclass(frozen=True)
class Problem:
    """What is searched: subnets that have an accuracy and k costs, which can be limited."""

    genomes: Genomes
    accuracy: ArrayAccuracy
    costs: Sequence[SubnetCost]

    def top1(self, genomes: IntArray) -> FloatArray:
        """The accuracy of each genome, [n]."""
        subnets = self.genomes.arrays(genomes)
        return self.accuracy.top1_of(self.genomes.space, subnets, self.genomes.pixels(genomes))


class SubnetPool:
    """The subnets that were evaluated so far, in the order in which they were added.

    Attributes:
        problem: what is searched.
        genomes: the subnets, [n, numbers].
        top1: their accuracies as fractions of one, [n].
        costs: their costs, [n, k].
    """

    def __init__(self, problem: Problem, rng: np.random.Generator) -> None:
        numbers = len(problem.genomes.sizes)
        self.problem = problem
        self.genomes = np.empty((0, numbers), dtype=np.int64)
        self.top1 = np.empty(0)
        self.costs = np.empty((0, len(problem.costs)))
        # A genome is looked up by a name, which is a random linear hash modulo 2^64. The
        # probability that any two of a million genomes have the same name is 3e-8; the second
        # would then be taken for the first.
        self._multipliers = rng.integers(1, 2**63, size=numbers, dtype=np.int64)
        self._names = np.empty(0, dtype=np.int64)
        self._where = np.empty(0, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.genomes)

    def look(self, genomes: IntArray) -> IntArray:
        """Evaluates those of `genomes` that are new, and returns the positions of all, [n]."""
        names = genomes @ self._multipliers
        new = np.flatnonzero(~self._known(names))
        _, first = np.unique(names[new], return_index=True)
        unseen = genomes[new[first]]
        if len(unseen):
            costs = costs_of(self.problem.costs, unseen)
            self._add(names[new[first]], unseen, self.problem.top1(unseen), costs)
        return self._where[np.searchsorted(self._names, names)]

    def take_in(self, other: SubnetPool) -> None:
        """Adds the subnets of another pool of the same problem."""
        names = other.genomes @ self._multipliers
        order = np.argsort(names)
        new = order[~self._known(names[order])]
        self._add(names[new], other.genomes[new], other.top1[new], other.costs[new])

    def _known(self, names: IntArray) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        if not len(self._names):
            return np.zeros(len(names), dtype=np.bool_)
        at = np.minimum(np.searchsorted(self._names, names), len(self._names) - 1)
        known: np.ndarray[tuple[int], np.dtype[np.bool_]] = self._names[at] == names
        return known

    def _add(self, names: IntArray, genomes: IntArray, top1: FloatArray, costs: FloatArray) -> None:
        """Adds genomes whose `names` are new and ascending."""
        positions = np.arange(len(self), len(self) + len(genomes))
        places = np.searchsorted(self._names, names)
        self._names = np.insert(self._names, places, names)
        self._where = np.insert(self._where, places, positions)
        self.genomes = np.concatenate([self.genomes, genomes])
        self.top1 = np.concatenate([self.top1, top1])
        self.costs = np.concatenate([self.costs, costs])
