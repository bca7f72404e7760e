"""Estimates of cells with confidence intervals over sessions."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from compofa.common.arrays import FloatArray
from compofa.common.normal_interval import reach
from compofa.profiler.settings import CONFIDENCE
from compofa.profiler.statistics.latencies import check_fraction
from compofa.profiler.statistics.moderation import moderate
from compofa.profiler.statistics.student import half_width
from compofa.profiler.statistics.two_way import K, TwoWay, fit_two_way

POOLED_CELLS = 6
"""With this many cells or more, variances are shared across them. With fewer, the fit cannot tell
one noisy cell from the session effect, and each cell keeps its own Student t."""

PEEKING = 0.8
"""Share of the permitted misses that a rule which peeks may spend; see `stopping`."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A latency with its confidence interval, in the unit of what it was computed from.

    Attributes:
        value: geometric mean over sessions.
        low: lower end of the interval; 0 where it is not determined.
        high: upper end; infinite where it is not determined.
        confidence: that the interval holds the truth.
        n_sessions: that measured this cell.
    """

    value: float
    low: float
    high: float
    confidence: float
    n_sessions: int

    @property
    def relative_half_width(self) -> float:
        """(high - low) / 2 / value; infinite where the interval is not determined."""
        return (self.high - self.low) / 2 / self.value

    def widened(self, share: float) -> Estimate:
        """With an interval that allows for an error of `share` of the latency either way."""
        if not share:
            return self
        return replace(self, low=self.low / (1 + share), high=self.high * (1 + share))


@dataclass(frozen=True, slots=True)
class LogMeans:
    """Mean log latencies of C cells, their error split by whether cells share it.

    Attributes:
        means: shape (C,).
        own_variance: of each mean, apart from what all cells share, shape (C,).
        own_freedom: degrees of freedom of `own_variance`; 0 where it is unknown, shape (C,).
        shared_variance: of the error that all means have in common.
        shared_freedom: its degrees of freedom; 0 where it is unknown.
        counts: sessions of each cell, shape (C,).
    """

    means: FloatArray
    own_variance: FloatArray
    own_freedom: FloatArray
    shared_variance: float
    shared_freedom: float
    counts: FloatArray

    def half_widths(self, confidence: float) -> FloatArray:
        """Of the intervals for the means; infinite where undetermined, shape (C,)."""
        return half_width(
            confidence,
            [
                (self.own_variance, self.own_freedom),
                (np.array(self.shared_variance), np.array(float(self.shared_freedom))),
            ],
        )


@dataclass(frozen=True, slots=True)
class SharedError:
    """The error that all log latencies of some sessions have in common.

    What is computed from several of them has it too, however many they are: a prediction, for one.

    Attributes:
        variance: of the mean session effect.
        freedom: its degrees of freedom; infinite where the variance is known.
    """

    variance: float = 0.0
    freedom: float = math.inf

    def widened(self, half_widths: FloatArray, confidence: float) -> FloatArray:
        """Half-widths on the log scale, with this error beside what they are for.

        Args:
            half_widths: of normal intervals, any shape.
            confidence: of them.
        """
        if not self.variance:
            return half_widths
        own = (half_widths / reach(confidence)) ** 2
        known = np.full_like(own, math.inf)
        shared = np.full_like(own, self.variance), np.full_like(own, self.freedom)
        return half_width(confidence, [(own, known), shared])


NO_SHARED_ERROR = SharedError()


def shared_error(
    values: Mapping[K, Mapping[int, float]], level_sessions: Collection[int] | None = None
) -> SharedError:
    """Of the cells that `values` holds, as `estimate_cells` has it; none where cells are few.

    Raises:
        UserError: as `fit_two_way`.
    """
    logs = log_means(fit_two_way(values, level_sessions))
    known = logs.shared_freedom > 0 and math.isfinite(logs.shared_variance)
    return SharedError(logs.shared_variance, logs.shared_freedom) if known else NO_SHARED_ERROR


def estimate_cells(
    values: Mapping[K, Mapping[int, float]],
    confidence: float = CONFIDENCE,
    *,
    level_sessions: Collection[int] | None = None,
    peeking: bool = True,
) -> dict[K, Estimate]:
    """Estimates every cell, with the session effect and the variances shared across cells.

    With b the session effects and s~^2 a cell's moderated residual variance (`log_means`), the
    interval on the log scale is mean ± t sqrt(var(b) / L + own) with `student.half_width`'s degrees
    of freedom, transformed back by exp. Put the reference model in `values`
    as a cell of its own: it ties sessions together that have few cells in common.

    Args:
        values: per cell, one condensed and drift-corrected latency for each session (by its
            number) that measured it.
        confidence: of each interval, taken by itself.
        level_sessions: the undisturbed sessions (`Drift.level_sessions`); all by default.
        peeking: whether more sessions are added until intervals are short enough. Then intervals
            are widened so that they hold what they promise at whatever moment one stops.

    Returns:
        An estimate per cell; its ends are 0 and infinite where one session is all there is. No
        cells give no estimates.

    Raises:
        UserError: as `fit_two_way`, or a confidence outside (0, 1).
    """
    check_fraction(confidence, "the confidence")
    if not values:
        return {}
    fit = fit_two_way(values, level_sessions)
    logs = log_means(fit)
    widths = logs.half_widths(1 - PEEKING * (1 - confidence) if peeking else confidence)
    return {
        cell: Estimate(
            value=math.exp(mean),
            low=math.exp(mean - width),
            high=math.exp(mean + width) if width < 100 else math.inf,
            confidence=confidence,
            n_sessions=int(count),
        )
        for cell, mean, width, count in zip(fit.cells, logs.means, widths, logs.counts, strict=True)
    }


def log_means(fit: TwoWay[K]) -> LogMeans:
    """Cell means with the variances of their errors.

    All means share the error of the mean session effect, var(b) / L with L level sessions, on the
    degrees of freedom of var(b): L - 1, and more where others were divided down. b is estimated,
    so var(b) already holds `effect_leverage` of the residual variance, which is taken off the rest:

        own[c] = s~[c]^2 / n[c] + s^2 (leverage[c] - 1 / n[c] - effect_leverage / L)

    For complete data and equal variances the sum of both is var(b) / S + s^2 (1 - 1/C) / S, the
    unbiased estimate of the two-way random model (Searle, Casella and McCulloch, Variance
    Components, 1992, section 4.3). With few cells: each cell's own sample variance.
    """
    if len(fit.cells) < POOLED_CELLS:
        return _unpooled(fit)
    level = fit.level_count
    variances, freedom = moderate(fit.sum_squares, fit.freedom)
    excess = fit.leverage - 1 / fit.counts - fit.effect_leverage / level
    own = variances / fit.counts + fit.residual_variance * excess
    return LogMeans(
        means=fit.cell_means,
        own_variance=np.maximum(own, 0.0),
        own_freedom=freedom,
        shared_variance=fit.effect_variance / level,
        shared_freedom=fit.effect_freedom if level > 1 else 0,
        counts=fit.counts,
    )


def _unpooled(fit: TwoWay[K]) -> LogMeans:
    """Each cell by itself, from the level sessions alone if it has any."""
    y = np.where(fit.level > 0, fit.log_latency, np.nan)
    counts = np.isfinite(y).sum(axis=1).astype(float)
    sums = np.nansum(y, axis=1)
    means = np.divide(sums, counts, out=fit.cell_means.copy(), where=counts > 0)
    squares = np.nansum((y - means[:, None]) ** 2, axis=1)
    known = counts > 1
    return LogMeans(
        means=means,
        own_variance=np.divide(
            squares, counts * (counts - 1), out=np.full_like(sums, np.nan), where=known
        ),
        own_freedom=np.where(known, counts - 1, 0.0),
        shared_variance=0.0,
        shared_freedom=math.inf,
        counts=fit.counts,
    )
