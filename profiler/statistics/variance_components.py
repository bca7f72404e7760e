"""How noisy a set-up is: between sessions, between loads of one model, between runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from compofa.profiler.statistics.two_way import K, fit_two_way


@dataclass(frozen=True, slots=True)
class VarianceComponents:
    """Standard deviations on the log scale, so 0.01 is 1 % of a latency; NaN where unknown.

    Attributes:
        session: of what all cells of a session share.
        session_cell: of what a session does to one cell.
        within: of a condensed latency around its session's truth, from the scatter of runs.
    """

    session: float
    session_cell: float
    within: float

    @property
    def one_session(self) -> float:
        """Of one cell's condensed latency in one session."""
        return _together(self.session, self.session_cell, self.within)

    @property
    def one_cell(self) -> float:
        """The same without what all cells of the session share."""
        return _together(self.session_cell, self.within)


def variance_components(
    values: Mapping[K, Mapping[int, float]],
    standard_errors: Mapping[K, Mapping[int, float]] | None = None,
) -> VarianceComponents:
    """Splits the variance of condensed latencies by analysis of variance.

    With the two-way fit's residual variance s^2 and variance of effects v, the method of moments
    gives session^2 = v - effect_leverage s^2 and session_cell^2 = s^2 - mean(standard error^2),
    negative ones taken as zero (Henderson, Estimation of variance and covariance components, 1953,
    method 3).

    Args:
        values: per cell, its condensed latency in each session.
        standard_errors: of their logs (`location.relative_standard_error`), NaN where unknown;
            without them, what runs contribute counts as `session_cell`.

    Raises:
        UserError: as `fit_two_way`.
    """
    fit = fit_two_way(values)
    errors = [e for row in (standard_errors or {}).values() for e in row.values()]
    squares = np.square(np.asarray(errors, dtype=np.float64))
    squares = squares[np.isfinite(squares)]
    within = float(squares.mean()) if squares.size else math.nan
    residual, effect = fit.residual_variance, fit.effect_variance
    if len(fit.cells) == 1:
        # With one cell the two cannot be told apart; all of it counts as the session's.
        residual = math.nan
        session = effect - (0.0 if math.isnan(within) else within)
    else:
        session = effect - fit.effect_leverage * residual
    own = residual - (0.0 if math.isnan(within) else within)
    return VarianceComponents(_root(session), _root(own), _root(within))


def _together(*deviations: float) -> float:
    """Standard deviation of a sum of independent parts; what is not known counts as nothing."""
    return math.sqrt(sum(part**2 for part in deviations if not math.isnan(part)))


def _root(variance: float) -> float:
    return math.nan if math.isnan(variance) else math.sqrt(max(variance, 0.0))
