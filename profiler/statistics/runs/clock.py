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


UNSEEN_SCATTER = 0.02
"""Standard deviation of runs, over their mean, that is allowed for where readings of a coarse clock
do not show it: that of a busy computer."""


ORDERS = np.arange(1, 200)
"""Terms of the clock's variance; those beyond are added in one, see `_variance_of_readings`."""

HALVINGS = 20
"""Of the range that the variance of runs is looked for in."""


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
    them lie below it: `QUIET_SHIFT` standard deviations of runs, the middle of what `_scatter`
    allows for.

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
    return mean - QUIET_SHIFT * sum(_scatter(kept, mean, tick)) / 2


def unseen_shift(times_ns: Sequence[float], tick: int) -> float:
    """By which fraction `condense_timed` may be wrong either way, for scatter that is not seen.

    No number of sessions makes it less; 0 on a fine clock.
    """
    times = np.asarray(times_ns, dtype=np.float64)
    if not times.size or not is_coarse(float(np.median(times)), tick):
        return 0.0
    kept = uninterrupted(times, tick)
    mean = float(kept.mean())
    if mean <= 0:
        return 0.0
    least, most = _scatter(kept, mean, tick)
    return QUIET_SHIFT * (most - least) / 2 / mean


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


def _scatter(times: FloatArray, mean: float, tick: int) -> tuple[float, float]:
    """Least and largest standard deviation of what runs took that the readings bear out.

    Where chance could have made the readings' variance of runs without scatter, none is the least,
    and the largest is what chance could have hidden, up to `UNSEEN_SCATTER`. Readings of runs that
    are all shorter than a tick are 0 or 1, which have the same variance whatever the runs' own is.
    """
    if mean * OUTLYING < tick:
        return 0.0, UNSEEN_SCATTER * mean
    seen, chance = float(times.var()), 2 * math.sqrt(2 / times.size)
    if seen > (1 + chance) * _variance_of_readings(0.0, mean, tick):
        scatter = math.sqrt(_variance(seen, mean, tick))
        return scatter, scatter
    hidden = math.sqrt(_variance((1 + chance) * seen, mean, tick))
    return 0.0, min(hidden, UNSEEN_SCATTER * mean)


def _variance(seen: float, mean: float, tick: int) -> float:
    """The variance of what runs took that makes the variance of their readings `seen`."""
    least, most = 0.0, seen
    for _ in range(HALVINGS):
        middle = (least + most) / 2
        if _variance_of_readings(middle, mean, tick) < seen:
            least = middle
        else:
            most = middle
    return (least + most) / 2


def _variance_of_readings(variance: float, mean: float, tick: int) -> float:
    """Of readings of normal runs.

    The clock adds q^2 f (1 - f), f the fraction of a tick that a run ends on, to the runs' own
    variance s^2. Its mean over a normal of mean m is (Sheppard's correction, exact)

        q^2 (1/6 - sum over k of cos(2 pi k m / q) exp(-2 (pi k s / q)^2) / (pi k)^2).

    Without scatter the sum is 1/6 - f (1 - f), which tells what all terms beyond `ORDERS` come to;
    they are damped as the first of them is.
    """
    damped = np.exp(-2 * (math.pi * ORDERS / tick) ** 2 * variance)
    waves = np.cos(2 * math.pi * ORDERS * mean / tick) / (math.pi * ORDERS) ** 2
    fraction = mean / tick % 1
    beyond = 1 / 6 - fraction * (1 - fraction) - float(waves.sum())
    return variance + tick**2 * max(1 / 6 - float(waves @ damped) - float(damped[-1]) * beyond, 0.0)
