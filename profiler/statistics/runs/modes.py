"""Runs that come in two speeds, as when a scheduler moves a process between unlike cores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from compofa.common.arrays import FloatArray
from compofa.profiler.statistics.latencies import log_latencies

MIN_RUNS = 30

MOST_POOLED = 1500
"""How many latencies of all groups are tested together: more take time and change nothing."""

DIP_LIMIT = 0.61
"""sqrt(n) times the dip that 1 % of samples from a uniform distribution exceed, whose dips are the
largest among unimodal ones (Hartigan and Hartigan 1985): simulated, 0.59 to 0.62 for 100 to 1,000
runs and 0.57 for 30, where the limit errs towards one mode."""


@dataclass(frozen=True, slots=True)
class Modes:
    """Two speeds.

    Attributes:
        fast: median latency of the faster runs.
        slow: median latency of the slower runs.
        slow_share: fraction of runs that are slow.
    """

    fast: float
    slow: float
    slow_share: float


def find_modes(
    runs: Sequence[float], min_gap: float = 0.02, min_share: float = 0.1
) -> Modes | None:
    """The two modes of the runs, if they have more than one.

    Tested by the dip (Hartigan and Hartigan, The dip test of unimodality, 1985), which a long tail
    does not mislead; the runs are then parted where that explains most of their variance (Otsu,
    1979).

    Args:
        runs: latencies of one (session, cell).
        min_gap: by how much modes must differ to matter, as a fraction.
        min_share: of the runs that the smaller mode must hold; fewer are outliers.

    Returns:
        The modes; None if one mode explains the runs, or they are fewer than 30.

    Raises:
        UserError: no run, or one that is not a positive finite number.
    """
    logs = np.sort(log_latencies(runs, "the runs"))
    n = logs.size
    if n < MIN_RUNS or dip(logs) * np.sqrt(n) <= DIP_LIMIT:
        return None
    split = _otsu(logs, max(1, int(np.ceil(min_share * n))))
    fast, slow = (float(np.exp(np.median(part))) for part in (logs[:split], logs[split:]))
    return Modes(fast, slow, 1 - split / n) if slow / fast > 1 + min_gap else None


def find_common_modes(groups: Iterable[Sequence[float]]) -> Modes | None:
    """The two modes of many groups that are alike but for a factor each, such as cells.

    Every latency counts relative to the fastest tenth of its group, so that a mode that no group
    shows by itself is found in all of them together; at most `MOST_POOLED` latencies are looked at.

    Returns:
        As `find_modes`, relative to each group's fastest.

    Raises:
        UserError: a latency that is not a positive finite number.
    """
    pooled: list[FloatArray] = []
    for group in groups:
        if len(group) > 2:
            logs = np.sort(log_latencies(group, "the runs"))
            # The fastest itself is by definition no slower than the fastest.
            fastest = max(1, logs.size // 10)
            pooled.append(logs[fastest:] - logs[fastest - 1])
    every = np.concatenate(pooled) if pooled else np.empty(0)
    every = every[:: max(1, -(-every.size // MOST_POOLED))]
    return find_modes(np.exp(every).tolist()) if every.size else None


def _otsu(ordered: FloatArray, least: int) -> int:
    """Where to part sorted values so that the variance between the parts is largest."""
    n = ordered.size
    sizes = np.arange(least, n - least + 1)
    lower = np.cumsum(ordered - ordered.mean())[sizes - 1]
    return int(sizes[np.argmax(lower**2 / (sizes * (n - sizes)))])


def dip(ordered: FloatArray) -> float:
    """Distance of the empirical distribution function from the nearest unimodal one.

    The algorithm of Hartigan (Computation of the dip statistic, AS 217, 1985): within the modal
    interval found so far, the greatest convex minorant and the least concave majorant of the
    distribution function are taken apart where they differ most, until that is less than how far
    the function strays from them outside the interval.

    Args:
        ordered: sorted values, shape (n,).
    """
    n = ordered.size
    low, high = 0, n - 1
    largest = 1.0
    while high > low and ordered[high] > ordered[low]:
        convex = _hull(ordered, low, high, sign=1)
        concave = _hull(ordered, low, high, sign=-1)
        gap, new_low, new_high = _widest(ordered, convex, concave)
        if gap <= largest:
            break
        outside = max(
            _stray(ordered, convex[convex <= new_low], sign=1),
            _stray(ordered, concave[concave >= new_high], sign=-1),
        )
        largest = max(largest, outside)
        if (new_low, new_high) == (low, high):
            break
        low, high = new_low, new_high
    return largest / (2 * n)


def _hull(x: FloatArray, low: int, high: int, sign: int) -> np.ndarray:
    """Indices of the greatest convex minorant (sign 1) or least concave majorant (-1)."""
    hull: list[int] = []
    for i in range(low, high + 1):
        while len(hull) > 1:
            a, b = hull[-2], hull[-1]
            if sign * ((b - a) * (x[i] - x[a]) - (i - a) * (x[b] - x[a])) < 0:
                break
            hull.pop()
        hull.append(i)
    return np.array(hull)


def _widest(x: FloatArray, convex: np.ndarray, concave: np.ndarray) -> tuple[float, int, int]:
    """The largest distance between both hulls in counts, and the knots around it."""
    # Majorant above the minorant's knots, and the majorant's knots above the minorant.
    at_convex = np.interp(x[convex], x[concave], concave) - convex + 1
    at_concave = concave - np.interp(x[concave], x[convex], convex) + 1
    i, j = int(np.argmax(at_convex)), int(np.argmax(at_concave))
    if at_convex[i] >= at_concave[j]:
        right = int(np.searchsorted(concave, convex[i]))
        return float(at_convex[i]), int(convex[i]), int(concave[min(right, concave.size - 1)])
    left = int(np.searchsorted(convex, concave[j], side="right")) - 1
    return float(at_concave[j]), int(convex[max(left, 0)]), int(concave[j])


def _stray(x: FloatArray, knots: np.ndarray, sign: int) -> float:
    """How far the distribution function strays from the hull through `knots`, in counts."""
    if knots.size < 2:
        return 0.0
    indices = np.arange(knots[0], knots[-1] + 1)
    line = np.interp(x[indices], x[knots], knots)
    return float(np.max(sign * (indices - line))) + 1
