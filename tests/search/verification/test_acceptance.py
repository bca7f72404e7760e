"""Acceptance of measured latencies, by sessions that are looked at one after another."""

from __future__ import annotations

import math

import numpy as np
import pytest

from compofa.profiler.statistics.interval import Estimate, estimate_cells
from compofa.search.verification.acceptance import MISS, TOLERANCE, decided, hopeless, surely_keeps

LIMIT = 10.0


def accepted(over: float, runs: int, sessions: int) -> float:
    """Share of cells, by that much over their limit, that are accepted some time.

    Sessions differ by 2 %, and a cell in a session by 3 %; both have to be estimated.
    """
    rng, count = np.random.default_rng(3), 0
    for _ in range(runs):
        effects = 0.02 * rng.standard_normal(sessions)
        logs = math.log((1 + over) * LIMIT) + 0.03 * rng.standard_normal((10, sessions)) + effects
        found: set[int] = set()
        for n in range(2, sessions + 1):
            values = {cell: dict(enumerate(np.exp(logs[cell, :n]))) for cell in range(10)}
            estimates = estimate_cells(values)
            found |= {c for c, known in estimates.items() if surely_keeps(known, LIMIT)}
        count += len(found)
    return count / (10 * runs)


def test_cells_over_their_limit_are_hardly_ever_accepted() -> None:
    assert accepted(TOLERANCE, runs=40, sessions=40) <= MISS


@pytest.mark.parametrize("over", [-0.03, -0.06])
def test_cells_below_their_limit_are_accepted_in_time(over: float) -> None:
    assert accepted(over, runs=3, sessions=40) >= 0.9


def test_a_latency_without_any_error_may_equal_its_limit_and_no_more() -> None:
    def exactly(ms: float) -> Estimate:
        return Estimate(ms, ms, ms, 0.95, 10)

    assert surely_keeps(exactly(LIMIT), LIMIT)
    assert not surely_keeps(exactly(1.001 * LIMIT), LIMIT)
    assert hopeless(exactly(1.001 * LIMIT), LIMIT)


def test_what_was_predicted_is_never_sure() -> None:
    assert not surely_keeps(Estimate(5.0, 4.9, 5.1, 0.9, 0), LIMIT)


def test_an_interval_that_is_not_determined_decides_nothing() -> None:
    assert not decided(Estimate(5.0, 0.0, math.inf, 0.95, 2), [LIMIT])
    assert not decided(Estimate(15.0, 0.0, math.inf, 0.95, 2), [LIMIT])


def test_a_latency_is_decided_once_it_is_for_every_limit() -> None:
    known = Estimate(10.0, 9.8, 10.2, 0.95, 10)
    assert decided(known, [9.0, 11.0])
    assert not decided(known, [9.0, 10.1, 11.0])
