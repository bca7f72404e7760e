"""Beam search of spaces that are too large to list, with one pool of subnets for all questions.

1. Linear models of accuracy and of cost are fitted to a random sample of subnets, with one
   coefficient per block choice. Maximising accuracy minus lambda times cost then separates into
   units, so that the best subnet by the models is found at once for every lambda (Lagrangian
   relaxation of a multiple-choice knapsack; Fisher, Management Science 27, 1981). These subnets are
   the first in the pool.
2. For each question, the best subnets of the pool (its beam) are expanded: all subnets that differ
   from one of them by one step are evaluated. Pairs of steps are ranked by the sum of the changes
   that the single steps made, and the most promising pairs are evaluated too. Such a pair can make
   one block faster and another one more accurate.
3. The search ends when every subnet of every beam has been expanded. The result depends on the
   start, so the search starts several times from different samples, and a last search continues
   from all that these have found.

Accuracies and costs can be any functions of subnets that can be computed for many at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compofa.common.arrays import FloatArray, IntArray
from compofa.search.large.costs import costs_of
from compofa.search.large.pool import Problem, SubnetPool

SAMPLE = 2000
"""Random subnets to which the linear models are fitted."""

PRICES = np.geomspace(1e-3, 3, 40)
"""Values of lambda: the accuracy that a cost as large as the limit is worth."""

BEAM = 4
"""How many subnets per question are expanded."""

PAIRS = 60
"""How many pairs of steps are evaluated for each expanded subnet."""

STARTS = 3
"""How often the search starts. Three beams of 4 find better subnets than one of 12 in that time."""

MOST_ROUNDS = 60
"""A search ends after this many rounds; about twenty are usual."""

RIDGE = 0.1
"""Penalty of the linear models' ridge regression; one-hot features alone would be singular."""


def explore(problem: Problem, limits: FloatArray, seed: int) -> SubnetPool:
    """Searches for the most accurate subnets within each row of `limits`, [questions, k].

    If no subnet is within the limits, it searches for those that exceed them by the smallest
    factor. If the smallest possible cost is known and exceeds its limit, the question is not
    searched further.

    Args:
        problem: what is searched.
        limits: the limits of each question on the k costs of the problem.
        seed: the random seed.

    Returns:
        All subnets that were evaluated.

    Raises:
        UserError: the accuracy source has no accuracies of the space.
    """
    rng = np.random.default_rng(seed)
    pool = SubnetPool(problem, rng)
    limits = limits[_may_be_met(pool, limits)]
    if not len(limits):
        return pool
    # Each start has a pool of its own, so that it does not follow the subnets of another.
    for _ in range(STARTS):
        start = SubnetPool(problem, rng)
        start.look(problem.genomes.random(SAMPLE, rng))
        start.look(_by_linear_models(start, limits))
        _climb(start, limits)
        pool.take_in(start)
    _climb(pool, limits)
    return pool


def _climb(pool: SubnetPool, limits: FloatArray) -> None:
    """Expands the beams until they contain no subnet that was not expanded yet."""
    beams = [np.empty(0, dtype=np.int64) for _ in limits]
    done: set[tuple[int, int]] = set()
    seen = 0
    for _ in range(MOST_ROUNDS):
        new, seen = np.arange(seen, len(pool)), len(pool)
        beams = [
            best(pool, limit, BEAM, np.concatenate([beam, new]))
            for beam, limit in zip(beams, limits, strict=True)
        ]
        todo = [
            (position, question)
            for question, beam in enumerate(beams)
            for position in beam.tolist()
            if (position, question) not in done
        ]
        if not todo:
            break
        done.update(todo)
        steps = _take_apart(pool, {position for position, _ in todo})
        pairs = [steps[position].pairs(pool, limits[question]) for position, question in todo]
        jumps = [steps[position].jumps(pool, limits[question]) for position, question in todo]
        pool.look(np.concatenate(pairs + jumps))


def _may_be_met(pool: SubnetPool, limits: FloatArray) -> npt.NDArray[np.bool_]:
    """Evaluates the cheapest subnets, where they are known without a search.

    Returns:
        Whether the limits of each question may be met, [q].
    """
    known = [(i, cost.least()) for i, cost in enumerate(pool.problem.costs)]
    cheapest = {i: genome for i, genome in known if genome is not None}
    if not cheapest:
        return np.ones(len(limits), dtype=np.bool_)
    there = pool.look(np.stack(list(cheapest.values())))
    columns = list(cheapest)
    least = pool.costs[there, columns]
    return np.asarray((least <= limits[:, columns]).all(axis=1))


