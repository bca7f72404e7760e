"""Search of spaces too large to list: what `beam` found, scored again from its keys.

The search itself works on numbers. What it found goes through the same join as a table that was
read from a file: latencies, accuracies and limits are computed from the subnets' keys alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np

from compofa.common.arrays import FloatArray, IntArray
from compofa.common.errors import UserError
from compofa.search.accuracy.sources import AccuracySource, ArrayAccuracy
from compofa.search.candidates import Candidates, Latencies, join
from compofa.search.exact import front, ranking
from compofa.search.large.beam import best, explore
from compofa.search.large.costs import SubnetCost, block_cost
from compofa.search.large.genomes import Genomes
from compofa.search.large.pool import Problem, SubnetPool
from compofa.search.measures import BlockMeasure, Bound, LatencyMeasure
from compofa.supernet.space import Space
from compofa.supernet.subnet import Subnet

if TYPE_CHECKING:
    from compofa.search.large.latency_sources import LatencySource

KEPT = 30
"""Subnets kept per question, of those that were looked at: most results of each."""

FRONT_LIMITS = 16
"""Limits at which the front is looked for where none are given."""


@dataclass(frozen=True)
class SearchBounds:
    """What holds in every question of a search.

    Attributes:
        resolutions: to choose from; those that space, devices and accuracies share where None.
        constraints: upper bounds on what a subnet costs.
        risk: as in `answer.ask`.
    """

    resolutions: Sequence[int] | None = None
    constraints: Sequence[Bound] = ()
    risk: float | None = None


def search_large(
    devices: Sequence[LatencySource],
    space: Space,
    accuracy: AccuracySource,
    questions: Sequence[tuple[float, ...]],
    bounds: SearchBounds | None = None,
    seed: int = 0,
) -> Candidates:
    """The best subnets of `space` that a search finds within the limits of each question.

    Args:
        devices: t of them, at least one.
        space: of any size.
        accuracy: has to know every subnet (`ArrayAccuracy`), as a predictor does.
        questions: the limits of each in milliseconds, t; without questions, the front is looked
            for, along limits that are spread evenly from the fastest to the slowest.
        bounds: what else has to hold; nothing unless given.
        seed: of the random sample that the search starts from; same seed, same answer.

    Raises:
        UserError: no resolution is known to all; the accuracies know listed subnets only; a
            device's table lacks a block; a constraint is on a table's own column.
    """
    # A table of accuracies lists some subnets; the search asks about any.
    if not hasattr(accuracy, "top1_of"):
        raise UserError(
            f"space {space.name} has {space.size:.3g} subnets, and an accuracy table lists some",
            hint="give --accuracy a predictor, such as OFA's released acc_predictor.pth",
        )
    bounds = bounds or SearchBounds()
    known = cast(ArrayAccuracy, accuracy)
    genomes = Genomes.of(space, _resolutions(devices, space, accuracy, bounds.resolutions))
    costs: list[SubnetCost] = [device.cost(genomes, bounds.risk) for device in devices]
    measures = [_block_measure(bound, space) for bound in bounds.constraints]
    costs += [block_cost(genomes, each.block, each.combine) for each in measures]
    problem = Problem(genomes, known, costs)
    dtypes = [device.dtype for device in devices]
    most = [
        bound.most / measure.unit(*dtypes)
        for bound, measure in zip(bounds.constraints, measures, strict=True)
    ]
    # A front has no limits to search within: some are laid along it.
    asked = questions or _spread(problem, len(devices))
    limits = np.array([(*each, *most) for each in asked], dtype=np.float64)
    pool = explore(problem, limits, seed)
    kept = _kept(pool, limits, front_too=not questions)
    subnets = {
        size: [genomes.subnet(each) for each in pool.genomes[kept] if each[-1] == i]
        for i, size in enumerate(genomes.resolutions)
    }
    subnets = {size: here for size, here in subnets.items() if here}
    # Scored again from the keys alone: what the search believed of them does not count.
    joined = join(_tables(devices, space, subnets), space, accuracy)
    cells = float(space.size) * len(genomes.resolutions)
    notes = list(joined.notes)
    if len(pool) > len(costs):  # more than the least of each, which is known without a search
        looked = f"looked at {len(pool):,} of {cells:.2g} cells (seed {seed})"
        notes.append(f"{looked}: a better one may exist")
    return replace(joined, notes=tuple(notes), seen=len(pool))


def _block_measure(bound: Bound, space: Space) -> BlockMeasure:
    if not isinstance(bound.measure, BlockMeasure):
        name = bound.measure.name
        # A latency is bounded by a question, which the search knows how to look for.
        if isinstance(bound.measure, LatencyMeasure):
            raise UserError("a large space is searched within --latency, not --at-most latency_ms")
        raise UserError(f"{name} is not known of all {space.size:.3g} subnets of {space.name}")
    return bound.measure


def _resolutions(
    devices: Sequence[LatencySource],
    space: Space,
    accuracy: AccuracySource,
    wanted: Sequence[int] | None,
) -> tuple[int, ...]:
    """The resolutions to choose from; those that were asked for must be known to all."""
    sources = [("the accuracies have", accuracy.resolutions(space))]
    sources += [
        (f"{device.path} has", device.resolutions)
        for device in devices
        if device.resolutions is not None
    ]
    if wanted is None:
        shared = [size for size in space.resolutions if all(size in known for _, known in sources)]
        if not shared:
            held = "; ".join(f"{who} {_listed(known)}" for who, known in sources)
            raise UserError(f"no resolution of space {space.name} is known to all: {held}")
        return tuple(shared)
    for size in wanted:
        for who, known in sources:
            if size not in known:
                raise UserError(f"resolution {size} is not known: {who} {_listed(known)}")
    return tuple(wanted)


def _spread(problem: Problem, tables: int) -> list[tuple[float, ...]]:
    """Limits from the least costs to the largest, in even ratios."""
    genomes = problem.genomes
    last = np.array([[*(len(unit) - 1 for unit in genomes.units), len(genomes.resolutions) - 1]])
    ends = np.concatenate([np.zeros_like(last), last])
    low, high = (np.array([cost.of(ends) for cost in problem.costs[:tables]])).T
    ratios = np.linspace(0.02, 1, FRONT_LIMITS)
    return [tuple((low ** (1 - part) * high**part).tolist()) for part in ratios]


def _kept(pool: SubnetPool, limits: FloatArray, front_too: bool) -> IntArray:
    """Positions of the best for each question and, where it is asked for, of the whole front."""
    kept = [best(pool, limit, KEPT, np.arange(len(pool))) for limit in limits]
    if front_too:
        kept.append(front(ranking(pool.top1, pool.costs), pool.costs))
    return np.unique(np.concatenate(kept))


def _tables(
    devices: Sequence[LatencySource], space: Space, subnets: dict[int, list[Subnet]]
) -> list[Latencies]:
    return [Latencies(device.path, device.table(space, subnets)) for device in devices]


def _listed(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))
