"""Cells and sessions taken apart: log latency = cell + session + rest, by least squares.

Cells of one session share its effect, so their errors are not independent. An analysis that treats
each cell on its own, and then pools the variances of a thousand cells, believes that it has seen
the session effect a thousand times when it has seen it once per session. This fit separates what
sessions share from what they do not; only the latter may be pooled over cells.

The model is the additive two-way layout without interaction (Scheffé, The Analysis of Variance,
1959, chapter 4; for missing (cell, session) pairs: Searle, Linear Models for Unbalanced Data,
1987, chapter 4). Least squares stays exact where cells were measured in different sessions.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from compofa.common.arrays import FloatArray
from compofa.common.errors import UserError
from compofa.profiler.statistics.latencies import log_latencies

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class TwoWay(Generic[K]):
    """The fit; C cells, S sessions, L of which carry the level.

    Attributes:
        cells: in the order given.
        sessions: ascending.
        level: which sessions the cell means refer to, shape (S,).
        log_latency: NaN where a cell was not measured, shape (C, S).
        cell_means: mean log latency of each cell in the mean level session, shape (C,).
        effects: of sessions, zero on average over level sessions, shape (S,).
        counts: sessions of each cell, shape (C,).
        leverage: variance of each cell mean in units of the residual variance, shape (C,).
        sum_squares: of residuals, per cell, shape (C,).
        freedom: degrees of freedom of each `sum_squares`, shape (C,).
        effect_leverage: the mean variance of an effect, in units of the residual variance.
    """

    cells: tuple[K, ...]
    sessions: tuple[int, ...]
    level: FloatArray
    log_latency: FloatArray
    cell_means: FloatArray
    effects: FloatArray
    counts: FloatArray
    leverage: FloatArray
    sum_squares: FloatArray
    freedom: FloatArray
    effect_leverage: float

    @property
    def level_count(self) -> int:
        """How many sessions carry the level."""
        return int(self.level.sum())

    @property
    def residual_variance(self) -> float:
        """Of one (session, cell), pooled over cells; NaN where nothing is left to judge it by."""
        freedom = float(self.freedom.sum())
        return float(self.sum_squares.sum()) / freedom if freedom > 1e-6 else float("nan")

    @property
    def effect_variance(self) -> float:
        """Of estimated session effects: it holds their own noise too; NaN with one session.

        Pooled, as in the analysis of variance, over level sessions and the others, which have been
        divided down to the level: they tell nothing about it, but how much sessions scatter.
        """
        if self.level_count < 2:
            return float("nan")
        squares = sum(float(((part - part.mean()) ** 2).sum()) for part in self._parts)
        return squares / self.effect_freedom

    @property
    def effect_freedom(self) -> int:
        """Degrees of freedom of `effect_variance`."""
        return sum(part.size - 1 for part in self._parts)

    @property
    def _parts(self) -> list[FloatArray]:
        parts = self.effects[self.level > 0], self.effects[self.level == 0]
        return [part for part in parts if part.size]


def fit_two_way(
    values: Mapping[K, Mapping[int, float]], level_sessions: Collection[int] | None = None
) -> TwoWay[K]:
    """Fits log latency[c, s] = mean[c] + effect[s] by least squares.

    The normal equations, with the C cell means eliminated, are M b = r of order S, with
    M = diag(cells per session) - N' diag(1 / sessions per cell) N and N the 0/1 incidence matrix.

    Args:
        values: per cell, its latency in each session that measured it, in one unit.
        level_sessions: those the means refer to (see `drift`); all of them by default.

    Raises:
        UserError: nothing was measured, a latency is not a positive finite number, no session
            carries the level, or some cells share no session, not even through others.
    """
    cells, sessions, y = _matrix(values)
    level = np.array([level_sessions is None or s in level_sessions for s in sessions], dtype=float)
    if not level.any():
        raise UserError("none of the sessions that carry the level has measured a cell")
    incidence = np.isfinite(y).astype(float)
    counts = incidence.sum(axis=1)
    weights = incidence / counts[:, None]
    normal = np.diag(incidence.sum(axis=0)) - incidence.T @ weights
    if len(sessions) > 1 and np.linalg.eigvalsh(normal)[1] < 1e-9:
        raise UserError(
            "some cells share no session with the others, not even through a third",
            hint="measure the reference model in every session",
        )
    filled = np.where(incidence > 0, y, 0.0)
    raw_means = filled.sum(axis=1) / counts
    # The normal matrix leaves the common level of effects free. Fixing it by any constant makes the
    # matrix invertible, and drops out of everything below.
    inverse = np.linalg.inv(normal + incidence.sum() / len(sessions) ** 2)
    effects = inverse @ (filled - incidence * raw_means[:, None]).sum(axis=0)
    effects -= effects @ level / level.sum()
    means = raw_means - weights @ effects

    to_level = np.eye(len(sessions)) - level / level.sum()
    covariance = to_level @ inverse @ to_level.T
    residuals = incidence * (filled - means[:, None] - effects)
    spent = incidence @ np.diag(inverse) - counts * _quadratic(weights, inverse)
    on_level = level > 0
    return TwoWay(
        cells=cells,
        sessions=sessions,
        level=level,
        log_latency=y,
        cell_means=means,
        effects=effects,
        counts=counts,
        leverage=1 / counts + _quadratic(weights, covariance),
        sum_squares=(residuals**2).sum(axis=1),
        freedom=np.maximum(counts - 1 - spent, 0.0),
        effect_leverage=float(np.diag(covariance)[on_level].sum()) / max(level.sum() - 1, 1),
    )


def _quadratic(rows: FloatArray, matrix: FloatArray) -> FloatArray:
    """The products row @ matrix @ row."""
    return np.asarray(((rows @ matrix) * rows).sum(axis=1))


def _matrix(
    values: Mapping[K, Mapping[int, float]],
) -> tuple[tuple[K, ...], tuple[int, ...], FloatArray]:
    """Cells, sessions, and log latencies, NaN where there is none."""
    if not values:
        raise UserError("there is no cell to estimate")
    sessions = sorted({session for by_session in values.values() for session in by_session})
    column = {session: j for j, session in enumerate(sessions)}
    y = np.full((len(values), len(sessions)), np.nan)
    for row, (cell, by_session) in zip(y, values.items(), strict=True):
        logs = log_latencies(list(by_session.values()), f"cell {cell}")
        row[[column[session] for session in by_session]] = logs
    return tuple(values), tuple(sessions), y
