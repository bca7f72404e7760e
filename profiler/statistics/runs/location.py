"""One number for the runs of one cell in one session, and how well they determine it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compofa.common.arrays import FloatArray
from compofa.common.errors import UserError
from compofa.profiler.statistics.latencies import log_latencies

BATCHES = 10
"""Batches for a standard error; Schmeiser (1982) finds little to gain beyond 10 to 30."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Which part of the sorted runs counts, as fractions of them: 0 is the fastest, 1 the slowest.

    One family holds the usual estimators: (0.5, 0.5) is the median, (0.1, 0.1) the first decile,
    (0.1, 0.9) a trimmed mean.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high <= 1:
            raise UserError(
                f"the part from {self.low:g} to {self.high:g} of the runs does not exist",
                hint="give two fractions in ascending order between 0 and 1",
            )


MEDIAN = Slice(0.5, 0.5)
QUIET = Slice(0.1, 0.4)
"""The quiet part of the runs: preemption and interrupts only ever add time, so on a shared host
fast runs scatter less; the fastest tenth is left out because it holds the timer's outliers."""


def condense(runs: Sequence[float], part: Slice = QUIET) -> float:
    """The mean of the sorted runs between two fractions of them.

    With runs x(1) <= ... <= x(n) taken as a step function X(u) on [0, 1], the result is the mean
    of X between `part.low` and `part.high`, fractional at both ends: the asymmetric trimmed mean
    (Huber and Ronchetti, Robust Statistics, 2nd ed., section 3.3). Where both fractions are equal
    it is that quantile, interpolated linearly (Hyndman and Fan, 1996, type 7).

    Args:
        runs: latencies of single runs, in any unit.
        part: which runs count.

    Returns:
        A latency in the same unit.

    Raises:
        UserError: there is no run, or one is not a positive finite number.
    """
    log_latencies(runs, "the runs")
    ordered = np.sort(np.asarray(runs, dtype=np.float64).ravel())
    return _mean_between(ordered, part)


def _mean_between(ordered: FloatArray, part: Slice) -> float:
    if part.low == part.high:
        return float(np.quantile(ordered, part.low))
    n = ordered.size
    edges = np.arange(n + 1) / n
    weights = np.diff(np.clip(edges, part.low, part.high))
    return float(weights @ ordered / weights.sum())


def relative_standard_error(runs: Sequence[float], part: Slice = QUIET) -> float:
    """Standard error of log(condense(runs)) within its session, by batch means.

    The runs, in the order they were timed, are cut into k batches of equal length; with z[j] the
    log of batch j's condensed latency, the standard error is sd(z) / sqrt(k). Neighbouring runs
    are correlated, which batches allow for and a formula for independent runs does not
    (Schmeiser, Batch size effects in the analysis of simulation output, 1982).

    Returns:
        A fraction of the latency; NaN with fewer than 4 runs, which say nothing about it.

    Raises:
        UserError: there is no run, or one is not a positive finite number.
    """
    log_latencies(runs, "the runs")
    values = np.asarray(runs, dtype=np.float64).ravel()
    if values.size < 4:
        return math.nan
    batches = np.array_split(values, min(BATCHES, values.size // 2))
    condensed = np.log([_mean_between(np.sort(batch), part) for batch in batches])
    return float(condensed.std(ddof=1) / math.sqrt(len(batches)))
