"""Variances of many cells, each known from few sessions, that borrow strength from one another."""

from __future__ import annotations

import numpy as np

from compofa.common.arrays import FloatArray

USABLE = 0.5
"""With fewer degrees of freedom a cell's own variance is not used."""

BORROWED = 4
"""A cell borrows at most this many times its own degrees of freedom from the others."""

OUTLYING = 0.1
"""If a variance as large as a cell's is less probable than this, the cell borrows less."""


def moderate(sum_squares: FloatArray, freedom: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Empirical-Bayes variances and their degrees of freedom.

    Cells' true variances are taken as scaled inverse chi-square with d0 degrees of freedom around
    s0^2. Then a cell with variance s^2 on d degrees of freedom gets

        (d0 s0^2 + d s^2) / (d0 + d)  on  d0 + d

    (Smyth, Linear models and empirical Bayes methods, 2004, sections 4 and 6.2: d0 and s0 from the
    mean and variance of log s^2). Where the log variances scatter no more than chance allows, all
    cells share one variance. As many degrees of freedom as all cells have together is the most
    that a cell can get.

    A cell far noisier than all others does not follow that distribution and must not be talked
    down by it. So d0 is at most 4 d, and is multiplied by p / 0.1 where p, the chance of an F on
    (d, d0) as large as s^2 / s0^2, is below 0.1 (after Phipson et al., Robust hyperparameter
    estimation protects against hypervariable genes, 2016).

    Args:
        sum_squares: of residuals, per cell, shape (C,).
        freedom: their degrees of freedom, fractions allowed, shape (C,).

    Returns:
        Variances and degrees of freedom, each shape (C,); NaN and 0 where nothing is known.
    """
    from scipy.special import fdtrc

    total = float(freedom.sum())
    if total < USABLE:
        return np.full_like(sum_squares, np.nan), np.zeros_like(freedom)
    usable = freedom >= USABLE
    own = np.where(usable, freedom, 0.0)
    squares = np.where(usable, sum_squares, 0.0)
    known = usable & (squares > 0)
    prior, prior_freedom = _prior(squares[known], own[known])
    if not np.isfinite(prior_freedom):
        prior, prior_freedom = float(sum_squares.sum()) / total, total
    borrowed = np.where(usable, np.minimum(prior_freedom, BORROWED * own), prior_freedom)
    if prior_freedom > 0 and prior > 0:
        ratio = squares[usable] / own[usable] / prior
        chance = fdtrc(own[usable], prior_freedom, ratio)
        borrowed[usable] *= np.minimum(1.0, chance / OUTLYING)
    joint = borrowed + own
    variances = np.full_like(joint, np.nan)
    np.divide(borrowed * prior + squares, joint, out=variances, where=joint > 0)
    return variances, np.minimum(joint, total)


def _prior(sum_squares: FloatArray, freedom: FloatArray) -> tuple[float, float]:
    """s0^2 and d0, by the moments of log s^2."""
    from scipy.special import polygamma, psi

    if sum_squares.size < 2:
        return 0.0, 0.0 if sum_squares.size else float("inf")
    centred = np.log(sum_squares / freedom) - psi(freedom / 2) + np.log(freedom / 2)
    excess = float(centred.var(ddof=1) - polygamma(1, freedom / 2).mean())
    if excess <= 0:
        return float("nan"), float("inf")
    half = _inverse_trigamma(excess)
    return float(np.exp(centred.mean() + psi(half) - np.log(half))), 2 * half


def _inverse_trigamma(value: float) -> float:
    """The x with trigamma(x) = value, by Newton's method on 1 / trigamma (Smyth 2004, appendix)."""
    from scipy.special import polygamma

    if value > 1e7:
        return float(1 / np.sqrt(value))
    if value < 1e-6:
        return 1 / value
    x = 0.5 + 1 / value
    for _ in range(50):
        trigamma = float(polygamma(1, x))
        step = trigamma * (1 - trigamma / value) / float(polygamma(2, x))
        x += step
        if abs(step) < 1e-8 * x:
            break
    return x
