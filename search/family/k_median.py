"""The k candidates that together serve many questions with the least loss of accuracy.

Every question takes the most accurate member that meets its limit, and counts as accuracy 0 where
none does. Choosing k members for the largest sum is the k-median (uncapacitated location) problem.
It is solved exactly: Lagrangian relaxation bounds it from above (Cornuejols, Fisher and Nemhauser,
Management Science 23, 1977) and says which candidates can be in a best family at all; of those,
every family that could still be better than the best one known is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compofa.common.arrays import FloatArray, IntArray
from compofa.search.exact import meeting, ranking

STEPS = 400
"""Steps of the subgradient method; more make the bound tighter, none changes the answer."""

PATIENCE = 10
"""Steps without a tighter bound after which they become half as long."""

TOLERANCE = 1e-9
"""Sums of accuracies closer than this are equal."""


def choose_family(
    top1: FloatArray, latency_ms: FloatArray, limits_ms: FloatArray, count: int
) -> IntArray:
    """The members of a best family, most accurate first; fewer than `count` where more add nothing.

    Args:
        top1: [n].
        latency_ms: [n, t]; NaN where a candidate must not be chosen.
        limits_ms: [questions, t]; infinite for tables that a question is not about.
        count: most members.
    """
    meets = meeting(latency_ms, limits_ms)
    # Of two candidates, the more accurate one that meets all that the other meets is enough.
    order = ranking(top1, latency_ms)
    useful = _undominated(order[meets[order].any(axis=1)], meets)
    if not len(useful):
        return useful
    # Questions that the same candidates meet are one question that counts several times.
    packed = np.packbits(meets[useful], axis=0)
    _, columns, weights = np.unique(packed, axis=1, return_index=True, return_counts=True)
    values: FloatArray = np.where(meets[useful][:, columns], top1[useful, None], 0.0) * weights
    chosen = useful[_best_rows(values, min(count, len(useful)))]
    return chosen[np.argsort(-top1[chosen], kind="stable")]


def _undominated(order: IntArray, meets: npt.NDArray[np.bool_]) -> IntArray:
    """Those of `order`, best first, that meet a question which none before them meets alone."""
    kept: list[int] = []
    left = order
    while len(left):
        first = left[0]
        kept.append(int(first))
        left = left[(meets[left] & ~meets[first]).any(axis=1)]
    return np.array(kept, dtype=np.int64)


def _best_rows(values: FloatArray, count: int) -> IntArray:
    """The rows, at most `count`, whose column-wise maximum has the largest sum."""
    start = _greedy(values, count)
    low = _worth(values, start)
    prices, high = _prices(values, count, low)
    gains = np.maximum(values - prices, 0).sum(axis=1)
    descending = np.sort(gains)[::-1]
    # With this row in it, no family is worth more than this bound.
    bound = prices.sum() + gains + descending[: count - 1].sum()
    bound = np.minimum(bound, high)
    possible = np.flatnonzero(bound > low + TOLERANCE)
    possible = possible[np.argsort(-gains[possible], kind="stable")]
    search = _Families(values[possible], gains[possible], float(prices.sum()), low)
    better = search.best(count)
    return start if better is None else possible[np.array(better)]


def _greedy(values: FloatArray, count: int) -> IntArray:
    """A good family: the best addition again and again, then exchanges while they help."""
    chosen: list[int] = []
    for _ in range(count):
        chosen.append(_addition(values, chosen))
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
    """What each column is worth at most to a family: the multipliers of the tightest bound found.

    Returns:
        The multipliers, [columns], and the bound.
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
        slope = 1.0 - over[top].sum(axis=0)
        length = float(slope @ slope)
        if tightest - low <= TOLERANCE or not length:
            break
        prices = np.maximum(prices - pace * (bound - low) / length * slope, 0)
    return best, tightest


@dataclass
class _Families:
    """Branch and bound over rows in the order of their gains.

    Attributes:
        offset: sum of the prices: with the gains of its rows, it bounds what a family is worth.
        known: what the best family so far is worth.
    """

    values: FloatArray
    gains: FloatArray
    offset: float
    known: float

    def best(self, count: int) -> list[int] | None:
        """The best family worth more than `known`, if there is one."""
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
            if priced <= self.known + TOLERANCE:
                return
            others = np.sort(added[row - start + 1 :])[::-1][: left - 1].sum()
            if worth + added[row - start] + others > self.known + TOLERANCE:
                reached = np.maximum(served, self.values[row])
                self._extend([*rows, row], reached, row + 1, left - 1)
