"""Judges under noise whether a limit is met, and whether two members of a front differ.

A figure is taken as normally distributed, with the standard deviation that its interval shows.
"""

from __future__ import annotations

import numpy as np

from compofa.common.arrays import FloatArray, IntArray
from compofa.common.normal_interval import probability_below, reach, standard_deviation

SEPARATE = 0.95
"""Two figures differ if the interval of this confidence around their difference excludes zero."""


def probability_within(
    latency_ms: float, low_ms: float | None, high_ms: float | None, confidence: float, limit: float
) -> float | None:
    """The probability that the true latency is at most `limit`; None without an interval.

    The standard deviation is taken from the half of the interval on the side of the limit. For
    limits above the latency, that is the rule of `exact.upper_ms`.

    Args:
        latency_ms: the latency.
        low_ms, high_ms: its interval.
        confidence: the confidence of the interval.
        limit: the limit in milliseconds.
    """
    if low_ms is None or high_ms is None:
        return None
    half = high_ms - latency_ms if limit >= latency_ms else latency_ms - low_ms
    # An interval without width means that the latency is known exactly.
    if half <= 0:
        return float(latency_ms <= limit)
    return probability_below(limit, latency_ms, standard_deviation(half, confidence))


def indistinguishable(
    top1: FloatArray, top1_sd: FloatArray, latency_ms: FloatArray, latency_sd: FloatArray
) -> IntArray:
    """Finds for each of n members of a front another that may be as accurate and as fast.

    Args:
        top1, top1_sd: accuracies and their standard deviations, best first, [n]; NaN counts as a
            deviation of 0.
        latency_ms, latency_sd: latencies and their standard deviations, [n, t].

    Returns:
        The position of the other member, [n], or -1 if there is none. Of several, it is the one
        that is nearest in the order.
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
