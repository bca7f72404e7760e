"""The Gaussian process on log latencies, with variances by marginal likelihood and robust noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compofa.profiler.latency_model.covariance import EXPECTED_SD, Covariance
from compofa.profiler.latency_model.features import Features, Floats
from compofa.profiler.latency_model.roofline import Roofline

EXPECTED_NOISE = 0.01
"""Relative standard deviation of a cell about the model that is expected before any data."""

SPREAD = 1.0
"""How uncertain the expected standard deviations are, as the sd of their logarithms."""

TAIL = 4.0
"""Degrees of freedom of the noise: runs in a wrong clock state must not bend the fit."""

ROUNDS = 2
"""Rounds of finding the variances, then which measurements are in the tails."""

SEARCHED = 300
"""Cells that the variances are searched on at most; more of them cost time and change little."""

_EXPECTED = 2 * np.log(np.append(EXPECTED_SD, EXPECTED_NOISE))
"""[6], logarithms of the expected variances: of the five parts of the covariance, and of noise."""


@dataclass(frozen=True)
class Measured:
    """What was measured: n cells, their latencies [n], and known relative noise [n] (sd)."""

    features: Features
    latency_ms: Floats
    known_noise: Floats

    def __len__(self) -> int:
        return len(self.latency_ms)

    def take(self, rows: npt.NDArray[np.intp]) -> Measured:
        """The cells at `rows`."""
        return Measured(self.features.take(rows), self.latency_ms[rows], self.known_noise[rows])


@dataclass(frozen=True)
class Process:
    """The process given measured cells.

    Attributes:
        covariance: with the roofline fitted on these cells.
        log_variances: [6], of the covariance's five parts and of the noise.
        tails: [n], how many times larger than usual the noise of a measurement is.
        inverse: [n, n], of the covariance of the measurements.
        weights: [n], `inverse` times the log departures from the guess.
    """

    covariance: Covariance
    measured: Measured
    log_variances: Floats
    tails: Floats
    inverse: Floats
    weights: Floats

    @classmethod
    def fit(cls, measured: Measured, start: Floats = _EXPECTED) -> Process:
        """The process that explains `measured` best, its log variances searched from `start`.

        Noise is Student-t: a normal whose variance differs from cell to cell, found by
        expectation-maximisation (Lange, Little and Taylor, JASA 84, 1989) on left-out residuals.
        """
        process = cls._fit(measured, start, np.ones(len(measured)))
        for _ in range(ROUNDS - 1):
            process = cls._fit(measured, process.log_variances, process._tails_seen())
        return process

    @classmethod
    def _fit(cls, measured: Measured, start: Floats, tails: Floats) -> Process:
        roofline = Roofline.fit(measured.features, measured.latency_ms)
        covariance = Covariance(roofline)
        departures = np.log(measured.latency_ms / roofline.latency_ms(measured.features))
        parts = covariance.parts(measured.features, measured.features)
        some = slice(SEARCHED)
        found = _search(
            parts[:, some, some], departures[some], measured.known_noise[some], tails[some], start
        )
        variances = np.exp(found)
        total = np.tensordot(variances[:-1], parts, 1)
        total[np.diag_indices_from(total)] += tails * (variances[-1] + measured.known_noise**2)
        inverse = np.linalg.inv(total)
        return cls(covariance, measured, found, tails, inverse, inverse @ departures)

    def without(self, rows: npt.NDArray[np.intp]) -> Process:
        """The process refitted, roofline and variances included, as if `rows` were not measured."""
        kept = np.setdiff1d(np.arange(len(self.measured)), rows)
        return self.fit(self.measured.take(kept), self.log_variances)

    def predict(self, features: Features, noise: Floats | float = 0.0) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the log latencies that measuring the cells would give.

        Args:
            features: of the cells.
            noise: known relative noise of measuring them.
        """
        variances = np.exp(self.log_variances)
        parts = self.covariance.parts(features, self.measured.features)
        cross = np.tensordot(variances[:-1], parts, 1)
        guess = np.log(self.covariance.roofline.latency_ms(features))
        explained = np.einsum("ij,ij->i", cross @ self.inverse, cross)
        unknown = np.maximum(variances[:-1] @ self.covariance.own(features) - explained, 0)
        return guess + cross @ self.weights, np.sqrt(unknown + variances[-1] + noise**2)

    def left_out(self) -> tuple[Floats, Floats]:
        """Errors [n] of predicting each log latency from all others, and their expected sd.

        With roofline and variances as they are: Rasmussen and Williams (2006), equation 5.12.
        """
        precision = np.diag(self.inverse)
        usual = np.exp(self.log_variances[-1]) + self.measured.known_noise**2
        expected = 1 / precision + (1 - self.tails) * usual
        return self.weights / precision, np.sqrt(np.maximum(expected, usual))

    def _tails_seen(self) -> Floats:
        errors, sd = self.left_out()
        seen: Floats = np.maximum(1, (TAIL + (errors / sd) ** 2) / (TAIL + 1))
        return seen


def _search(
    parts: Floats, departures: Floats, known_noise: Floats, tails: Floats, start: Floats
) -> Floats:
    """Log variances of largest posterior density: marginal likelihood, and a log-normal prior."""
    from scipy.optimize import minimize

    identity = np.eye(len(departures))

    def cost(logs: Floats) -> tuple[float, Floats]:
        variances = np.exp(logs)
        total = np.tensordot(variances[:-1], parts, 1)
        total[np.diag_indices_from(total)] += tails * (variances[-1] + known_noise**2)
        root = np.linalg.cholesky(total)
        half = np.linalg.solve(root, identity)
        inverse = half.T @ half
        weights = inverse @ departures
        surplus = inverse - np.outer(weights, weights)
        away = (logs - _EXPECTED) / (2 * SPREAD)
        value = 0.5 * departures @ weights + np.log(np.diag(root)).sum() + 0.5 * away @ away
        slopes = np.append(np.tensordot(parts, surplus, 2), np.diag(surplus) @ tails)
        return float(value), 0.5 * slopes * variances + away / (2 * SPREAD)

    bounds = [(-18.0, 4.0)] * len(start)
    found = minimize(
        cost, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-6}
    )
    logs: Floats = found.x
    return logs
