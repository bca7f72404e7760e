"""How much of a change of the device's speed, as the reference model shows it, other cells share.

A host that is busier today is slower for every network, but not equally: where neighbours take
caches and memory, a small reference model may lose 20 % and the networks 10 %. Lower clocks slow
all of them down equally. So neither plain ratios nor ratios relative to the reference tell a
changed network from a changed host. How far cells covary with the reference shows in the sessions
of both sides.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from compofa.common.arrays import FloatArray
from compofa.profiler.statistics.two_way import K, TwoWay

STEEPEST = 1.5
"""The largest slope that is allowed for where sessions show none."""

LARGEST_SLOPE_SD = 0.25
"""Standard deviation of the cells' slopes that is assumed where sessions do not show it."""


@dataclass(frozen=True, slots=True)
class DeviceChange:
    """What the reference says about a device that two sets of sessions were measured on.

    Attributes:
        log_ratio: of the reference's latency, new over base.
        slope: the share of it that cells are taken to covary with; 1 is all.
        doubt: how wrong that may be in either direction, as a log ratio of cells.
        variance: of the change taken off cells, from the error of the slope; all cells share it.
        freedom: its degrees of freedom.
        scatter: variance from cell to cell, whose slopes differ.
    """

    log_ratio: float
    slope: float
    doubt: float
    variance: float
    freedom: int
    scatter: float

    @property
    def reference_ratio(self) -> float:
        """Latency of the reference, new over base."""
        return math.exp(self.log_ratio)

    @property
    def ratio(self) -> float:
        """The part of it that is taken off the other cells."""
        return math.exp(self.slope * self.log_ratio)

    def take_off(
        self, values: Mapping[K, Mapping[int, float]], reference: Mapping[int, float]
    ) -> dict[K, Mapping[int, float]]:
        """Latencies as if the reference had taken one unit in every session."""
        return {
            cell: {s: ms / reference[s] ** self.slope for s, ms in row.items() if s in reference}
            for cell, row in values.items()
        }


def device_change(
    fits: tuple[TwoWay[K], TwoWay[K]],
    references: tuple[Mapping[int, float], Mapping[int, float]],
) -> DeviceChange:
    """Regresses session effects of cells on the reference's log latency in the same sessions.

    Analysis of covariance with a common slope for both sides (Cochran, Analysis of covariance: its
    nature and uses, Biometrics 13, 1957). With centred sums over the sessions of each side, Sxx of
    the reference, Syy of the effects and Sxy of both, noise of the reference only ever lowers
    Sxy / Sxx, and noise of the effects raises Syy / Sxy: the slope lies between the two (Frisch,
    Statistical confluence analysis, 1934). Their middle is taken, and their distance is `doubt`.
    Sessions that show nothing leave anything from 0 to `STEEPEST`.

    That holds as far as sessions reach. Where those of the two sides do not overlap, the device
    changed in a way that no session shows: its clock, perhaps, which would have a slope of one. So
    the slope may lie anywhere from the sessions' to one.

    Args:
        fits: of the cells without the reference, base and new; the same cells in the same order.
        references: latency of the reference in each session, base and new, in one unit.
    """
    points = [_points(fit, reference) for fit, reference in zip(fits, references, strict=True)]
    (base_x, _), (new_x, _) = points
    change = float(new_x.mean() - base_x.mean())
    x = np.concatenate([x - x.mean() for x, _ in points])
    y = np.concatenate([y - y.mean() for _, y in points])
    least, most, variance = _slope_range(float(x @ x), float(x @ y), float(y @ y), x.size - 3)
    if base_x.max() < new_x.min() or new_x.max() < base_x.min():
        least, most = min(least, 1.0), max(most, 1.0)
    return DeviceChange(
        log_ratio=change,
        slope=(least + most) / 2,
        doubt=abs(change) * (most - least) / 2,
        variance=change**2 * variance,
        freedom=max(x.size - 3, 1),
        scatter=min(change**2 * _slope_variance(fits, references), _spread(fits)),
    )