def best(pool: SubnetPool, limit: FloatArray, count: int, among: IntArray) -> IntArray:
    """The positions of the `count` best subnets for a question, in no particular order.

    Args:
        pool: the subnets evaluated so far.
        limit: the question's limits on the k costs, [k].
        count: how many subnets to return.
        among: the positions from which to choose.
    """
    if count >= len(among):
        return among
    worth = _worth(pool.top1[among], pool.costs[among], limit)
    return among[np.argpartition(-worth, count)[:count]]


def _worth(top1: FloatArray, costs: FloatArray, limit: FloatArray) -> FloatArray:
    """A score for ranking: the accuracy within the limits, else minus the factor of the excess."""
    excess = (costs / limit).max(axis=-1)
    return np.where(excess <= 1, top1, -excess)


@dataclass(frozen=True)
class _Steps:
    """A subnet of the pool and the m subnets that differ from it by one step.

    Attributes:
        start: the position of the subnet in the pool.
        positions: the positions of the others, [m].
        changed: which number of the genome each step changes, [m].
    """

    start: int
    positions: IntArray
    changed: IntArray

    def pairs(self, pool: SubnetPool, limit: FloatArray) -> IntArray:
        """The `PAIRS` genomes, two steps away, with the best sum of the changes of both steps."""
        first, second = np.nonzero(self.changed[:, None] < self.changed)
        top1, costs = pool.top1[self.positions], pool.costs[self.positions]
        start = pool.top1[self.start], pool.costs[self.start]
        promised = _worth(
            top1[first] + top1[second] - start[0], costs[first] + costs[second] - start[1], limit
        )
        if len(promised) > PAIRS:
            most = np.argpartition(-promised, PAIRS)[:PAIRS]
            first, second = first[most], second[most]
        genomes = pool.genomes[self.positions[first]]
        rows, which = np.arange(len(second)), self.changed[second]
        genomes[rows, which] = pool.genomes[self.positions[second]][rows, which]
        return genomes

    def jumps(self, pool: SubnetPool, limit: FloatArray) -> IntArray:
        """Genomes that combine the best step of every unit, for each lambda and resolution.

        Those that exceed the limits are left out.
        """
        start = pool.genomes[self.start]
        gain = pool.top1[self.positions] - pool.top1[self.start]
        price = ((pool.costs[self.positions] - pool.costs[self.start]) / limit).sum(axis=1)
        worth = gain - PRICES[:, None] * price
        columns = []
        for unit in range(len(start) - 1):
            here = np.flatnonzero(self.changed == unit)
            pick = here[worth[:, here].argmax(axis=1)]
            better = worth[np.arange(len(worth)), pick] > 0
            values = pool.genomes[self.positions[pick], unit]
            columns.append(np.where(better, values, start[unit]))
        genomes = np.unique(_at_each_resolution(pool.problem, np.column_stack(columns)), axis=0)
        fits = (costs_of(pool.problem.costs, genomes) <= limit).all(axis=1)
        return genomes[fits]


def _take_apart(pool: SubnetPool, positions: Iterable[int]) -> dict[int, _Steps]:
    """Evaluates all subnets that differ by one step from those at `positions`, together."""
    steps = {each: pool.problem.genomes.steps(pool.genomes[each]) for each in positions}
    there = pool.look(np.concatenate([genomes for genomes, _ in steps.values()]))
    ends = np.cumsum([len(changed) for _, changed in steps.values()])
    return {
        each: _Steps(each, part, changed)
        for (each, (_, changed)), part in zip(steps.items(), np.split(there, ends), strict=False)
    }


def _by_linear_models(pool: SubnetPool, limits: FloatArray) -> IntArray:
    """The best genomes by linear models of accuracy and cost, for every lambda and resolution."""
    genomes = pool.problem.genomes
    features = genomes.one_hot(pool.genomes)
    # The k costs are made one: each in units of its limit, averaged over the questions.
    cost = (pool.costs / limits[:, None]).mean(axis=0).sum(axis=1)
    targets = np.column_stack([pool.top1, cost])
    square = features.T @ features + RIDGE * np.eye(features.shape[1], dtype=np.float32)
    slopes = np.linalg.solve(square, features.T @ (targets - targets.mean(axis=0)))
    choices, start = [], 0
    for unit in genomes.units:
        end = start + unit.one_hot.shape[1]
        gain, price = (unit.one_hot @ slopes[start:end]).T
        choices.append((gain - PRICES[:, None] * price).argmax(axis=1))
        start = end
    return _at_each_resolution(pool.problem, np.column_stack(choices))


def _at_each_resolution(problem: Problem, choices: IntArray) -> IntArray:
    """The genomes with the units' `choices`, [n, units], each at every resolution."""
    sizes = len(problem.genomes.resolutions)
    resolutions = np.tile(np.arange(sizes), len(choices))
    return np.column_stack([np.repeat(choices, sizes, axis=0), resolutions]).astype(np.int64)
