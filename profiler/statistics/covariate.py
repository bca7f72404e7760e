"""Adjusting a cell for the device's speed at that very moment, as the reference around it saw it.

On shared hosts the speed of a device wanders within seconds, for the reference model and the cell
between its points alike. What the two have in common can be taken off the cell. The reference has
noise of its own, so how much to take off is a regression coefficient, estimated from all cells.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic

import numpy as np

from compofa.common.arrays import FloatArray
from compofa.profiler.statistics.two_way import K, fit_two_way

LEAST_FREEDOM = 10
"""With fewer degrees of freedom a slope is too uncertain, and nothing is adjusted."""


@dataclass(frozen=True, slots=True)
class Adjusted(Generic[K]):
    """Latencies after adjustment.

    Attributes:
        values: per cell, a latency for each session, as given where there is no covariate.
        slope: share of the reference's deviation that was taken off; from 0 (none) to 1 (all).
        explained: share of the residual variance of log latencies that went with it.
    """

    values: Mapping[K, Mapping[int, float]]
    slope: float
    explained: float


def adjust(
    values: Mapping[K, Mapping[int, float]], covariate: Mapping[K, Mapping[int, float]]
) -> Adjusted[K]:
    """Takes off `values` what the covariate explains.

    Analysis of covariance (Fisher, Statistical Methods for Research Workers, 4th ed., 1932; as
    control variates: Lavenberg and Welch, Management Science 27, 1981). With ry and rx what the
    two-way fit of cells and sessions leaves of log latency and covariate,

        slope = sum(rx ry) / sum(rx^2),   adjusted log latency = log latency - slope * covariate.

    Session effects stay as they are: only the moment within the session is adjusted for. The slope
    is kept between 0 and 1, for a device that is slow is slow for both.

    Args:
        values: per cell, its latency in each session that measured it.
        covariate: for the same cells and sessions, the reference's deviation from its level at
            that moment (`Drift.deviation`); where one is missing, nothing is adjusted.

    Raises:
        UserError: as `fit_two_way`.
    """
    common = {
        cell: {s: ms for s, ms in by_session.items() if s in covariate.get(cell, {})}
        for cell, by_session in values.items()
    }
    common = {cell: by_session for cell, by_session in common.items() if by_session}
    unchanged = Adjusted(values, 0.0, 0.0)
    sessions = {s for by_session in common.values() for s in by_session}
    count = sum(map(len, common.values()))
    if count - len(common) - len(sessions) < LEAST_FREEDOM:
        return unchanged
    moments = {c: {s: math.exp(covariate[c][s]) for s in row} for c, row in common.items()}
    ry, rx = _residuals(common), _residuals(moments)
    spread, total = float(rx @ rx), float(ry @ ry)
    # Rounding errors only: a slope of them would be anything.
    if spread < 1e-12 * count or total < 1e-12 * count:
        return unchanged
    slope = min(max(float(rx @ ry) / spread, 0.0), 1.0)
    rest = ry - slope * rx
    adjusted = {
        cell: {
            s: ms * math.exp(-slope * covariate.get(cell, {}).get(s, 0.0))
            for s, ms in by_session.items()
        }
        for cell, by_session in values.items()
    }
    return Adjusted(adjusted, slope, max(0.0, 1 - float(rest @ rest) / total))


def _residuals(values: Mapping[K, Mapping[int, float]]) -> FloatArray:
    """What cell means and session effects leave of the logs, cell by cell, session by session."""
    fit = fit_two_way(values)
    left = fit.log_latency - fit.cell_means[:, None] - fit.effects
    return left[np.isfinite(left)]
