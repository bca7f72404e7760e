"""Intervals for a ratio that is looked at again and again while processes are added to it.

Each fresh process gives one log ratio of two sides; they are independent and scatter about the log
of the true ratio. The interval after n processes is a Student t interval whose error is this look's
share of the errors that are permitted in all. Shares are spent as a plan of the time runs down,
never by what was seen (Lan and DeMets, Discrete sequential boundaries for clinical trials, 1983),
in proportion to the time; whatever rule one stops by, the chance that any interval of the whole row
misses the truth is then at most what was permitted (repeated confidence intervals: Jennison and
Turnbull, Interim analyses, 1989).

How much of a look's error is new, beyond that of the looks before, follows for normal means of
known variance by numerical integration (Armitage, McPherson and Rowe, Repeated significance tests
on accumulating data, 1969); each bound then becomes a t quantile of the same probability (Pocock,
Group sequential methods, 1977). `tests/profiler/statistics/test_sequential.py` counts what comes
of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, stdtrit

from compofa.common.arrays import FloatArray
from compofa.profiler.settings import CONFIDENCE

FIRST_LOOK = 8
"""Processes. What fewer scatter by is too uncertain for the small errors of early looks."""

SPACING = 1.05
"""Between two looks there are so many times as many processes: looking more often gains little."""

BUDGET_SHARE = 0.75
"""Of the error still permitted, what one budget of time may spend: the rest is for those who go on
after it, again three quarters of what is left."""

GRID = 801
"""Points on which the distribution of a sum is followed from look to look."""

NEVER = 40.0
"""Standard errors that stand for a bound that nothing crosses."""


@dataclass(frozen=True)
class Look:
    """A moment at which the interval is looked at.

    Attributes:
        processes: so many had ended.
        spent: probability of error that all looks up to this one may have used.
    """

    processes: int
    spent: float


@dataclass(frozen=True)
class Budget:
    """Time that was set aside for measuring.

    Attributes:
        begun_s: how long it had been measured before.
        seconds: to measure from then on.
    """

    begun_s: float
    seconds: float

    def used(self, end_s: float, processes: int) -> float:
        """The share of it that is used up when `processes` had ended after `end_s` in all.

        All of it once there is no time for another half of a process.
        """
        done = (end_s - self.begun_s) / self.seconds
        return 1.0 if done + end_s / processes / 2 / self.seconds >= 1 else max(done, 0.0)


def looks_at(
    ends_s: Sequence[float], budgets: Sequence[Budget], confidence: float = CONFIDENCE
) -> list[Look]:
    """The looks after processes that ended when `ends_s` seconds had been measured.

    Where a budget is used up, or another one was set, there is always a look.

    Args:
        ends_s: in rising order.
        budgets: in the order in which they were set.
        confidence: one minus the probability of error that is permitted in all.
    """
    looks: list[Look] = []
    before, now = 0.0, 0
    for count, end_s in enumerate(ends_s, start=1):
        last = count == len(ends_s) or ends_s[count] > budgets[now].begun_s + budgets[now].seconds
        follows = now + 1 < len(budgets) and end_s >= budgets[now + 1].begun_s
        used = budgets[now].used(end_s, count)
        spent = before + BUDGET_SHARE * (1 - confidence - before) * used
        spaced = not looks or count >= SPACING * looks[-1].processes
        if count >= FIRST_LOOK and (spaced or follows or used == 1 or last):
            looks.append(Look(count, spent))
        if follows:
            before, now = spent, now + 1
    return looks


def interval_at(log_ratios: Sequence[float], looks: Sequence[Look]) -> tuple[float, float, float]:
    """The mean of the log ratios, and the ends of its interval at the last of `looks`.

    Args:
        log_ratios: one of each process up to that look, in the order in which they were measured.
        looks: see `looks_at`; without any the ends are infinite.
    """
    if not looks:
        return (sum(log_ratios) / len(log_ratios) if log_ratios else 0.0), -math.inf, math.inf
    count = looks[-1].processes
    values = np.asarray(log_ratios[:count], dtype=np.float64)
    mean, scatter = float(values.mean()), float(values.std(ddof=1)) / math.sqrt(count)
    half = scatter * float(-stdtrit(count - 1, nominal_error(tuple(looks)) / 2))
    return mean, mean - half, mean + half


def nominal_error(looks: tuple[Look, ...]) -> float:
    """The two-sided error of the interval at the last look, taken by itself."""
    return _follow(looks).error


@dataclass(frozen=True)
class _Following:
    """What is known after a look.

    Attributes:
        error: of that look by itself.
        grid: sums of unit normals within the bounds, shape (GRID,).
        weights: probability near each, of no bound having been crossed so far, shape (GRID,).
    """

    error: float
    grid: FloatArray
    weights: FloatArray


@lru_cache(maxsize=1024)
def _follow(looks: tuple[Look, ...]) -> _Following:
    """Finds the bound of the last look that spends what it may, given those before.

    The sum of n unit normals is a random walk: at the next look it is the last one's plus a normal
    of variance n' - n, with whose density that of the sums within bounds is convolved.
    """
    count, spent = looks[-1].processes, looks[-1].spent
    if len(looks) == 1:
        before, weights, step = np.zeros(1), np.ones(1), math.sqrt(count)
        allowed = spent
    else:
        last = _follow(looks[:-1])
        before, weights = last.grid, last.weights
        step = math.sqrt(count - looks[-2].processes)
        allowed = spent - looks[-2].spent

    def excess(bound: float) -> float:
        """Probability of crossing here first, on either side, over what is allowed."""
        return float(2 * weights @ ndtr((before - bound * math.sqrt(count)) / step)) - allowed

    bound = brentq(excess, 0.0, NEVER) if excess(NEVER) < 0 < excess(0.0) else NEVER
    # Beyond eight standard errors there is nothing to follow.
    grid = np.linspace(-1, 1, GRID) * min(bound, 8.0) * math.sqrt(count)
    density = np.exp(-(((grid[:, None] - before) / step) ** 2) / 2) @ weights
    density /= step * math.sqrt(2 * math.pi)
    return _Following(float(2 * ndtr(-bound)), grid, density * _simpson(grid))


def _simpson(grid: FloatArray) -> FloatArray:
    """Weights of Simpson's rule on an even number of intervals."""
    weights = np.full(grid.size, 2.0)
    weights[1::2] = 4.0
    weights[[0, -1]] = 1.0
    return np.asarray(weights * (grid[1] - grid[0]) / 3)
