"""Levels that sessions run at: throttling, a neighbour on a shared host, two speeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compofa.common.arrays import FloatArray
from compofa.common.errors import UserError
from compofa.profiler.statistics.latencies import log_latencies
from compofa.profiler.statistics.student import student_quantile

HORIZON = 30
"""Sessions over which the false-alarm rate of `slowdown` is promised."""

INDEPENDENT_SPLITS = 4
"""As many independent tests are the correlated ones at all splits worth: by simulation, 30
undisturbed sessions then raise an alarm in 3 to 5 % of runs, with normal or heavy-tailed levels."""

CONFIRMED = 2
"""Sessions a slow-down must last: one slow session is an outlier, not a step."""

SURE_SPLIT = 0.004
"""Chance to split an undisturbed series. A false split leaves the sessions that happened to be
fast, and an interval that is short because they were chosen; so it has to be rare."""

SUSPECTED_SPLIT = 0.2
"""Chance to suspect an undisturbed series, which costs no more than a few further sessions."""

SLOWER = 0.02
"""Two speeds have to differ by more than this fraction to count as two."""


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """A lasting change of level.

    Attributes:
        start: position of the first session at the new level, counted from 0.
        ratio: new level over old; above 1 is slower.
    """

    start: int
    ratio: float


def slowdown(
    levels: Sequence[float], false_alarms: float = 0.05, noise: float | None = None
) -> ChangePoint | None:
    """Whether the latest sessions are slower than those before, asked after every session.

    The changepoint model with unknown mean and variance (Hawkins, Qiu and Kang, The changepoint
    model for statistical process control, 2003): the largest two-sample t statistic over all
    splits of the series into before and after, against the Student quantile that spends
    `false_alarms` equally on `HORIZON` sessions and `INDEPENDENT_SPLITS` of each.

    While the noise is unknown, the first sessions must tell it: at 1 % noise a step of 5 % is found
    within 3 sessions in 95 % of runs if 8 quiet sessions precede it, in 31 % if 3 do. If the noise
    is known, in 99.8 % after 3.

    Args:
        levels: the reference model's latency in each session so far, in order of time.
        false_alarms: the probability that `HORIZON` undisturbed sessions ever raise an alarm.
        noise: standard deviation of log levels, if known from earlier runs on this set-up.

    Returns:
        The most likely step, or None: nothing beyond chance (yet).

    Raises:
        UserError: no level, one that is not a positive finite number, or noise that is not.
    """
    logs = log_latencies(levels, "the reference levels")
    if noise is not None and not 0 < noise < math.inf:
        raise UserError(f"the noise of the levels is {noise:g}", hint="it must be positive")
    n = logs.size
    splits = np.arange(CONFIRMED, n - CONFIRMED + 1)
    if splits.size == 0:
        return None
    before = np.cumsum(logs)[splits - 1] / splits
    after = (logs.sum() - before * splits) / (n - splits)
    if noise is None:
        statistics = _t_statistics(logs, splits, after - before)
    else:
        statistics = (after - before) * np.sqrt(splits * (n - splits) / n) / noise
    best = int(np.argmax(statistics))
    alpha = false_alarms / (HORIZON * min(INDEPENDENT_SPLITS, splits.size))
    freedom = n - 2.0 if noise is None else math.inf
    if statistics[best] <= student_quantile(1 - alpha, np.array([freedom]))[0]:
        return None
    return ChangePoint(start=int(splits[best]), ratio=math.exp(after[best] - before[best]))


def regimes(levels: Sequence[float], false_alarms: float = SURE_SPLIT) -> list[int]:
    """Which sessions ran at the same level, judged with all of them at hand.

    Binary segmentation: the sessions that differ most from all others are split off if they differ
    beyond chance, and both parts are searched again. Two kinds of splits are looked at, with half
    of `false_alarms` for each, by the Student quantile after Bonferroni:

    - a stretch of sessions, as in circular binary segmentation (Olshen et al., Circular binary
      segmentation for the analysis of array-based DNA copy number data, 2004);
    - the faster sessions wherever they stand, two of them or more, of a device that is now in one
      state and now in another: the best of all 2^(n - 1) ways to part n sessions in two.

    Args:
        levels: of the reference model in each session, in order of time.
        false_alarms: the probability of splitting an undisturbed series.

    Returns:
        A regime number per session; 0 is the fastest regime of two sessions or more: a single
        fast session is no level to refer others to.

    Raises:
        UserError: no level, or one that is not a positive finite number.
    """
    logs = log_latencies(levels, "the reference levels")
    groups = _split(logs, np.arange(logs.size), false_alarms)
    # Sessions that stand alone come last, so that none of them becomes regime 0.
    groups.sort(key=lambda group: (group.size < CONFIRMED, float(logs[group].mean())))
    numbers = [0] * logs.size
    for number, group in enumerate(groups):
        for position in group:
            numbers[int(position)] = number
    return numbers


def suspects_regimes(levels: Sequence[float]) -> bool:
    """Whether sessions may have run at levels that differ by `SLOWER` or more.

    Far weaker evidence than that of `regimes`: a reason to go on measuring, and none to leave
    sessions out.

    Raises:
        UserError: as `regimes`.
    """
    logs = log_latencies(levels, "the reference levels")
    groups = _split(logs, np.arange(logs.size), SUSPECTED_SPLIT)
    means = [float(logs[group].mean()) for group in groups]
    return max(means) - min(means) > math.log1p(SLOWER)


def _split(logs: FloatArray, members: np.ndarray, false_alarms: float) -> list[np.ndarray]:
    if members.size < 2 * CONFIRMED:
        return [members]
    values = logs[members]
    chosen = _stretch(values, false_alarms / 2)
    if chosen is None:
        chosen = _faster(values, false_alarms / 2)
    if chosen is None:
        return [members]
    parts = (members[chosen], members[~chosen])
    return [group for part in parts for group in _split(logs, part, false_alarms)]


def _stretch(values: FloatArray, false_alarms: float) -> np.ndarray | None:
    """The stretch that differs most from the rest, as a mask; None where none does."""
    n = values.size
    sums = np.concatenate([[0.0], np.cumsum(values)])
    start, stop = (a.ravel() for a in np.meshgrid(np.arange(n), np.arange(1, n + 1)))
    # A stretch that starts the series is the complement of one that ends it.
    kept = (start > 0) & (stop > start) & (n - (stop - start) >= CONFIRMED)
    start, stop = start[kept], stop[kept]
    length = stop - start
    inside = (sums[stop] - sums[start]) / length
    outside = (sums[-1] - sums[stop] + sums[start]) / (n - length)
    statistics = np.abs(_t_statistics(values, length, inside - outside))
    best = int(np.argmax(statistics))
    if statistics[best] <= _limit(false_alarms / start.size, n):
        return None
    places = np.arange(n)
    return np.asarray((places >= start[best]) & (places < stop[best]))


def _faster(values: FloatArray, false_alarms: float) -> np.ndarray | None:
    """The sessions that are faster than the rest, as a mask; None where that may be chance."""
    n = values.size
    order = np.argsort(values)
    sizes = np.arange(CONFIRMED, n - CONFIRMED + 1)
    faster = np.cumsum(values[order])[sizes - 1] / sizes
    slower = (values.sum() - faster * sizes) / (n - sizes)
    statistics = _t_statistics(values, sizes, slower - faster)
    best = int(np.argmax(statistics))
    if statistics[best] <= _limit(false_alarms / 2 ** (n - 1), n):
        return None
    chosen = np.zeros(n, dtype=bool)
    chosen[order[: sizes[best]]] = True
    return chosen


def _limit(false_alarms: float, n: int) -> float:
    """What the size of a two-sample t of n values exceeds with that probability."""
    return float(student_quantile(1 - false_alarms / 2, np.array([n - 2.0]))[0])


def _t_statistics(values: FloatArray, size: np.ndarray, difference: FloatArray) -> FloatArray:
    """Two-sample t of splits into `size` and the rest, whose means differ by `difference`."""
    n = values.size
    harmonic = size * (n - size) / n
    between = harmonic * difference**2
    within = np.maximum(((values - values.mean()) ** 2).sum() - between, 0.0) / (n - 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = difference * np.sqrt(harmonic / within)
    # A level that repeats exactly leaves rounding errors only, and those are no step.
    return np.where(np.abs(difference) > 1e-12, t, 0.0)
