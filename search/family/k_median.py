"""Chooses the k candidates that together serve many questions with the least loss of accuracy.

Each question uses the most accurate member that meets its limit, and counts with accuracy 0 if none
does. Choosing k members for the largest sum is the k-median (uncapacitated location) problem. It is
solved exactly. Lagrangian relaxation gives an upper bound (Cornuejols, Fisher and Nemhauser,
Management Science 23, 1977) and excludes the candidates that cannot be in a best family. A branch
and bound search then examines every family that may be better than the best one found so far.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compofa.common.arrays import FloatArray, IntArray
from compofa.search.exact import meeting, ranking

STEPS = 400
"""Steps of the subgradient method. More of them make the bound tighter, but the answer the same."""

PATIENCE = 10
"""After this many steps without a tighter bound, the steps become half as long."""

TOLERANCE = 1e-9
"""Sums of accuracies that differ by less than this count as equal."""


def choose_family(
    top1: FloatArray, latency_ms: FloatArray, limits_ms: FloatArray, count: int
) -> IntArray:
    """Chooses the members of a best family.

    Args:
        top1: the accuracies of n candidates, [n].
        latency_ms: their latencies in t tables, [n, t]; NaN for a candidate that must not be
            chosen.
        limits_ms: the limits of the questions, [questions, t]; infinite for a table without one.
        count: the most members.

    Returns:
        The positions of the members, most accurate first; fewer than `count` if more would not
        serve any question better.
    """
    meets = meeting(latency_ms, limits_ms)
    # A candidate is not needed if a more accurate one meets all questions that it meets.
    order = ranking(top1, latency_ms)
    useful = _undominated(order[meets[order].any(axis=1)], meets)
    if not len(useful):
        return useful
    # Questions that the same candidates meet are merged into one question with a weight.
    packed = np.packbits(meets[useful], axis=0)
    _, columns, weights = np.unique(packed, axis=1, return_index=True, return_counts=True)
    values: FloatArray = np.where(meets[useful][:, columns], top1[useful, None], 0.0) * weights
    chosen = useful[_best_rows(values, min(count, len(useful)))]
    return chosen[np.argsort(-top1[chosen], kind="stable")]


def _undominated(order: IntArray, meets: npt.NDArray[np.bool_]) -> IntArray:
    """The candidates of `order` that no single candidate before them makes superfluous.

    One does so if it meets all questions that the later one meets.
    """
    kept: list[int] = []
    left = order
    while len(left):
        first = left[0]
        kept.append(int(first))
        left = left[(meets[left] & ~meets[first]).any(axis=1)]
    return np.array(kept, dtype=np.int64)


def _best_rows(values: FloatArray, count: int) -> IntArray:
    """The at most `count` rows whose column-wise maximum has the largest sum."""
    start = _greedy(values, count)
    low = _worth(values, start)
    prices, high = _prices(values, count, low)
    gains = np.maximum(values - prices, 0).sum(axis=1)
    descending = np.sort(gains)[::-1]
    # For each row, an upper bound on the sum of any family that contains it.
    bound = prices.sum() + gains + descending[: count - 1].sum()
    bound = np.minimum(bound, high)
    possible = np.flatnonzero(bound > low + TOLERANCE)
    possible = possible[np.argsort(-gains[possible], kind="stable")]
    search = _Families(values[possible], gains[possible], float(prices.sum()), low)
    better = search.best(count)
    return start if better is None else possible[np.array(better)]


def _greedy(values: FloatArray, count: int) -> IntArray:
    """A good family: rows are added one by one, the best first, then exchanged while that helps."""
    chosen: list[int] = []
    for _ in range(count):
        chosen.append(_addition(values, chosen))
    # A good start makes the bounds exclude more candidates; it does not change the result.
    improved = True
    while improved:
        improved = False
        for i in range(len(chosen)):
            others = chosen[:i] + chosen[i + 1 :]
            other = [*others, _addition(values, others)]
            if _worth(values, other) > _worth(values, chosen) + TOLERANCE:
                chosen, improved = other, True
    return np.array(sorted(set(chosen)), dtype=np.int64)


def _addition(values: FloatArray, chosen: list[int]) -> int:
    served = values[chosen].max(axis=0) if chosen else np.zeros(values.shape[1])
    return int(np.maximum(values, served).sum(axis=1).argmax())


def _worth(values: FloatArray, rows: IntArray | list[int]) -> float:
    return float(values[rows].max(axis=0).sum())


def _prices(values: FloatArray, count: int, low: float) -> tuple[FloatArray, float]:
    """Finds Lagrange multipliers, one per column, that bound the sum of any family tightly.

    Args:
        values: [rows, columns].
        count: the most rows of a family.
        low: the sum of a known family.

    Returns:
        The multipliers, [columns], and the upper bound.
    """
    prices = np.sort(values, axis=0)[-min(count + 1, len(values))]
    best, tightest, pace, idle = prices, np.inf, 1.0, 0
    for _ in range(STEPS):
        over = values > prices
        gains = np.where(over, values - prices, 0.0).sum(axis=1)
        top = np.argpartition(-gains, min(count, len(gains)) - 1)[:count]
        bound = float(prices.sum() + gains[top].sum())
        idle += 1
        if bound < tightest:
            best, tightest, idle = prices, bound, 0
        if idle == PATIENCE:
            pace, idle = pace / 2, 0
        # Polyak's step: as far as the bound would fall to the known sum along the subgradient.
        slope = 1.0 - over[top].sum(axis=0)
        length = float(slope @ slope)
        if tightest - low <= TOLERANCE or not length:
            break
        prices = np.maximum(prices - pace * (bound - low) / length * slope, 0)
    return best, tightest


@dataclass
class _Families:
    """Branch and bound over families of rows, which are sorted by their gains.

    Attributes:
        values: the value of each row for each question, [rows, columns].
        gains: what each row gains above the prices, [rows], descending.
        offset: the sum of the prices. Together with the gains of a family's rows it is an upper
            bound on the family's sum.
        known: the sum of the best family so far.
    """

    values: FloatArray
    gains: FloatArray
    offset: float
    known: float

    def best(self, count: int) -> list[int] | None:
        """The best family whose sum is larger than `known`, if there is one."""
        self.best_rows: list[int] | None = None
        self._extend([], np.zeros(self.values.shape[1]), 0, count)
        return self.best_rows

    def _extend(self, rows: list[int], served: FloatArray, start: int, left: int) -> None:
        if start >= len(self.values) or not left:
            return
        added = np.maximum(self.values[start:] - served, 0).sum(axis=1)
        worth = float(served.sum())
        last = int(added.argmax())
        if worth + added[last] > self.known + TOLERANCE:
            self.known, self.best_rows = worth + float(added[last]), [*rows, start + last]
        if left == 1:
            return
        for row in range(start, len(self.values)):
            priced = self.offset + self.gains[rows].sum() + self.gains[row : row + left].sum()
            # Rows come in descending order of gains, so no later row can do better.
            if priced <= self.known + TOLERANCE:
                return
            others = np.sort(added[row - start + 1 :])[::-1][: left - 1].sum()
            if worth + added[row - start] + others > self.known + TOLERANCE:
                reached = np.maximum(served, self.values[row])
                self._extend([*rows, row], reached, row + 1, left - 1)
