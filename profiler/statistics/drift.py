"""Correction for drift in time, as the interleaved reference model sees it.

Time acts in two ways. Within a session the reference's points trace a curve, by which latencies
are divided. Between sessions, scatter without a shape in time is left alone: it is the session
effect, and its variance belongs into the intervals (`two_way`). What lasts, a throttled stretch of
sessions, is divided out, and such sessions no longer count for the level.

Noise and throttling only ever slow a device down, so everything refers to its faster state.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from compofa.profiler.statistics.latencies import Floats, log_latencies
from compofa.profiler.statistics.steps import regimes
from compofa.supernet.errors import UserError

SIGNIFICANCE = 0.01
"""Chance that the noise of reference points is above the limit used for it."""

LIKELIHOOD_GAIN = 2.7
"""Half the 98 % quantile of chi-square on 1 degree of freedom, which chance exceeds in 1 % of
sessions, as a walk's variance cannot be negative (Self and Liang 1987)."""

MEDIANS_FROM = 5
"""Points from which a lone one is an outlier rather than a state of its own."""

CHI_SQUARE_MEDIAN = 0.454936
"""Of one degree of freedom."""


@dataclass(frozen=True, slots=True)
class ReferencePoint:
    """The reference model, timed once within a session.

    Attributes:
        session: its number; sessions follow one another in time by number.
        time_s: seconds, on a clock that runs through the session.
        latency: condensed from the runs at that moment, in any unit.
    """

    session: int
    time_s: float
    latency: float


@dataclass(frozen=True)
class Drift:
    """By how much the device was slower than when undisturbed.

    Attributes:
        level_sessions: the sessions in the fastest regime, whose mean is the level of estimates.
        regime_factors: per session, its regime's level over the fastest one's.
        curves: per session, times in seconds and log factors, both shape (points,); a factor
            may be below 1, since the level is a mean.
    """

    level_sessions: frozenset[int]
    regime_factors: Mapping[int, float]
    curves: Mapping[int, tuple[Floats, Floats]]

    def factor(self, session: int, time_s: float) -> float:
        """What to divide a latency by that was measured in `session` at `time_s`.

        Between reference points it is interpolated, beyond them it stays as at the last one.

        Raises:
            UserError: the reference was not measured in that session.
        """
        times, logs = self._curve(session)
        return self.regime_factors[session] * math.exp(float(np.interp(time_s, times, logs)))

    def ambiguous(self, session: int, time_s: float, limit: float = 0.01) -> bool:
        """Whether the reference moved by more than `limit` between the points around `time_s`.

        If so, the moment of the step is unknown and `factor` may be wrong by as much: measure the
        cell again. If not, interpolation is good to within `limit`.

        Raises:
            UserError: the reference was not measured in that session.
        """
        times, logs = self._curve(session)
        after = int(np.searchsorted(times, time_s))
        if after in (0, times.size):
            return False
        return bool(abs(logs[after] - logs[after - 1]) > math.log1p(limit))

    def _curve(self, session: int) -> tuple[Floats, Floats]:
        if session not in self.curves:
            raise UserError(f"session {session} has no reference measurement to correct drift by")
        return self.curves[session]


