"""How far each session's value of each cell lies from the cell's estimate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compofa.profiler.results.analysis import Analysis
from compofa.profiler.results.table import Cell

MOST_POINTS = 500
"""Dots in the picture; beyond that only those furthest from the middle of their session."""

FURTHEST = 200
"""Dots drawn of a journal that has more than `MOST_POINTS`."""

FAR_OFF = 4.0
"""Robust standard deviations from the session's middle, from which a value is an outlier."""

TO_SD = 1.4826
"""A normal distribution's standard deviation over its median absolute deviation."""


@dataclass(frozen=True)
class Deviation:
    """One session's value of one cell, relative to the cell's estimate, in percent."""

    session: int
    cell: Cell
    percent: float
    outlier: bool


@dataclass(frozen=True)
class Quartiles:
    """Of the deviations in one session, in percent."""

    session: int
    low: float
    middle: float
    high: float
    n: int


@dataclass(frozen=True)
class Scatter:
    """All sessions of a profile.

    Attributes:
        shown: what to draw one by one; all of them unless there are too many.
        total, outliers: how many there are.
    """

    shown: tuple[Deviation, ...]
    sessions: tuple[Quartiles, ...]
    total: int
    outliers: int


def scatter(analysis: Analysis) -> Scatter | None:
    """The scatter behind an analysis, corrected for drift; None where there is nothing timed.

    An outlier is a value that is far from the middle of its own session: that the whole session
    was off is the session's effect, which the column of its dots shows.
    """
    values = [
        (session, cell, 100 * (ms / estimate.value - 1))
        for cell, by_session in analysis.values.items()
        if cell is not None and (estimate := analysis.estimate(cell)) is not None
        for session, ms in by_session.items()
    ]
    if not values:
        return None
    percent = np.array([value for _, _, value in values])
    numbers = np.array([session for session, _, _ in values])
    middles = {int(s): float(np.median(percent[numbers == s])) for s in np.unique(numbers)}
    residual = percent - np.array([middles[int(s)] for s in numbers])
    usual = TO_SD * float(np.median(np.abs(residual)))
    far = np.abs(residual) > FAR_OFF * usual if usual > 0 else np.zeros(len(values), dtype=bool)
    every = [
        Deviation(session, cell, value, bool(outlier))
        for (session, cell, value), outlier in zip(values, far, strict=True)
    ]
    shown = every
    if len(every) > MOST_POINTS:
        furthest = np.argsort(-np.abs(residual), kind="stable")[:FURTHEST]
        shown = [every[i] for i in furthest]
    quartiles = [_quartiles(session, percent[numbers == session]) for session in middles]
    return Scatter(tuple(shown), tuple(quartiles), len(every), int(far.sum()))


def _quartiles(session: int, percent: npt.NDArray[np.float64]) -> Quartiles:
    low, middle, high = np.quantile(percent, [0.25, 0.5, 0.75])
    return Quartiles(session, float(low), float(middle), float(high), percent.size)
