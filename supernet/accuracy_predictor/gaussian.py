"""Accuracy as a Gaussian process of a subnet's choices: the model for few measurements.

Its covariance is the sum of a linear and a squared exponential kernel, each with one scale for each
kind of choice. The scales and the noise maximise the marginal likelihood (Rasmussen and Williams,
Gaussian Processes for Machine Learning, 2006, chapters 4 and 5).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

from compofa.common.arrays import FloatArray, IntArray
from compofa.supernet.accuracy_predictor.choices import Choices

MOST_FOR_SCALES = 300
"""The most measurements to which the scales are fitted, since the time grows with their cube."""

JITTER = 1e-6
"""The least variance of the noise, relative to that of the accuracies."""

AT_ONCE = 4096
"""How many cells are predicted together, which bounds the memory."""


@dataclass(frozen=True)
class GaussianProcess:
    """A Gaussian process that was fitted to m measurements.

    Attributes:
        mean: the means of the features, [features].
        scaling: one over the standard deviations of the features, [features]; 0 for a feature that
            did not vary, whose effect is therefore not known.
        inputs: the scaled features of the measurements, [m, features].
        groups: the kind of each feature, [features]; see `Choices.groups`.
        scales: logarithms, [2 kinds + 2]: the inverse length scales of the squared exponential
            kernel by kind, the standard deviations of the linear kernel by kind, the standard
            deviation of the squared exponential kernel, and that of the noise.
        weights: the factors of the covariances with the measurements, [m].
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
        """Fits a process to the accuracies `top1` of m cells, [m]."""
        features = choices.numbers
        mean, deviation = features.mean(axis=0), features.std(axis=0)
        varied = deviation > 1e-9
        scaling = np.where(varied, 1 / np.where(varied, deviation, 1.0), 0.0)
        inputs = (features - mean) * scaling
        # If all accuracies are equal, their standard deviation of 0 must not be divided by.
        level, height = float(top1.mean()), float(top1.std()) or 1.0
        targets = (top1 - level) / height
        some = np.random.default_rng(seed).permutation(len(top1))[:MOST_FOR_SCALES]
        scales = _best_scales(inputs[some], targets[some], choices.groups)
        covariance = _noisy(_covariance(inputs, inputs, choices.groups, scales), scales)
        weights = height * cho_solve(cho_factor(covariance), targets)
        return cls(mean, scaling, inputs, choices.groups, scales, weights, level)

    def predict(self, choices: Choices) -> FloatArray:
        """The expected accuracies of n cells, [n]."""
        inputs = (choices.numbers - self.mean) * self.scaling
        top1 = np.empty(len(inputs))
        for start in range(0, len(inputs), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            covariance = _covariance(inputs[part], self.inputs, self.groups, self.scales)
            top1[part] = self.level + covariance @ self.weights
        return top1


def _covariance(a: FloatArray, b: FloatArray, groups: IntArray, scales: FloatArray) -> FloatArray:
    """The covariance of cells with scaled features `a` [n, features] and `b` [m, features].

    Returns:
        The covariances, [n, m].
    """
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
    """`covariance` of m measurements, [m, m], with the variance of the noise added."""
    noisy = covariance.copy()
    noisy[np.diag_indices_from(noisy)] += np.exp(2 * scales[-1]) + JITTER
    return noisy


def _best_scales(inputs: FloatArray, targets: FloatArray, groups: IntArray) -> FloatArray:
    """The scales that maximise the marginal likelihood with a weak penalty.

    The penalty pulls them towards their initial values. It keeps the scales of features that do
    not vary, or have little effect, from growing without bounds.
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
    """The negative log marginal likelihood and its gradient with respect to the scales.

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
    # A derivative of the value is half the trace of this matrix times that of the covariance.
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
