"""Exact answers over arrays of candidates: the best within limits, and the Pareto front."""

from __future__ import annotations

import numpy as np

from compofa.search.accuracy import FloatArray, IntArray


def ranking(top1: FloatArray, latency_ms: FloatArray) -> IntArray:
    """Candidates from best to worst: by accuracy, then by latency in the first table, and so on.

    Args:
        top1: [n].
        latency_ms: [n, t].
    """
    # lexsort's last key is its first criterion.
    keys = [*latency_ms.T[::-1], -top1]
    return np.lexsort(keys).astype(np.int64)


def within(order: IntArray, cost_ms: FloatArray, limits_ms: tuple[float, ...]) -> IntArray:
    """The candidates of `order` whose cost, [n, t], is at most the limit in every table."""
    feasible = np.all(cost_ms[order] <= np.array(limits_ms), axis=1)
    return order[feasible]


def nearest(cost_ms: FloatArray, limits_ms: tuple[float, ...]) -> int:
    """The candidate that exceeds its limits by the smallest factor."""
    return int((cost_ms / np.array(limits_ms)).max(axis=1).argmin())


def front(order: IntArray, latency_ms: FloatArray) -> IntArray:
    """The Pareto front, best first: no other candidate is as accurate and as fast everywhere.

    Of candidates that are equal in everything, the first is kept.

    Args:
        order: `ranking` of the candidates.
        latency_ms: [n, t].
    """
    found = []
    left = order
    while len(left):
        # Nothing that is left beats the first in accuracy, so nothing dominates it.
        best = left[0]
        found.append(best)
        left = left[(latency_ms[left] < latency_ms[best]).any(axis=1)]
    return np.array(found, dtype=np.int64)


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
    from statistics import NormalDist

    normal = NormalDist()
    halves = {level: normal.inv_cdf((1 + level) / 2) for level in np.unique(confidence)}
    half = np.vectorize(halves.__getitem__, otypes=[np.float64])(confidence)
    upper: FloatArray = latency_ms + normal.inv_cdf(1 - risk) * (high_ms - latency_ms) / half
    return upper
