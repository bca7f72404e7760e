"""Accuracy as a Gaussian process of a subnet's choices: the model for few measurements.

Its covariance is a constant trend in every choice (linear) plus a smooth remainder (squared
exponential), with one scale of either for each kind of choice; they and the noise are set by
the marginal likelihood (Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006,
chapters 4 and 5).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

from compofa.common.arrays import FloatArray, IntArray
from compofa.supernet.accuracy_predictor.choices import Choices

MOST_FOR_SCALES = 300
"""Measurements that the scales are set by; the time grows with the cube, the gain little."""

JITTER = 1e-6
"""Least variance of the noise, relative to that of the accuracies."""

AT_ONCE = 4096
"""Cells predicted in one go."""


@dataclass(frozen=True)
class GaussianProcess:
    """A fitted process.

    Attributes:
        mean: of the features, [features].
        scaling: one over their standard deviation, [features]; 0 for what never varied, of which
            nothing can be said.
        inputs: the scaled features of what was measured, [m, features].
        groups: which kind of choice each feature is, [features].
        scales: logarithms, [2 kinds + 2]: of the smooth part's inputs by kind, the linear part's by
            kind, the smooth part's height, the noise.
        weights: what the covariances with the measurements are multiplied by, [m].
        level: the mean accuracy.
    """

    mean: FloatArray
    scaling: FloatArray
    inputs: FloatArray
    groups: IntArray
    scales: FloatArray
    weights: FloatArray
    level: float

    @classmethod
    def fit(cls, choices: Choices, top1: FloatArray, seed: int = 0) -> GaussianProcess:
        """Fits a process to accuracies `top1` [m]."""
        features = choices.numbers
        mean, deviation = features.mean(axis=0), features.std(axis=0)
        varied = deviation > 1e-9
        scaling = np.where(varied, 1 / np.where(varied, deviation, 1.0), 0.0)
        inputs = (features - mean) * scaling
        level, height = float(top1.mean()), float(top1.std()) or 1.0
        targets = (top1 - level) / height
        some = np.random.default_rng(seed).permutation(len(top1))[:MOST_FOR_SCALES]
        scales = _best_scales(inputs[some], targets[some], choices.groups)
        covariance = _noisy(_covariance(inputs, inputs, choices.groups, scales), scales)
        weights = height * cho_solve(cho_factor(covariance), targets)
        return cls(mean, scaling, inputs, choices.groups, scales, weights, level)

    def predict(self, choices: Choices) -> FloatArray:
        """The expected accuracy of n cells, [n]."""
        inputs = (choices.numbers - self.mean) * self.scaling
        top1 = np.empty(len(inputs))
        for start in range(0, len(inputs), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            covariance = _covariance(inputs[part], self.inputs, self.groups, self.scales)
            top1[part] = self.level + covariance @ self.weights
        return top1


def _covariance(a: FloatArray, b: FloatArray, groups: IntArray, scales: FloatArray) -> FloatArray:
    """Between cells with scaled features `a` [n, features] and `b` [m, features]: [n, m]."""
    kinds = groups.max() + 1
    near, trend = np.exp(scales[:kinds])[groups], np.exp(2 * scales[kinds : 2 * kinds])[groups]
    smooth = np.exp(2 * scales[-2] - _squares(a * near, b * near) / 2)
    covariance: FloatArray = smooth + (a * trend) @ b.T
    return covariance


def _squares(a: FloatArray, b: FloatArray) -> FloatArray:
    """Squared distances between rows, [n, m]."""
    squares: FloatArray = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    return np.maximum(squares, 0.0, out=squares)


def _noisy(covariance: FloatArray, scales: FloatArray) -> FloatArray:
    """`covariance` [m, m] of measurements, noise included."""
    noisy = covariance.copy()
    noisy[np.diag_indices_from(noisy)] += np.exp(2 * scales[-1]) + JITTER
    return noisy


def _best_scales(inputs: FloatArray, targets: FloatArray, groups: IntArray) -> FloatArray:
    """The scales with the highest marginal likelihood, with a weak pull towards where they start.

    The pull keeps the scales of what does not vary, or matters little, from running away.
    """
    kinds = groups.max() + 1
    start = np.array([-1.5] * kinds + [-1.0] * kinds + [0.0, -2.0])

    def loss(scales: FloatArray) -> tuple[float, FloatArray]:
        value, slope = _unlikelihood(inputs, targets, groups, scales)
        pull = scales - start
        return value + 0.02 * pull @ pull, slope + 0.04 * pull

    bounds = [(-7.0, 3.0)] * len(start)
    optimum = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return np.asarray(optimum.x, dtype=np.float64)


def _unlikelihood(
    inputs: FloatArray, targets: FloatArray, groups: IntArray, scales: FloatArray
) -> tuple[float, FloatArray]:
    """The negative logarithm of the marginal likelihood, and its slope along each scale.

    Rasmussen and Williams, equations 5.8 and 5.9; constants are left out.
    """
    kinds = groups.max() + 1
    near = np.exp(scales[:kinds])[groups]
    smooth = np.exp(2 * scales[-2] - _squares(inputs * near, inputs * near) / 2)
    covariance = _noisy(_covariance(inputs, inputs, groups, scales), scales)
    factor = cho_factor(covariance, lower=True)
    inverse = cho_solve(factor, np.eye(len(targets)))
    weights = inverse @ targets
    value = targets @ weights / 2 + np.log(np.diag(factor[0])).sum()
    # Half the trace of this matrix times a slope of the covariance is a slope of the value.
    sensitivity = inverse - np.outer(weights, weights)
    slope = np.empty(len(scales))
    for kind in range(kinds):
        of_kind = inputs[:, groups == kind]
        apart = _squares(of_kind, of_kind) * np.exp(2 * scales[kind])
        slope[kind] = -(sensitivity * smooth * apart).sum() / 2
        trend = of_kind @ of_kind.T * np.exp(2 * scales[kinds + kind])
        slope[kinds + kind] = (sensitivity * trend).sum()
    slope[-2] = (sensitivity * smooth).sum()
    slope[-1] = np.trace(sensitivity) * np.exp(2 * scales[-1])
    return float(value), slope
