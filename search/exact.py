"""Exact answers over arrays of candidates: the best within limits, and the Pareto front."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from compofa.common.arrays import FloatArray, IntArray
from compofa.common.normal_interval import quantile, reaches


def ranking(
    top1: FloatArray, latency_ms: FloatArray, objectives: FloatArray | None = None
) -> IntArray:
    """Candidates from best to worst: by accuracy, then by latency in the first table, and so on.

    Args:
        top1: [n].
        latency_ms: [n, t].
        objectives: what to have the least of before accuracy counts, the first column first,
            [n, k]; nothing unless given.
    """
    first = [] if objectives is None else list(objectives.T[::-1])
    # lexsort's last key is its first criterion.
    keys = [*latency_ms.T[::-1], -top1, *first]
    return np.lexsort(keys).astype(np.int64)


def within(order: IntArray, cost_ms: FloatArray, limits_ms: tuple[float, ...]) -> IntArray:
    """The candidates of `order` whose cost, [n, t], is at most the limit in every table."""
    feasible = np.all(cost_ms[order] <= np.array(limits_ms), axis=1)
    return order[feasible]


def meeting(cost_ms: FloatArray, limits_ms: FloatArray) -> npt.NDArray[np.bool_]:
    """Which candidates, with costs [n, t], meet the limits of which questions, [q, t]: [n, q]."""
    meets = np.ones((len(cost_ms), len(limits_ms)), dtype=np.bool_)
    for cost, limits in zip(cost_ms.T, limits_ms.T, strict=True):
        # Most questions about a fleet are about one device: the others are left out.
        asked = np.flatnonzero(np.isfinite(limits))
        if len(asked) == len(limits):
            meets &= cost[:, None] <= limits
        else:
            meets[:, asked] &= cost[:, None] <= limits[asked]
    return meets


def first_within(order: IntArray, cost_ms: FloatArray, limits_ms: FloatArray) -> IntArray:
    """For each question, [q, t], the first candidate of `order` that meets it; -1 where none."""
    if not len(order):
        return np.full(len(limits_ms), -1)
    meets = meeting(cost_ms[order], limits_ms)
    return np.where(meets.any(axis=0), order[meets.argmax(axis=0)], -1)


def nearest(cost_ms: FloatArray, limits_ms: tuple[float, ...]) -> int:
    """The candidate that exceeds its limits by the smallest factor."""
    return int((cost_ms / np.array(limits_ms)).max(axis=1).argmin())


def front(order: IntArray, costs: FloatArray) -> IntArray:
    """The Pareto front, best first: no other candidate is as good in every respect.

    The respects are what `order` goes by first (accuracy, or an objective) and the costs. Of
    candidates that are equal in everything, the first is kept.

    Args:
        order: `ranking` of the candidates.
        costs: [n, k], such as latencies.
    """
    members = []
    left = order
    while len(left):
        # Nothing that is left beats the first in what the order goes by: nothing dominates it.
        best = left[0]
        members.append(best)
        left = left[(costs[left] < costs[best]).any(axis=1)]
    return np.array(members, dtype=np.int64)


def upper_ms(
    latency_ms: FloatArray, high_ms: FloatArray, confidence: FloatArray, risk: float
) -> FloatArray:
    """Latencies that are exceeded with probability `risk`, [n, t]; NaN without an interval.

    The latency is taken as normal, with the spread that its interval's upper half shows.

    Args:
        latency_ms: [n, t].
        high_ms: upper end of the interval, [n, t].
        confidence: of the interval, [n, t].
        risk: between 0 and 1.
    """
    deviation = (high_ms - latency_ms) / reaches(confidence)
    upper: FloatArray = latency_ms + quantile(1 - risk) * deviation
    return upper
