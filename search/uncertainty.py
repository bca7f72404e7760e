"""What noise leaves open: whether a limit is met, and whether two members of a front differ.

A figure is taken as normal, with the spread that its interval shows.
"""

from __future__ import annotations

import numpy as np

from compofa.common.arrays import FloatArray, IntArray
from compofa.common.normal_interval import probability_below, reach, standard_deviation

SEPARATE = 0.95
"""Two figures are apart where a difference of none lies outside an interval of this confidence."""


def probability_within(
    latency_ms: float, low_ms: float | None, high_ms: float | None, confidence: float, limit: float
) -> float | None:
    """The probability that the true latency is at most `limit`; None without an interval.

    The half of the interval on the limit's side says how far the latency may be off: the same rule
    as `exact.upper_ms` above the latency.
    """
    if low_ms is None or high_ms is None:
        return None
    half = high_ms - latency_ms if limit >= latency_ms else latency_ms - low_ms
    # An interval without width says that the latency is known exactly.
    if half <= 0:
        return float(latency_ms <= limit)
    return probability_below(limit, latency_ms, standard_deviation(half, confidence))


def indistinguishable(
    top1: FloatArray, top1_sd: FloatArray, latency_ms: FloatArray, latency_sd: FloatArray
) -> IntArray:
    """For each member of a front, another that may in truth be as accurate and as fast; else -1.

    Args:
        top1, top1_sd: [n], best first; a deviation of NaN is taken as 0.
        latency_ms, latency_sd: [n, t].

    Returns:
        [n]; of several, the nearest in the order.
    """
    apart = reach(SEPARATE)
    top1_sd, latency_sd = np.nan_to_num(top1_sd), np.nan_to_num(latency_sd)
    doubles = np.full(len(top1), -1)
    for i in range(len(top1)):
        accurate = top1[i] - top1 <= apart * np.hypot(top1_sd, top1_sd[i])
        fast = latency_ms - latency_ms[i] <= apart * np.hypot(latency_sd, latency_sd[i])
        others = np.flatnonzero(accurate & fast.all(axis=1) & (np.arange(len(top1)) != i))
        if len(others):
            doubles[i] = others[np.abs(others - i).argmin()]
    return doubles
