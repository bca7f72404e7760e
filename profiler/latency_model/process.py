"""The Gaussian process on log latencies: costs, departures and robust noise, learned at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from compofa.profiler.latency_model.covariance import (
    EXPECTED_NOISE,
    EXPECTED_SD,
    alike,
    own,
    parts,
)
from compofa.profiler.latency_model.features import Features, Floats
from compofa.profiler.latency_model.prior import Prior
from compofa.profiler.latency_model.roofline import KINDS, Guess

SPREAD = np.array([1.0, 1.0, 1.0, 1.0, 1.5])
"""How uncertain the expected standard deviations are, as the sd of their logarithms."""

TAIL = 4.0
"""Degrees of freedom of the noise: runs in a wrong clock state must not bend the fit."""

ROUNDS = 2
"""Rounds of finding the variances, then which measurements are in the tails."""

SEARCHED = 200
"""Cells that costs and variances are searched on, at most; more take time and change little."""

STEPS = 8
"""Steps towards the most likely costs, at most."""

LARGEST_STEP = 3.0
"""Of a log cost, in one step: the guess is far from linear in it."""

_EXPECTED = 2 * np.log(np.append(EXPECTED_SD, EXPECTED_NOISE))
"""[5], logarithms of the expected variances: three of the covariance, then two of the noise."""


@dataclass(frozen=True)
class Measured:
    """What was measured: n cells, their latencies [n], and known relative noise [n] (sd)."""

    features: Features
    latency_ms: Floats
    known_noise: Floats

    def __len__(self) -> int:
        return len(self.latency_ms)

    @cached_property
    def logs(self) -> Floats:
        """[n], logarithms of the latencies."""
        return np.asarray(np.log(self.latency_ms))

    @cached_property
    def blocks(self) -> Floats:
        """How alike the blocks are, [blocks, blocks]."""
        return alike(self.features.shapes, self.features.shapes)

    def take(self, rows: npt.NDArray[np.intp] | slice) -> Measured:
        """The cells at `rows`."""
        return Measured(self.features.take(rows), self.latency_ms[rows], self.known_noise[rows])


@dataclass(frozen=True)
class Process:
    """The process given measured cells.

    The guess is linear in its terms (log costs) about the most likely ones, so that these are one
    more, linear part of the covariance: what is not known of them widens predictions, and leaving
    a cell out leaves it out of them too (Rasmussen and Williams, 2006, section 2.7).

    Attributes:
        terms: the most likely.
        log_variances: [5], of the covariance's three parts, of noise and of noise of waiting.
        tails: [n], how many times larger than usual the noise variance of a measurement is.
        inverse: [n, n], of the covariance of the measurements.
        weights: [n], `inverse` times the log departures from the prior's guess.
        evidence: log density of the first `SEARCHED` latencies.
    """

    prior: Prior
    measured: Measured
    terms: Floats
    log_variances: Floats
    tails: Floats
    inverse: Floats
    weights: Floats
    evidence: float

    @classmethod
    def fit(cls, measured: Measured, prior: Prior) -> Process:
        """The process that explains the first `SEARCHED` of `measured` best.

        Noise is Student-t: a normal whose variance differs from cell to cell, found by
        expectation-maximisation (Lange, Little and Taylor, JASA 84, 1989) on left-out residuals.
        It is asked before the costs are, as one wrong cell bends those most.
        """
        some = measured if len(measured) <= SEARCHED else measured.take(slice(SEARCHED))
        terms = prior.mean
        terms[:KINDS] += np.median(some.logs - prior.at(terms, some.features)[1])
        process = cls._at(some, prior, terms, _EXPECTED, np.ones(len(some)))
        for _ in range(ROUNDS):
            process = process._with_tails()._settled()
        for _ in range(ROUNDS):
            process = process._searched()._settled()._with_tails()
        return process

    def extended(self, measured: Measured) -> Process:
        """The process given all of `measured`, of which it has seen the first `SEARCHED`."""
        if len(measured) == len(self.measured):
            return self
        tails = np.ones(len(measured))
        tails[: len(self.tails)] = self.tails
        whole = self._at(measured, self.prior, self.terms, self.log_variances, tails)
        return replace(whole._with_tails(), evidence=self.evidence)

    @classmethod
    def _at(
        cls, measured: Measured, prior: Prior, terms: Floats, logs: Floats, tails: Floats
    ) -> Process:
        model = _Linear.at(measured, prior, terms)
        total = model.covariance(logs, tails)
        inverse = np.asarray(np.linalg.inv(total))
        weights = inverse @ model.departures
        away = (logs - _EXPECTED) / (2 * SPREAD)
        fit = model.departures @ weights + np.linalg.slogdet(total)[1] + away @ away
        return cls(prior, measured, terms, logs, tails, inverse, weights, float(-0.5 * fit))

    def _with_tails(self) -> Process:
        """The process with the tails that its left-out residuals show.

        Where half of the cells are off by more than expected, it is the expectation that is wrong.
        """
        errors, sd = self.left_out()
        scores = np.abs(errors / sd)
        scores /= max(1.0, float(np.median(scores)) / 0.6745)
        tails: Floats = np.maximum(1.0, (TAIL + scores**2) / (TAIL + 1))
        return self._at(self.measured, self.prior, self.terms, self.log_variances, tails)

    def _settled(self) -> Process:
        """The process at the most likely terms, by Gauss and Newton's method, steps halved."""
        terms = self.terms
        precision = np.linalg.inv(self.prior.covariance)
        for _ in range(STEPS):
            model = _Linear.at(self.measured, self.prior, terms)
            scatter = np.asarray(np.linalg.inv(model.scatter(self.log_variances, self.tails)))

            def cost(at: Floats, scatter: Floats = scatter) -> float:
                off = self.measured.logs - self.prior.at(at, self.measured.features)[1]
                away = at - self.prior.mean
                return float(off @ scatter @ off + away @ precision @ away)

            off = model.departures - model.slopes @ (terms - self.prior.mean)
            downhill = model.slopes.T @ scatter @ off - precision @ (terms - self.prior.mean)
            step = np.linalg.solve(model.slopes.T @ scatter @ model.slopes + precision, downhill)
            size = min(1.0, LARGEST_STEP / float(np.abs(step - step.mean()).max() + 1e-12))
            before = cost(terms)
            while size > 1e-3 and cost(terms + size * step) > before:
                size /= 2
            if size <= 1e-3:
                break
            terms = terms + size * step
            if np.abs(size * step).max() < 1e-3:
                break
        return self._at(self.measured, self.prior, terms, self.log_variances, self.tails)

    def _searched(self) -> Process:
        """The process with the log variances of largest posterior density."""
        model = _Linear.at(self.measured, self.prior, self.terms)
        variances = _search(model, self.tails, self.log_variances)
        return self._at(self.measured, self.prior, self.terms, variances, self.tails)

    def predict(
        self, features: Features, blocks: tuple[Floats, Floats], noise: Floats | float = 0.0
    ) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the log latencies that measuring the cells would give.

        Args:
            features: of the cells.
            blocks: how alike the blocks of these cells and of the measured are, and of these cells.
            noise: known relative noise of measuring them.
        """
        variances = np.exp(self.log_variances)
        guess, logs, slopes = self.prior.at(self.terms, features)
        known, _, known_slopes = self.prior.at(self.terms, self.measured.features)
        some = parts(features, guess, self.measured.features, known, blocks[0])
        steep = slopes @ self.prior.covariance
        cross = np.tensordot(variances[:3], some, 1) + steep @ known_slopes.T
        before = variances[:3] @ own(features, guess, blocks[1]) + (steep * slopes).sum(axis=1)
        unknown = np.maximum(before - np.einsum("ij,ij->i", cross @ self.inverse, cross), 0)
        mean = logs - slopes @ (self.terms - self.prior.mean) + cross @ self.weights
        return mean, np.sqrt(unknown + _noise(variances, guess) + noise**2)

    def left_out(self) -> tuple[Floats, Floats]:
        """Errors [n] of predicting each log latency from all others, and their expected sd.

        With variances as they are: Rasmussen and Williams (2006), equation 5.12.
        """
        precision = np.diag(self.inverse)
        guess, _, _ = self.prior.at(self.terms, self.measured.features)
        usual = _noise(np.exp(self.log_variances), guess) + self.measured.known_noise**2
        expected = 1 / precision + (1 - self.tails) * usual
        return self.weights / precision, np.sqrt(np.maximum(expected, usual))


@dataclass(frozen=True)
class _Linear:
    """The model of n measured cells, linear in its t terms about some of them.

    Attributes:
        slopes: [n, t].
        departures: [n], of the log latencies from what the prior's own terms would give.
        parts: [3, n, n], of the covariance.
        linear: [n, n], the covariance that the terms cause.
    """

    measured: Measured
    guess: Guess
    slopes: Floats
    departures: Floats
    parts: Floats
    linear: Floats

    @classmethod
    def at(cls, measured: Measured, prior: Prior, terms: Floats) -> _Linear:
        guess, logs, slopes = prior.at(terms, measured.features)
        features = measured.features
        departures = measured.logs - logs + slopes @ (terms - prior.mean)
        some = parts(features, guess, features, guess, measured.blocks)
        return cls(measured, guess, slopes, departures, some, slopes @ prior.covariance @ slopes.T)

    def scatter(self, logs: Floats, tails: Floats) -> Floats:
        """[n, n], the covariance but for the terms."""
        variances = np.exp(logs)
        total: Floats = np.tensordot(variances[:3], self.parts, 1)
        noise = _noise(variances, self.guess) + self.measured.known_noise**2
        total[np.diag_indices_from(total)] += tails * noise
        return total

    def covariance(self, logs: Floats, tails: Floats) -> Floats:
        """[n, n]."""
        return self.scatter(logs, tails) + self.linear


def _noise(variances: Floats, guess: Guess) -> Floats:
    """[cells], variance of what scatters about the process."""
    noise: Floats = variances[3] + variances[4] * guess.waiting**2
    return noise


def _search(model: _Linear, tails: Floats, start: Floats) -> Floats:
    """Log variances of largest posterior density: marginal likelihood, and a log-normal prior."""
    from scipy.optimize import minimize

    identity = np.eye(len(tails))
    waiting = model.guess.waiting**2

    def cost(logs: Floats) -> tuple[float, Floats]:
        root = np.linalg.cholesky(model.covariance(logs, tails))
        half = np.linalg.solve(root, identity)
        inverse = half.T @ half
        weights = inverse @ model.departures
        surplus = inverse - np.outer(weights, weights)
        away = (logs - _EXPECTED) / (2 * SPREAD)
        value = 0.5 * model.departures @ weights + np.log(np.diag(root)).sum() + 0.5 * away @ away
        each = np.diag(surplus) * tails
        slopes = np.append(np.tensordot(model.parts, surplus, 2), [each.sum(), each @ waiting])
        return float(value), 0.5 * slopes * np.exp(logs) + away / (2 * SPREAD)

    bounds = [(-18.0, 4.0)] * len(start)
    minimum = minimize(
        cost, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-6}
    )
    logs: Floats = minimum.x
    return logs
