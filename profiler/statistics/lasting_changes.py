"""Where a series of latencies changed for good."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from compofa.common.arrays import FloatArray
from compofa.profiler.statistics.moderation import moderate
from compofa.profiler.statistics.student import student_quantile

CONFIRMED = 2
"""How many profiles a change must last: a single one that is off is an outlier."""

OUTLIER = 4.0
"""A profile is an outlier if it is so many standard deviations off the median of itself and its
neighbours."""

EFFICIENCY = 0.6
"""Degrees of freedom of the noise that each difference of neighbours tells: they overlap (two
thirds, von Neumann 1941), and the largest is left out."""

LEAST_NOISE = 1e-4
"""Standard deviation of log latencies that is assumed at least: no repetition is more exact."""


@dataclass(frozen=True, slots=True)
class LastingChange:
    """A lasting change of level: the first position at the new one, and new over old."""

    start: int
    ratio: float


def find_lasting_changes(
    series: Sequence[FloatArray], false_alarms: float, min_effect: float
) -> list[list[LastingChange]]:
    """The lasting steps of each of several series of log latencies, in order of time.

    PELT (Killick, Fearnhead and Eckley, Optimal detection of changepoints with a linear
    computational cost, 2012) from the library ruptures, with squared deviations in units of the
    noise as cost. A step is worth its penalty where it takes off as much as a Student t squared
    that chance exceeds at any place of any series with probability `false_alarms` (Bonferroni).

    Args:
        series: each of shape (n,), n as it may be.
        false_alarms: the probability of finding a step in any of them where there is none.
        min_effect: smaller steps are left out, as a fraction.
    """
    long_enough = [i for i, logs in enumerate(series) if logs.size >= 2 * CONFIRMED]
    changes: list[list[LastingChange]] = [[] for _ in series]
    if not long_enough:
        return changes
    noise, freedom = _noise([series[i] for i in long_enough])
    for i, sd, d in zip(long_enough, noise, freedom, strict=True):
        probability = false_alarms / len(long_enough) / series[i].size
        limit = float(student_quantile(1 - probability / 2, np.array([d]))[0])
        changes[i] = [
            step
            for step in _segmented(_without_outliers(series[i], sd) / sd, limit**2, sd)
            if abs(math.log(step.ratio)) >= math.log1p(min_effect)
        ]
    return changes


def _noise(series: Sequence[FloatArray]) -> tuple[list[float], list[float]]:
    """Standard deviation of each series about its levels, and its degrees of freedom.

    From the differences of neighbours but the largest, which may be a step. The mean square of m
    normal deviates whose largest is left out is 1 - 1/m - 2 z phi(z) on average, with z cut off
    by 1/m of them. What all series tell is shared among them by empirical Bayes (`moderate`).
    """
    squares, freedom = [], []
    for logs in series:
        differences = np.sort(np.abs(np.diff(logs)))[:-1]
        m = differences.size + 1
        z = float(student_quantile(1 - 1 / (2 * m), np.array([math.inf]))[0])
        kept = 1 - 1 / m - 2 * z * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
        variance = float((differences**2).sum()) / 2 / m / kept
        freedom.append(EFFICIENCY * m)
        squares.append(variance * EFFICIENCY * m)
    variances, joint = moderate(np.array(squares), np.array(freedom))
    return np.maximum(np.sqrt(variances), LEAST_NOISE).tolist(), joint.tolist()


def _without_outliers(logs: FloatArray, noise: float) -> FloatArray:
    """`logs`, where the middle of three stands for a profile that neither neighbour bears out."""
    inner = np.stack([logs[:-2], logs[1:-1], logs[2:]])
    middle = np.median(inner, axis=0)
    cleaned = logs.copy()
    cleaned[1:-1] = np.where(np.abs(logs[1:-1] - middle) > OUTLIER * noise, middle, logs[1:-1])
    return cleaned


def _segmented(scaled: FloatArray, penalty: float, unit: float) -> list[LastingChange]:
    from ruptures import KernelCPD

    search = KernelCPD(kernel="linear", min_size=CONFIRMED).fit(scaled[:, None])
    ends = [0, *search.predict(pen=penalty)]
    levels = [float(scaled[start:end].mean()) for start, end in pairwise(ends)]
    return [
        LastingChange(start, math.exp(unit * (after - before)))
        for start, (before, after) in zip(ends[1:-1], pairwise(levels), strict=True)
    ]
