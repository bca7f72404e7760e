"""Exact search of arrays of candidates: the best within limits, and the Pareto front.

In the shapes, n is the number of candidates and t that of tables.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from compofa.common.arrays import FloatArray, IntArray
from compofa.common.normal_interval import quantile, reaches


def ranking(
    top1: FloatArray, latency_ms: FloatArray, objectives: FloatArray | None = None
) -> IntArray:
    """Sorts candidates from best to worst.

    They are sorted by the objectives, then by accuracy, then by the latencies in the order of the
    tables.

    Args:
        top1: accuracies, [n].
        latency_ms: latencies, [n, t].
        objectives: values to minimise, the most important column first, [n, k]; None for none.

    Returns:
        The positions of the candidates, best first, [n].
    """
    first = [] if objectives is None else list(objectives.T[::-1])
    # lexsort sorts by its last key first.
    keys = [*latency_ms.T[::-1], -top1, *first]
    return np.lexsort(keys).astype(np.int64)


def within(order: IntArray, cost_ms: FloatArray, limits_ms: tuple[float, ...]) -> IntArray:
    """The candidates of `order` whose cost, [n, t], is at most the limit in every table."""
    feasible = np.all(cost_ms[order] <= np.array(limits_ms), axis=1)
    return order[feasible]


def meeting(cost_ms: FloatArray, limits_ms: FloatArray) -> npt.NDArray[np.bool_]:
    """Whether each candidate, with costs [n, t], meets the limits of each question, [q, t].

    Returns:
        True where it does, [n, q].
    """
    meets = np.ones((len(cost_ms), len(limits_ms)), dtype=np.bool_)
    for cost, limits in zip(cost_ms.T, limits_ms.T, strict=True):
        # Most questions about a fleet limit one device only. Comparing with the infinite limits
        # of the others would take most of the time.
        asked = np.flatnonzero(np.isfinite(limits))
        if len(asked) == len(limits):
            meets &= cost[:, None] <= limits
        else:
            meets[:, asked] &= cost[:, None] <= limits[asked]
    return meets


def first_within(order: IntArray, cost_ms: FloatArray, limits_ms: FloatArray) -> IntArray:
    """The first candidate of `order` that meets each question's limits, [q]; -1 where none does.

    Args:
        order: positions of candidates, best first.
        cost_ms: the costs of all candidates, [n, t].
        limits_ms: the limits of each question, [q, t].
    """
    if not len(order):
        return np.full(len(limits_ms), -1)
    meets = meeting(cost_ms[order], limits_ms)
    return np.where(meets.any(axis=0), order[meets.argmax(axis=0)], -1)


def nearest(cost_ms: FloatArray, limits_ms: tuple[float, ...]) -> int:
    """The candidate, with costs [n, t], that exceeds the limits by the smallest factor."""
    return int((cost_ms / np.array(limits_ms)).max(axis=1).argmin())


def front(order: IntArray, costs: FloatArray) -> IntArray:
    """The Pareto front, best first: the candidates that no other one is as good as in everything.

    Candidates are compared by the first criterion of `order` (the accuracy, or an objective) and
    by all costs. Of candidates that are equal in all of these, the first is kept.

    Args:
        order: the `ranking` of the candidates.
        costs: such as latencies, [n, k].
    """
    members = []
    left = order
    while len(left):
        # No candidate that is left is better than the first by the order's criterion, and those
        # that cost no less than a member have been removed. So none dominates the first.
        best = left[0]
        members.append(best)
        left = left[(costs[left] < costs[best]).any(axis=1)]
    return np.array(members, dtype=np.int64)


def upper_ms(
    latency_ms: FloatArray, high_ms: FloatArray, confidence: FloatArray, risk: float
) -> FloatArray:
    """The milliseconds that the true latencies exceed with probability `risk`, [n, t].

    The latency is taken as normally distributed, with the standard deviation that the upper half of
    its interval shows. The result is NaN without an interval.

    Args:
        latency_ms: latencies, [n, t].
        high_ms: the upper ends of their intervals, [n, t].
        confidence: the confidences of the intervals, [n, t].
        risk: a probability between 0 and 1.
    """
    deviation = (high_ms - latency_ms) / reaches(confidence)
    upper: FloatArray = latency_ms + quantile(1 - risk) * deviation
    return upper
