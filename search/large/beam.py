"""Search of spaces too large to list: one pool of subnets serves all questions.

1. Accuracies and costs of a random sample give a linear model of each: one number per block
   choice. Maximising accuracy less lambda times cost then falls apart into units, so that the best
   subnet by the model is found at once for every lambda (Lagrangian relaxation of a
   multiple-choice knapsack; Fisher, Management Science 27, 1981). These subnets start the pool.
2. For each question the best subnets of the pool (its beam) are taken apart: every subnet one step
   away is looked at. What a step changes is then known exactly; pairs of steps are ranked by the
   sum of their changes, and the most promising pairs are looked at too. That is a dynamic local
   search in which a pair can trade time in one block for accuracy in another.
3. It ends when every subnet of every beam has been taken apart. Where it ends depends on where it
   began, so it begins several times, from samples of their own, and goes on with what all found.

Nothing is assumed of accuracies and costs but that they can be asked for many subnets at once.
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
"""Random subnets that the linear models are fitted on."""

PRICES = np.geomspace(1e-3, 3, 40)
"""Values of lambda: accuracy per limit's worth of cost."""

BEAM = 4
"""Subnets per question that are taken apart."""

PAIRS = 60
"""Pairs of steps that are looked at, per subnet taken apart."""

STARTS = 3
"""Samples that it starts from: three beams of 4 find more than one of 12, in the same time."""

MOST_ROUNDS = 60
"""A search ends after so many rounds; some twenty are usual."""

RIDGE = 0.1


def explore(problem: Problem, limits: FloatArray, seed: int) -> SubnetPool:
    """Looks for the most accurate subnets within each row of `limits`, [questions, k].

    Where nothing is within the limits, it looks for what exceeds them by the smallest factor. Where
    the least of a cost is known and above its limit, the question ends with that.

    Raises:
        UserError: the accuracy source knows nothing of the space.
    """
    rng = np.random.default_rng(seed)
    pool = SubnetPool(problem, rng)
    limits = limits[_may_be_met(pool, limits)]
    if not len(limits):
        return pool
    for _ in range(STARTS):
        start = SubnetPool(problem, rng)
        start.look(problem.genomes.random(SAMPLE, rng))
        start.look(_by_linear_models(start, limits))
        _climb(start, limits)
        pool.take_in(start)
    _climb(pool, limits)
    return pool


def _climb(pool: SubnetPool, limits: FloatArray) -> None:
    """Takes the beams apart until nothing new is in them."""
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
    """Looks at what costs least, where that is known; which questions it leaves open, [q]."""
    known = [(i, cost.least()) for i, cost in enumerate(pool.problem.costs)]
    cheapest = {i: genome for i, genome in known if genome is not None}
    if not cheapest:
        return np.ones(len(limits), dtype=np.bool_)
    there = pool.look(np.stack(list(cheapest.values())))
    columns = list(cheapest)
    least = pool.costs[there, columns]
    return np.asarray((least <= limits[:, columns]).all(axis=1))


def best(pool: SubnetPool, limit: FloatArray, count: int, among: IntArray) -> IntArray:
    """The `count` best subnets for a question of those at the positions `among`, in no order."""
    if count >= len(among):
        return among
    worth = _worth(pool.top1[among], pool.costs[among], limit)
    return among[np.argpartition(-worth, count)[:count]]


def _worth(top1: FloatArray, costs: FloatArray, limit: FloatArray) -> FloatArray:
    """What is best has most: accuracy within the limits, else less the more they are exceeded."""
    excess = (costs / limit).max(axis=-1)
    return np.where(excess <= 1, top1, -excess)


@dataclass(frozen=True)
class _Steps:
    """A subnet of the pool and the subnets one step away, at `positions` [m].

    Attributes:
        changed: which number of the genome a step changes, [m].
    """

    start: int
    positions: IntArray
    changed: IntArray

    def pairs(self, pool: SubnetPool, limit: FloatArray) -> IntArray:
        """The genomes that two steps lead to, where their sum promises most."""
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
        """The genomes that the best step in every unit leads to, at each price and resolution.

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
    """Looks at all subnets one step from those at `positions`, in one go."""
    steps = {each: pool.problem.genomes.steps(pool.genomes[each]) for each in positions}
    there = pool.look(np.concatenate([genomes for genomes, _ in steps.values()]))
    ends = np.cumsum([len(changed) for _, changed in steps.values()])
    return {
        each: _Steps(each, part, changed)
        for (each, (_, changed)), part in zip(steps.items(), np.split(there, ends), strict=False)
    }


def _by_linear_models(pool: SubnetPool, limits: FloatArray) -> IntArray:
    """The best genomes by linear models of accuracy and cost, at every price and resolution."""
    genomes = pool.problem.genomes
    features = genomes.one_hot(pool.genomes)
    # The costs as one: in units of the limits, on average over the questions.
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
    """Genomes of the units' `choices`, [n, units], with every resolution."""
    sizes = len(problem.genomes.resolutions)
    resolutions = np.tile(np.arange(sizes), len(choices))
    return np.column_stack([np.repeat(choices, sizes, axis=0), resolutions]).astype(np.int64)
