"""Latencies of a device on which little was measured, from those of other devices.

The log latency on the new device is taken as linear in what is known of a cell: its log latencies
on the other devices and the logs of its amounts of work (`features.AMOUNTS`),

    y = level + w x + e,    w ~ N(w0, t^2),    e ~ N(0, s^2 + its own noise),

with w0 such that, before anything is measured, the new device is a copy of the others' mean up to
its level. How far it may differ (t) and how much stays unexplained (s) are not fixed but averaged
over, each by how well it explains the measured cells (Bayesian model averaging with the restricted
likelihood, which leaves the unknown level out; Rasmussen and Williams, Gaussian Processes for
Machine Learning, 2006, section 2.7). So intervals are wide after one cell and shrink with more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from compofa.common.errors import UserError
from compofa.profiler.latency_model.features import Floats

SPREADS = np.geomspace(0.02, 1.0, 9)
"""Standard deviations t of a weight."""

REMAINDERS = np.geomspace(0.003, 0.3, 13)
"""Standard deviations s of what is left unexplained, as a share of the latency."""

BISECTIONS = 30


@dataclass(frozen=True)
class Transfer:
    """A fitted model; k cells measured, f things known of each.

    Attributes:
        means: of what is known of the measured cells, [f].
        prior: the weights w0, [f].
        known: [k, f], centred.
        residuals: [k], what w0 leaves of the measured log latencies.
        noise: [k], standard errors of log latencies.
        weights: of the pairs of `SPREADS` and `REMAINDERS`, in the order of `_pairs`.
    """

    means: Floats
    prior: Floats
    known: Floats
    residuals: Floats
    noise: Floats
    weights: Floats

    @classmethod
    def fit(cls, known: Floats, prior: Floats, latency_ms: Floats, noise: Floats) -> Transfer:
        """Fits the measured cells.

        Args:
            known: [k, f], what is known of them, on a log scale.
            prior: [f], how the latency follows from it before anything is measured.
            latency_ms: [k], at least one.
            noise: [k], relative standard errors.

        Raises:
            UserError: nothing was measured.
        """
        if not len(latency_ms):
            raise UserError("nothing was measured on the new device: not even its level is known")
        means = known.mean(axis=0)
        centred = known - means
        residuals = np.log(latency_ms) - centred @ prior
        model = cls(means, prior, centred, residuals, noise, np.ones(1))
        logs = np.array([model._log_likelihood(t, s) for t, s in _pairs()])
        weights = np.exp(logs - logs.max())
        return cls(means, prior, centred, residuals, noise, weights / weights.sum())

    def predict(self, known: Floats, confidence: float) -> tuple[Floats, Floats, Floats]:
        """Latencies of n cells in milliseconds, with the ends of their prediction intervals.

        Args:
            known: [n, f], as in `fit`.
            confidence: that an interval holds the latency that measuring it for long would show.
        """
        centred = known - self.means
        parts = [self._predict(centred, t, s) for t, s in _pairs()]
        means, deviations = (np.stack(each) for each in zip(*parts, strict=True))
        centre = self.weights @ means
        low = self._quantile((1 - confidence) / 2, means, deviations)
        high = self._quantile((1 + confidence) / 2, means, deviations)
        level = centred @ self.prior
        # The mean of a skew mixture can lie outside a narrow interval between its quantiles.
        centre = np.clip(centre, low, high)
        found = (np.exp(level + each) for each in (centre, low, high))
        latency, lowest, highest = found
        return latency, lowest, highest

    def _covariance(self, spread: float, remainder: float) -> Floats:
        shared = spread**2 * self.known @ self.known.T
        return np.asarray(shared + np.diag(remainder**2 + self.noise**2))

    def _log_likelihood(self, spread: float, remainder: float) -> float:
        """Restricted: of the contrasts that do not depend on the level."""
        covariance = self._covariance(spread, remainder)
        ones = np.ones(len(self.residuals))
        solved = np.linalg.solve(covariance, np.column_stack([ones, self.residuals]))
        precision, projected = ones @ solved
        fit = self.residuals @ solved[:, 1] - projected**2 / precision
        _, log_determinant = np.linalg.slogdet(covariance)
        return float(-0.5 * (log_determinant + np.log(precision) + fit))

    def _predict(self, centred: Floats, spread: float, remainder: float) -> tuple[Floats, Floats]:
        """Mean and standard deviation, [n], of what w0 leaves of log latencies."""
        covariance = self._covariance(spread, remainder)
        cross = spread**2 * self.known @ centred.T
        ones = np.ones((len(self.residuals), 1))
        solved = np.linalg.solve(covariance, np.column_stack([ones, self.residuals, cross]))
        precision = float(solved[:, 0].sum())
        level = float(solved[:, 1].sum()) / precision
        mean = level + cross.T @ (solved[:, 1] - level * solved[:, 0])
        gap = 1 - cross.T @ solved[:, 0]
        variance = (
            spread**2 * (centred**2).sum(axis=1)
            - (cross * solved[:, 2:]).sum(axis=0)
            + gap**2 / precision
            + remainder**2
        )
        return mean, np.sqrt(np.maximum(variance, 1e-12))

    def _quantile(self, share: float, means: Floats, deviations: Floats) -> Floats:
        """Of the mixture, by bisection, [n]."""
        from scipy.special import ndtr

        low = (means - 8 * deviations).min(axis=0)
        high = (means + 8 * deviations).max(axis=0)
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            below = self.weights @ ndtr((middle - means) / deviations) < share
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return np.asarray((low + high) / 2)


def _pairs() -> Iterator[tuple[float, float]]:
    for spread in SPREADS.tolist():
        for remainder in REMAINDERS.tolist():
            yield spread, remainder