def drift_factors(reference: Sequence[ReferencePoint]) -> Drift:
    """The drift that the reference's points show beyond their own noise.

    Within a session the log points are a random walk seen through noise of variance v. In the
    cosine basis, where coefficient k of m has mu[k] = 2 - 2 cos(pi k / m), the walk with steps of
    variance q contributes q / mu[k], and the best guess of the true curve shrinks each coefficient
    by its regression on the truth, (q / mu[k]) / (v + q / mu[k]) (Whittaker, On a new method of
    graduation, 1923, as the smoother of Muth's local level model, 1960). So noise of the reference
    is not added to that of cells. q maximises the likelihood; unless that beats q = 0 beyond
    chance, the curve is flat. The noise v is the median squared second difference of all sessions,
    scaled: steady drift and rare steps leave it alone (for first differences: von Neumann, 1941).

    The level of a session is the mean of what lies in the lower half of its curve's range: the
    state before a step, or around a short disturbance. Lasting changes between sessions come from
    `steps.regimes`.

    Args:
        reference: in order of time within each session. Four points a session or more let
            drift be told from noise.

    Raises:
        UserError: there is no point, a time is not finite or goes back within its session, or a
            latency is not a positive finite number.
    """
    logs = log_latencies([point.latency for point in reference], "the reference model")
    order = sorted(range(len(reference)), key=lambda i: reference[i].session)
    times: dict[int, Floats] = {}
    series: dict[int, Floats] = {}
    for session, group in groupby(order, key=lambda i: reference[i].session):
        indices = list(group)
        times[session] = _checked_times(session, [reference[i].time_s for i in indices])
        series[session] = logs[indices]

    noise, surely_below = _noise(list(series.values()))
    curves = {s: _above_level(x, noise, surely_below) for s, x in series.items()}
    levels = {s: float(np.median(x - curves[s])) for s, x in series.items()}
    numbers = dict(zip(levels, regimes([math.exp(v) for v in levels.values()]), strict=True))
    regime_levels = {
        number: float(np.mean([levels[s] for s in levels if numbers[s] == number]))
        for number in set(numbers.values())
    }
    return Drift(
        level_sessions=frozenset(s for s in levels if numbers[s] == 0),
        regime_factors={s: math.exp(regime_levels[numbers[s]] - regime_levels[0]) for s in levels},
        curves={s: (times[s], curves[s]) for s in levels},
    )


def _checked_times(session: int, times: list[float]) -> Floats:
    array = np.asarray(times, dtype=np.float64)
    if not np.isfinite(array).all():
        raise UserError(f"session {session}: a time of the reference model is not finite")
    back = np.flatnonzero(np.diff(array) < 0)
    if back.size:
        i = int(back[0])
        raise UserError(
            f"session {session}: time goes back from {array[i]:g} s to {array[i + 1]:g} s",
            hint="the clock was set during the session; leave the session out",
        )
    return array


def _noise(series: list[Floats]) -> tuple[float, float]:
    """Variance of one reference point, and an upper 99 % limit for it."""
    from scipy.special import chdtri

    seconds = [np.diff(x, n=2) for x in series if x.size > 2]
    if not seconds:
        return math.inf, math.inf
    squares = np.concatenate(seconds) ** 2
    # Rounding alone must not look like drift where the clock is so coarse that noise is zero.
    noise = max(float(np.median(squares)) / 6 / CHI_SQUARE_MEDIAN, 1e-18)
    # A median is worth about a third of a mean here, and overlapping differences are correlated.
    freedom = max(1.0, squares.size / 4)
    return noise, noise * freedom / float(chdtri(freedom, 1 - SIGNIFICANCE))


def _above_level(x: Floats, noise: float, surely_below: float) -> Floats:
    """How far above the session's level the reference was at each of its points."""
    from scipy.fft import dct, idct

    m = x.size
    if m < 2 or math.isinf(noise):
        return np.zeros_like(x)
    coefficients = dct(_without_outliers(x), norm="ortho")
    rough = 2 - 2 * np.cos(np.pi * np.arange(1, m) / m)
    gain, _ = _likeliest_walk(coefficients[1:] ** 2 / surely_below, rough)
    if gain <= LIKELIHOOD_GAIN:
        return np.zeros_like(x)
    _, walk = _likeliest_walk(coefficients[1:] ** 2 / noise, rough)
    coefficients[1:] *= walk / (rough + walk)
    curve = np.asarray(idct(coefficients, norm="ortho"))
    return np.asarray(curve - curve[curve <= (curve.min() + curve.max()) / 2].mean())


def _without_outliers(x: Floats) -> Floats:
    """Running medians of three, which keep steps (Tukey, Exploratory Data Analysis, 1977)."""
    if x.size < MEDIANS_FROM:
        return x
    padded = np.pad(x, 1, mode="reflect")
    return np.asarray(np.median([padded[:-2], padded[1:-1], padded[2:]], axis=0))


def _likeliest_walk(energy: Floats, rough: Floats) -> tuple[float, float]:
    """The gain in log likelihood over no walk, and the walk's variance q in units of the noise."""
    ratios = np.logspace(-4, 8, 61)
    variances = 1 + ratios[:, None] / rough
    gains = (energy * (1 - 1 / variances) - np.log(variances)).sum(axis=1) / 2
    best = int(np.argmax(gains))
    return float(gains[best]), float(ratios[best])
