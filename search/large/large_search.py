"""Searches spaces that are too large to list, and evaluates what was found again by the keys.

The search itself (`beam`) works on arrays of integers. The subnets that it finds go through the
same `join` as the rows of a table that was read from a file, so that an error in these arrays
cannot lead to a wrong answer.
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
"""How many of the evaluated subnets are kept per question, and so the most results of each."""

FRONT_LIMITS = 16
"""How many limits are searched to find the front if no limits are given."""


@dataclass(frozen=True)
class SearchBounds:
    """The bounds that every result of a search has to keep.

    Attributes:
        resolutions: the resolutions to choose from, in pixels; None for all that the space, the
            devices and the accuracies have in common.
        constraints: upper bounds on costs of a subnet other than latency, such as MACs.
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
    """Searches a large space for the best subnets within the limits of each question.

    Args:
        devices: the sources of the latencies, t of them, at least one.
        space: the space, of any size.
        accuracy: a source that knows every subnet (`ArrayAccuracy`), such as a predictor.
        questions: the limits of each in milliseconds, t each; without any, the front is searched.
        bounds: further bounds; None for none.
        seed: the random seed of the search. The same seed gives the same answer.

    Raises:
        UserError: devices and accuracies share no resolution, `accuracy` knows only some subnets, a
            table lacks a block, or a constraint is on a column of a table.
    """
    # The search needs the accuracy of any subnet.
    if not hasattr(accuracy, "top1_of"):
        raise UserError(
            f"space {space.name} has {space.size:.3g} subnets, but an accuracy table lists only "
            "some of them",
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
    # The search needs limits; to find a front, some are spread along it.
    asked = questions or _spread(problem, len(devices))
    limits = np.array([(*each, *most) for each in asked], dtype=np.float64)
    pool = explore(problem, limits, seed)
    kept = _kept(pool, limits, front_too=not questions)
    subnets = {
        size: [genomes.subnet(each) for each in pool.genomes[kept] if each[-1] == i]
        for i, size in enumerate(genomes.resolutions)
    }
    subnets = {size: here for size, here in subnets.items() if here}
    # Latencies and accuracies are computed again from the keys; see the top of this file.
    joined = join(_tables(devices, space, subnets), space, accuracy)
    cells = float(space.size) * len(genomes.resolutions)
    notes = list(joined.notes)
    # If only the cheapest subnet of each cost was evaluated, nothing was searched.
    if len(pool) > len(costs):
        looked = f"looked at {len(pool):,} of {cells:.2g} cells (seed {seed})"
        notes.append(f"{looked}: a better one may exist")
    return replace(joined, notes=tuple(notes), seen=len(pool))


def _block_measure(bound: Bound, space: Space) -> BlockMeasure:
    if not isinstance(bound.measure, BlockMeasure):
        name = bound.measure.name
        # The latency is limited by the questions, which the search is built for.
        if isinstance(bound.measure, LatencyMeasure):
            raise UserError("a large space is searched within --latency, not --at-most latency_ms")
        raise UserError(
            f"{name} is not known for all {space.size:.3g} subnets of {space.name}",
            hint="a large space can be bounded by --max-macs, --max-params, --max-size and "
            "--max-memory",
        )
    return bound.measure


def _resolutions(
    devices: Sequence[LatencySource],
    space: Space,
    accuracy: AccuracySource,
    wanted: Sequence[int] | None,
) -> tuple[int, ...]:
    """The resolutions to choose from.

    Raises:
        UserError: a wanted resolution is not known to a device or to the accuracies, or none is
            wanted and they have none in common.
    """
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
            raise UserError(f"they have no resolution of space {space.name} in common: {held}")
        return tuple(shared)
    for size in wanted:
        for who, known in sources:
            if size not in known:
                raise UserError(f"resolution {size} is not known: {who} {_listed(known)}")
    return tuple(wanted)


def _spread(problem: Problem, tables: int) -> list[tuple[float, ...]]:
    """Limits from the smallest latencies to the largest, spaced evenly on a logarithmic scale."""
    genomes = problem.genomes
    last = np.array([[*(len(unit) - 1 for unit in genomes.units), len(genomes.resolutions) - 1]])
    ends = np.concatenate([np.zeros_like(last), last])
    low, high = (np.array([cost.of(ends) for cost in problem.costs[:tables]])).T
    ratios = np.linspace(0.02, 1, FRONT_LIMITS)
    return [tuple((low ** (1 - part) * high**part).tolist()) for part in ratios]


def _kept(pool: SubnetPool, limits: FloatArray, front_too: bool) -> IntArray:
    """The positions of the best subnets for each question and, if `front_too`, of the front."""
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