def _slope_range(sxx: float, sxy: float, syy: float, freedom: int) -> tuple[float, float, float]:
    """Bounds of the slope, and the larger of their sampling variances."""
    # Too few sessions, or a reference that hardly moved: anything is possible.
    if freedom < 1 or sxx < 1e-12 or sxy <= 0:
        return 0.0, STEEPEST, 0.0
    least, most = sxy / sxx, syy / sxy
    variance = max(syy - least * sxy, 0.0) / freedom / sxx
    if most >= STEEPEST:
        return least, max(least, STEEPEST), variance
    # Of the inverse of `most`, which is the slope of the reverse regression: the delta method.
    inverse = max(sxx - sxy / most, 0.0) / freedom / syy
    return least, most, max(variance, inverse * most**4)


def _points(fit: TwoWay[K], reference: Mapping[int, float]) -> tuple[FloatArray, FloatArray]:
    """Log latency of the reference and effect of the level sessions that measured it."""
    kept = [
        (math.log(reference[session]), effect)
        for session, effect, level in zip(fit.sessions, fit.effects, fit.level, strict=True)
        if level > 0 and session in reference
    ]
    array = np.array(kept, dtype=np.float64).reshape(-1, 2)
    return array[:, 0], array[:, 1]


def _spread(fits: tuple[TwoWay[K], TwoWay[K]]) -> float:
    """Variance of cells' log ratios beyond their noise: an upper bound, if most did not change.

    From their median absolute deviation, with 1.645 of its standard errors on top, which are 1.166
    / sqrt(C) of it (Rousseeuw and Croux, Alternatives to the median absolute deviation, 1993).
    """
    base, new = fits
    ratios = new.cell_means - base.cell_means
    # Of two cells nobody knows which one changed.
    if ratios.size < 3:
        return math.inf
    deviation = 1.4826 * float(np.median(np.abs(ratios - np.median(ratios))))
    noise = base.residual_variance * base.leverage + new.residual_variance * new.leverage
    bound = (deviation * (1 + 1.645 * 1.166 / math.sqrt(ratios.size))) ** 2 - float(noise.mean())
    return max(bound, 0.0) if math.isfinite(bound) else math.inf


def _slope_variance(
    fits: tuple[TwoWay[K], TwoWay[K]],
    references: tuple[Mapping[int, float], Mapping[int, float]],
) -> float:
    """Variance of cells' own slopes about the common one: an upper bound.

    By the method of moments, with two standard errors on top: sessions that hardly vary must not
    pass for proof that all cells are alike.
    """
    sums = np.zeros((2, len(fits[0].cells)))
    for fit, reference in zip(fits, references, strict=True):
        x = np.array([math.log(reference.get(s, math.nan)) for s in fit.sessions])
        left = fit.log_latency - fit.cell_means[:, None] - fit.effects
        there = np.isfinite(left) & np.isfinite(x)
        centred = np.where(there, x, 0.0)
        centred -= there * (centred.sum(axis=1) / np.maximum(there.sum(axis=1), 1))[:, None]
        sums += (centred * np.where(there, left, 0.0)).sum(axis=1), (centred**2).sum(axis=1)
    products, squares = sums
    known = squares > 0
    if known.sum() < 2:
        return LARGEST_SLOPE_SD**2
    slopes = products[known] / squares[known]
    noise = (fits[0].residual_variance + fits[1].residual_variance) / 2
    if not math.isfinite(noise):
        return LARGEST_SLOPE_SD**2
    expected = float((noise / squares[known]).mean())
    variance = float(slopes.var(ddof=1))
    error = math.sqrt(2 / (slopes.size - 1)) * max(variance, expected)
    return min(max(variance - expected, 0.0) + 2 * error, LARGEST_SLOPE_SD**2)
