"""Where warm-up ends: the rule that a session follows, and what a whole profile adds to it.

There are three checks, because none of them sees all kinds of warm-up. *Within a visit* to a model
the second half of its timed runs must not be faster than the first (`trend`); as long as it is, all
of them count as warm-up and twice as many are timed. A *long look* at the reference model finds
what a short visit cannot see, such as a step after hundreds of runs (`warmup_length`, `needs_of`).
*Across visits* the same small gain again and again is not by chance (`lasting`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compofa.common.arrays import FloatArray
from compofa.profiler.statistics.latencies import log_latencies
from compofa.profiler.statistics.runs.clock import condense_timed, is_coarse, rounding_error
from compofa.profiler.statistics.student import student_quantile

TOLERANCE = 0.003
"""Runs are settled if the second half is faster by less than this. If they decay exponentially over
more than a visit, what is still to come is a few times that gain: about 1 %."""

SURE = 3.0
"""How many standard errors a gain within one visit must exceed."""

SURE_ACROSS = 0.001
"""The probability that visits without a trend are taken for ones with a trend."""

SLICE_ERROR = 1.35
"""Standard error of a condensed latency of n normal runs, in units of their sd over sqrt(n)."""

BLOCKS, LEAST_BLOCK = 60, 5
"""A long look is cut into this many blocks, of at least this many runs."""

LEVEL = 0.005
"""A block that is slower than the last third of a look by more than this is not warm."""

FALLING, STRETCHES = -0.7, 6
"""Levels fall steadily if those of so many stretches correlate with time by less than this."""

WANDERING = 1 / 3
"""A device wanders if its visits get slower at least this share as often as they get faster."""

LEAST_LOOK = 30
"""A look of fewer runs says nothing."""

MARGIN = 1.4
"""Warm-ups are this many times as long as a look shows: an exponential is then off by 0.1 %."""

MANY = 8
"""From this many looks on, their median counts; of fewer, the shortest."""


@dataclass(frozen=True, slots=True)
class RunTrend:
    """How much faster the second half of some runs is than the first.

    Attributes:
        gain: log of the ratio of the halves; above zero while runs are getting faster.
        error: its standard error, from the scatter of the runs and the clock's tick.
    """

    gain: float
    error: float

    @property
    def warming(self) -> bool:
        """Whether the runs are getting faster, beyond chance and by an amount that matters."""
        return self.gain > max(TOLERANCE, SURE * self.error)

    @property
    def slowing(self) -> bool:
        """Whether the runs are getting slower, which is no warm-up."""
        return -self.gain > max(TOLERANCE, SURE * self.error)


def restless(trends: Sequence[RunTrend]) -> bool:
    """Whether the device wanders within visits, so that runs get faster as they get slower.

    There a visit that gets faster is not warming up, and to time it again until it does not would
    choose the moments at which the device is fast.

    Args:
        trends: of the first timing of each visit so far.
    """
    slowing = sum(each.slowing for each in trends)
    return slowing >= 2 and slowing >= WANDERING * sum(each.warming for each in trends)


def trend(times_ns: Sequence[float], tick: int = 1) -> RunTrend:
    """The trend in the timed runs of a visit; none where they are fewer than four.

    The scatter is that of differences between neighbours, which a trend hardly touches: their
    median size is 0.954 standard deviations of a run where runs are normal.

    Args:
        times_ns: in the order they were timed.
        tick: of the clock, see `clock.clock_tick`.
    """
    if len(times_ns) < 4:
        return RunTrend(0.0, math.inf)
    half = len(times_ns) // 2
    first, second = times_ns[:half], times_ns[-half:]
    if not (sum(first) > 0 and sum(second) > 0):
        return RunTrend(0.0, math.inf)  # the clock is too coarse to tell
    levels = [condense_timed(part, tick) for part in (first, second)]
    times = np.asarray(times_ns, dtype=np.float64)
    scatter = float(np.median(np.abs(np.diff(times)))) / 0.954 / float(np.median(times) or 1)
    if is_coarse(float(times.mean()), tick):
        scatter = float(times.std()) / float(times.mean()) / SLICE_ERROR
        scatter = min(scatter, rounding_error(first, tick) * math.sqrt(half) / SLICE_ERROR)
    error = SLICE_ERROR * scatter * math.sqrt(2 / half)
    return RunTrend(math.log(levels[0] / levels[1]), error)


def warmup_length(times_ns: Sequence[float], tick: int = 1) -> int | None:
    """After how many runs of a long look the level is that of its end.

    The look is cut into blocks, and warm-up ends with the last two neighbours that are both slower
    than the last third of the blocks by `LEVEL` and three times their scatter; one slow block alone
    was disturbed.

    Returns:
        Runs to drop, 0 where the first are as fast as the last; None where the look's last third is
        still getting faster, and 0 where it is shorter than `LEAST_LOOK`, which says nothing.

    Raises:
        UserError: no run, or one that is not a positive finite number.
    """
    if tick == 1:
        log_latencies(times_ns, "the warm-up runs")
    if len(times_ns) < LEAST_LOOK or 1 < tick > np.median(times_ns) / 50:
        return 0
    size = max(LEAST_BLOCK, len(times_ns) // BLOCKS)
    levels = _levels(np.asarray(times_ns, dtype=np.float64), size)
    rest = levels[-(levels.size // 3) :]
    centre = float(np.median(rest))
    if trend(times_ns[-size * rest.size :], tick).warming and _falls(rest):
        return None
    # What a restless device does in the last third, it may have done before.
    scatter = 1.4826 * float(np.median(np.abs(rest - centre)))
    restless = max(3 * scatter, 1.5 * (float(rest.max()) - centre))
    slow = levels - centre > max(LEVEL, restless)
    pairs = np.flatnonzero(slow[:-1] & slow[1:])
    if pairs.size:
        length = (int(pairs[-1]) + 2) * size
        return None if length > len(times_ns) - size * rest.size else length
    return size if slow[0] else 0


def _falls(levels: FloatArray) -> bool:
    """Whether levels go down all along, rather than wander."""
    steps = np.array([part.mean() for part in np.array_split(levels, min(STRETCHES, levels.size))])
    return float(np.corrcoef(steps, np.arange(steps.size))[0, 1]) < FALLING


def _levels(times: FloatArray, size: int) -> FloatArray:
    """Log medians of consecutive blocks of `size` runs."""
    count = times.size // size
    return np.log(np.median(times[: count * size].reshape(count, size), axis=1))


@dataclass(frozen=True, slots=True)
class WarmUpNeeds:
    """How many runs it takes a device to warm up; infinite where it did not within the look.

    Attributes:
        process: at the start of a process, whatever it runs.
        model: of each model after it was loaded.
    """

    process: float = 0.0
    model: float = 0.0


def needs_of(lengths: Sequence[float], usual: int) -> WarmUpNeeds:
    """What long looks at models say of all models.

    The first look is at the reference model in a fresh process, the others begin with a fresh load.
    A warm-up that they do not show again is the process's own; one that all of them show is that of
    each model. The shortest of few counts, since what disturbs a look makes it longer.

    Args:
        lengths: of warm-up, look by look (`warmup_length`); infinite where it did not end.
        usual: warm-up runs that every visit makes anyway: where a look shows no more, none are
            needed.
    """
    if not lengths or lengths[0] <= usual:
        return WarmUpNeeds()
    again = lengths[0] if len(lengths) == 1 else _shortest(lengths[1:])
    if again <= usual or again <= lengths[0] / 2:
        model = MARGIN * again if again > usual else 0.0
        return WarmUpNeeds(process=MARGIN * lengths[0], model=model)
    return WarmUpNeeds(model=MARGIN * min(again, lengths[0]))


def _shortest(lengths: Sequence[float]) -> float:
    """The shortest of few lengths, the median of many, which single short ones do not change."""
    return min(lengths) if len(lengths) < MANY else sorted(lengths)[len(lengths) // 2]


def lasting(trends: Sequence[RunTrend]) -> bool:
    """Whether visits were still warming up, judged by all of them together.

    One visit on a restless device goes down as easily as up. Visits that keep getting faster on
    average, beyond `SURE_ACROSS` by Student's t, were timed too early.
    """
    gains = _gains(trends)
    if gains.size < 2 or gains.mean() <= TOLERANCE:
        return False
    error = float(gains.std(ddof=1)) / math.sqrt(gains.size)
    reach = float(student_quantile(1 - SURE_ACROSS, np.array([gains.size - 1.0]))[0])
    return bool(gains.mean() > reach * error)


def mean_gain(trends: Sequence[RunTrend]) -> float:
    """Of visits that tell; 0 where none does."""
    gains = _gains(trends)
    return float(gains.mean()) if gains.size else 0.0


def _gains(trends: Sequence[RunTrend]) -> FloatArray:
    return np.array([each.gain for each in trends if math.isfinite(each.error)])
