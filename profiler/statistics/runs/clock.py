"""The clock that runs are timed by: how fine it is, and what coarse readings still tell.

A clock that advances in steps of q shows a run that takes x as the number of steps that fall into
it. Runs follow one another, so they begin anywhere within a step, and the *mean* of many readings
is x however coarse the clock is; their quantiles are not. So on a coarse clock runs are timed in
batches, as many as it takes, and a batch is told by its mean.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from compofa.common.arrays import FloatArray
from compofa.profiler.statistics.runs.location import QUIET, condense

FINE_TICKS = 500
"""A run of this many ticks is timed by itself: the clock rounds off at most 0.1 % of it."""

BATCH_TICKS = 200
"""How many ticks a batch of shorter runs lasts: the clock then rounds off 0.2 % of it."""

COARSEST_NS = 25_000_000
"""A clock with longer ticks is refused: the device would change while a batch runs."""

LEAST_TICK_NS = 200
"""Shorter ticks do not matter, since no network runs in less than 0.1 ms."""

JITTER_NS = 3
"""How far readings may be off whole ticks, as where a tick is not a whole number of nanoseconds."""

OUTLYING = 1.25
"""A reading above this many times the median, plus two ticks, is that of an interrupted run."""

QUIET_SHIFT = 0.7028
"""Standard deviations by which the mean of a normal's `QUIET` part lies below its centre."""


def clock_tick(times_ns: Iterable[Sequence[int]]) -> int:
    """Nanoseconds from one reading of the clock to the next; 1 where it is fine.

    Readings of a coarse clock are whole multiples of one step, and no two differ by less.

    Args:
        times_ns: of runs of several models; runs that all take exactly the same tell nothing.
    """
    pooled = [np.asarray(times, dtype=np.int64) for times in times_ns]
    values = np.unique(np.concatenate(pooled)) if pooled else np.array([], dtype=np.int64)
    values = values[values >= 0]
    gaps = np.diff(np.append(0, values))
    gaps = gaps[gaps > JITTER_NS]
    if values.size < 2 or not gaps.size:
        return 1
    tick = float(gaps.min())
    if tick < LEAST_TICK_NS:
        return 1
    multiples = np.round(values / tick)
    if multiples.max() < 2:
        # Two readings, nothing and something: the step is known, and no more.
        return round(tick)
    tick = float(values @ multiples / (multiples @ multiples))
    off = np.abs(values - tick * np.round(values / tick))
    return round(tick) if off.max() <= JITTER_NS else 1


def is_coarse(mean_ns: float, tick: int) -> bool:
    """Whether runs that take `mean_ns` are too short to be timed one by one."""
    return tick > 1 and mean_ns < FINE_TICKS * tick


def condense_timed(times_ns: Sequence[float], tick: int = 1) -> float:
    """`condense`, of runs that were timed by a clock with that tick; in nanoseconds.

    On a coarse clock the mean of the runs that were not interrupted, less what the quiet ones of
    them lie below it. That follows from the standard deviation s of the runs, as far as readings
    show it: the clock adds q^2 f (1 - f) to the variance of readings, f the fraction of a tick that
    x / q ends on, and the mean of that over a normal of mean m is (Sheppard's correction, exact)

        q^2 (1/6 - sum over k of cos(2 pi k m / q) exp(-2 (pi k s / q)^2) / (pi k)^2).

    Raises:
        UserError: no run, or none that lasted a tick.
    """
    times = np.asarray(times_ns, dtype=np.float64)
    if not times.size or not is_coarse(float(np.median(times)), tick):
        return condense(times_ns, QUIET)
    kept = uninterrupted(times, tick)
    mean = float(kept.mean())
    if mean <= 0:
        return condense([0.0], QUIET)  # which says that this is no latency
    return mean - QUIET_SHIFT * math.sqrt(_variance(kept, mean, tick))


def uninterrupted(times: FloatArray, tick: int) -> FloatArray:
    """The readings of a coarse clock without those of runs that were interrupted."""
    return times[times <= OUTLYING * np.median(times) + 2 * tick]


def rounding_error(times_ns: Sequence[float], tick: int) -> float:
    """Standard error of the mean of all readings that is due to the clock, as a share of it.

    Only where the first run begins within a tick, and the last ends, is left to chance: the
    difference of two uniform errors has variance q^2 / 6.
    """
    total = float(sum(times_ns))
    return tick / math.sqrt(6) / total if total > 0 else math.inf


def _variance(times: FloatArray, mean: float, tick: int) -> float:
    """Of what runs took, from readings that have the clock's in them, by going back and forth.

    Nothing where chance could have made of runs without scatter what is seen.
    """
    seen = float(times.var())
    orders = np.arange(1, 20)
    waves = np.cos(2 * math.pi * orders * mean / tick) / (math.pi * orders) ** 2
    variance = 0.0
    for _ in range(8):
        damped = waves * np.exp(-2 * (math.pi * orders / tick) ** 2 * variance)
        variance = max(seen - tick**2 * max(1 / 6 - float(damped.sum()), 0.0), 0.0)
    return variance if variance > 2 * math.sqrt(2 / times.size) * seen else 0.0
