"""How much of a change of the device's speed, as the reference model shows it, other cells share.

A host that is busier today is slower for every network, but not for all alike: where neighbours
take caches and memory, a small reference may lose 20 % and the networks 10 %. Clocks that are lower
slow all down alike. So neither plain ratios nor ratios over the reference's tell a changed network
from a changed host. How far cells go along with the reference shows in the sessions of both sides.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from compofa.profiler.statistics.latencies import Floats
from compofa.profiler.statistics.student import student_quantile
from compofa.profiler.statistics.two_way import K, TwoWay

SURE = 0.95
"""Of a slope above zero or below one."""


@dataclass(frozen=True, slots=True)
class DeviceChange:
    """What the reference says about a device that two sets of sessions were measured on.

    Attributes:
        log_ratio: of the reference's latency, new over base.
        slope: the share of it that cells are taken to go along with; 1 is all.
        doubt: by how much that may be wrong either way, as a log ratio of cells.
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
        """What of it is taken off the other cells."""
        return math.exp(self.slope * self.log_ratio)

    def take_off(
        self, values: Mapping[K, Mapping[int, float]], reference: Mapping[int, float]
    ) -> dict[K, dict[int, float]]:
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

    That holds as far as sessions reach. Where those of the two sides do not overlap, the device
    changed in a way that no session shows. A change of clocks has a slope of one: it is taken where
    cells go along with the reference and a slope of one is not contradicted. Else the slope may lie
    anywhere from the sessions' to one.

    Args:
        fits: of the cells without the reference, base and new.
        references: latency of the reference in each session, base and new, in one unit.
    """
    points = [_points(fit, reference) for fit, reference in zip(fits, references, strict=True)]
    (base_x, _), (new_x, _) = points
    change = float(new_x.mean() - base_x.mean())
    x = np.concatenate([x - x.mean() for x, _ in points])
    y = np.concatenate([y - y.mean() for _, y in points])
    sxx, sxy, syy = float(x @ x), float(x @ y), float(y @ y)
    freedom = x.size - 3
    if freedom < 1 or sxx < 1e-12 * x.size:
        return DeviceChange(change, 1.0, 0.0, 0.0, 1, 0.0)
    scatter = change**2 * _slope_variance(fits, references)
    least = min(max(sxy / sxx, 0.0), 1.0)
    most = min(syy / sxy, 1.0) if sxy > 0 else 1.0
    if base_x.max() < new_x.min() or new_x.max() < base_x.min():
        if _follows(sxx, sxy, syy, freedom) and not _below_one(sxx, sxy, syy, freedom):
            return DeviceChange(change, 1.0, 0.0, 0.0, 1, scatter)
        most = 1.0
    most = max(most, least)
    left = max(syy - least * sxy, 0.0) / freedom
    return DeviceChange(
        log_ratio=change,
        slope=(least + most) / 2,
        doubt=abs(change) * (most - least) / 2,
        variance=change**2 * left / sxx,
        freedom=freedom,
        scatter=scatter,
    )


def _follows(sxx: float, sxy: float, syy: float, freedom: int) -> bool:
    """Whether cells go along with the reference at all, by Student's t of Sxy / Sxx."""
    error = math.sqrt(max(syy - sxy**2 / sxx, 0.0) / freedom * sxx)
    return sxy > float(student_quantile(SURE, np.array(float(freedom)))) * error


def _below_one(sxx: float, sxy: float, syy: float, freedom: int) -> bool:
    """Whether even the upper bound Syy / Sxy is below one for sure.

    The bound's inverse is the slope of the reverse regression, which Student's t judges.
    """
    if sxy <= 0 or syy <= 0:
        return False
    inverse = sxy / syy
    error = math.sqrt(max(sxx - inverse * sxy, 0.0) / freedom / syy)
    return inverse - float(student_quantile(SURE, np.array(float(freedom)))) * error > 1


def _points(fit: TwoWay[K], reference: Mapping[int, float]) -> tuple[Floats, Floats]:
    """Log latency of the reference and effect of the level sessions that measured it."""
    kept = [
        (math.log(reference[session]), effect)
        for session, effect, level in zip(fit.sessions, fit.effects, fit.level, strict=True)
        if level > 0 and session in reference
    ]
    array = np.array(kept, dtype=np.float64).reshape(-1, 2)
    return array[:, 0], array[:, 1]


def _slope_variance(
    fits: tuple[TwoWay[K], TwoWay[K]],
    references: tuple[Mapping[int, float], Mapping[int, float]],
) -> float:
    """Variance of cells' own slopes about the common one, by the method of moments; at least 0."""
    shared = [cell for cell in fits[0].cells if cell in set(fits[1].cells)]
    sums = np.zeros((2, len(shared)))
    for fit, reference in zip(fits, references, strict=True):
        x = np.array([math.log(reference.get(s, math.nan)) for s in fit.sessions])
        left = fit.log_latency - fit.cell_means[:, None] - fit.effects
        left = left[[fit.cells.index(cell) for cell in shared]]
        there = np.isfinite(left) & np.isfinite(x)
        centred = np.where(there, x, 0.0)
        centred -= there * (centred.sum(axis=1) / np.maximum(there.sum(axis=1), 1))[:, None]
        sums += (centred * np.where(there, left, 0.0)).sum(axis=1), (centred**2).sum(axis=1)
    products, squares = sums
    known = squares > 0
    if known.sum() < 2:
        return 0.0
    slopes, noise = products[known] / squares[known], fits[0].residual_variance
    noise = (noise + fits[1].residual_variance) / 2
    expected = float((noise / squares[known]).mean()) if math.isfinite(noise) else math.inf
    return max(float(slopes.var(ddof=1)) - expected, 0.0)
