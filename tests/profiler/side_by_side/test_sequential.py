"""The interval that is looked at after every process: how often any look at it misses the truth."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from compofa.profiler.side_by_side.sequential import FIRST_LOOK, Budget, interval_at, looks_at

Draw = Callable[[np.random.Generator, int], npt.NDArray[np.float64]]

PROCESSES, HISTORIES = 60, 1500

DRAWS: dict[str, Draw] = {
    "normal": lambda rng, n: rng.standard_normal(n),
    "heavy tails": lambda rng, n: rng.standard_t(4, n),
    "two speeds": lambda rng, n: rng.standard_normal(n) + 4 * (rng.random(n) < 0.5),
}


def misses(draw: Draw, budgets: list[Budget], seed: int) -> float:
    """The share of histories in which the interval misses the truth at any look."""
    ends = [float(count) for count in range(1, PROCESSES + 1)]
    looks = looks_at(ends, budgets)
    rng = np.random.default_rng(seed)
    truth = float(draw(np.random.default_rng(0), 400_000).mean())
    missed = 0
    for _ in range(HISTORIES):
        values = draw(rng, PROCESSES).tolist()
        for last in range(1, len(looks) + 1):
            _, low, high = interval_at(values, looks[:last])
            if not low <= truth <= high:
                missed += 1
                break
    return missed / HISTORIES


@pytest.mark.parametrize("name", DRAWS)
def test_whoever_stops_when_they_like_is_wrong_once_in_twenty_times(name: str) -> None:
    """Of 5 % that are permitted a first budget spends three quarters."""
    allowed = 0.0375 + 3 * math.sqrt(0.0375 / HISTORIES)
    assert misses(DRAWS[name], [Budget(0.0, float(PROCESSES))], seed=1) <= allowed


def test_more_time_does_not_spend_more_than_is_permitted() -> None:
    budgets = [Budget(0.0, 20.0), Budget(20.0, 20.0), Budget(40.0, 20.0)]
    assert misses(DRAWS["normal"], budgets, seed=2) <= 0.05 + 3 * math.sqrt(0.05 / HISTORIES)


def test_it_is_not_far_wider_than_it_must_be() -> None:
    """An interval that never missed would find nothing either."""
    assert misses(DRAWS["normal"], [Budget(0.0, float(PROCESSES))], seed=3) >= 0.02


def test_a_few_processes_tell_nothing() -> None:
    looks = looks_at([1.0] * (FIRST_LOOK - 1), [Budget(0.0, 100.0)])
    assert interval_at([0.1] * (FIRST_LOOK - 1), looks)[1:] == (-math.inf, math.inf)
