"""From a question about candidates to an answer: results with everything a person wants to know."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from compofa.profiler.table import Source, Status
from compofa.search.accuracy import FloatArray
from compofa.search.candidates import Candidates
from compofa.search.exact import front, nearest, ranking, upper_ms, within
from compofa.supernet.errors import UserError
from compofa.supernet.graph import Block, graph_blocks

Limits = tuple[float, ...]
"""The limits of one question in milliseconds, one per table."""


@dataclass(frozen=True)
class Result:
    """One subnet to deploy.

    Attributes:
        top1: accuracy as a fraction of one.
        latency_ms, ci_low_ms, ci_high_ms, source, status: of its cell, one per table.
        limit_ms: what it was asked to meet, one per table; None for a member of the front.
        macs, params: multiply-accumulates per image, trainable parameters.
    """

    space: str
    subnet: str
    resolution: int
    batch_size: int
    top1: float
    latency_ms: tuple[float, ...]
    ci_low_ms: tuple[float | None, ...]
    ci_high_ms: tuple[float | None, ...]
    source: tuple[Source, ...]
    status: tuple[Status, ...]
    limit_ms: Limits | None
    macs: int
    params: int


@dataclass(frozen=True)
class Infeasible:
    """Limits that no candidate meets, and the candidate that comes nearest.

    With one table, the nearest is the fastest there is.
    """

    limit_ms: Limits
    nearest: Result


@dataclass(frozen=True)
class Answer:
    """What was found.

    Attributes:
        results: best first; question by question where several were asked.
        infeasible: the questions without a result.
    """

    results: tuple[Result, ...]
    infeasible: tuple[Infeasible, ...]


def ask(
    candidates: Candidates,
    questions: Sequence[Limits],
    top: int | None = None,
    risk: float | None = None,
) -> Answer:
    """The most accurate candidates within limits; without questions, the Pareto front.

    Args:
        candidates: at least one.
        questions: the limits of each question.
        top: most results per question; all unless given.
        risk: the probability with which a result may miss a limit, by its latency's interval;
            without it, the latency itself must meet the limit.

    Raises:
        UserError: `risk` is asked of latencies that have no interval.
    """
    order = ranking(candidates.top1, candidates.latency_ms)
    cost = candidates.latency_ms if risk is None else _risky(candidates, risk)
    if not questions:
        members = front(order[~np.isnan(cost[order]).any(axis=1)], cost)
        return Answer(tuple(result(candidates, i, None) for i in members[:top]), ())
    results: list[Result] = []
    infeasible: list[Infeasible] = []
    for limits in questions:
        found = within(order, cost, limits)
        results += [result(candidates, i, limits) for i in found[:top]]
        if not len(found):
            closest = nearest(np.nan_to_num(cost, nan=np.inf), limits)
            infeasible.append(Infeasible(limits, result(candidates, closest, limits)))
    return Answer(tuple(results), tuple(infeasible))


def result(candidates: Candidates, index: int, limits: Limits | None) -> Result:
    """Candidate `index` as a result."""
    cell, rows = candidates.cells[index], [each[index] for each in candidates.rows]
    subnet = candidates.subnets[cell.subnet]
    blocks = graph_blocks(candidates.space, subnet, cell.resolution)
    return Result(
        space=cell.space,
        subnet=cell.subnet,
        resolution=cell.resolution,
        batch_size=cell.batch_size,
        top1=float(candidates.top1[index]),
        latency_ms=tuple(map(float, candidates.latency_ms[index])),
        ci_low_ms=tuple(row.ci_low_ms for row in rows),
        ci_high_ms=tuple(row.ci_high_ms for row in rows),
        source=tuple(row.source for row in rows),
        status=tuple(row.status for row in rows),
        limit_ms=limits,
        macs=sum(block.macs for block in blocks),
        params=sum(block.params for block in blocks),
    )


def at_most(
    candidates: Candidates, name: str, cost: Callable[[Block], int], most: int
) -> tuple[Candidates, str | None]:
    """The candidates whose summed `cost` is at most `most`, or why there is none."""
    sums = candidates.block_sums(cost)
    mask = sums <= most
    if mask.any():
        return candidates.keep(mask), None
    cell = candidates.cells[int(sums.argmin())]
    smallest = f"{cell.subnet} at {cell.resolution} has the fewest, {sums.min():,}"
    return candidates, f"no subnet has at most {most:,} {name}: {smallest}"


def _risky(candidates: Candidates, risk: float) -> FloatArray:
    confidence = np.array([[row.confidence for row in rows] for rows in candidates.rows]).T
    cost = upper_ms(candidates.latency_ms, candidates.high_ms, confidence, risk)
    if np.isnan(cost).any(axis=1).all():
        raise UserError("--risk needs latencies with intervals, which these tables do not have")
    return cost
