"""Runs that are timed by a clock whose ticks are longer than the scatter of the runs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from compofa.profiler.statistics.runs.clock import QUIET_SHIFT, condense_timed, unseen_shift

TICK = 100_000


def readings(mean_ns: float, scatter: float, runs: int, rng: np.random.Generator) -> list[float]:
    """Of runs one after another, by a clock that advances in steps of `TICK`."""
    lasting = mean_ns * np.exp(scatter * rng.standard_normal(runs))
    stamps = np.floor((rng.uniform(0, TICK) + np.append(0, np.cumsum(lasting))) / TICK)
    return [float(each) for each in TICK * np.diff(stamps)]


@pytest.mark.parametrize("scatter", [0.0, 0.004, 0.01, 0.02])
@pytest.mark.parametrize("ticks", [0.007, 0.03, 0.3, 0.96, 1.004, 1.04, 2.5, 5.2, 31.1])
def test_the_latency_is_within_what_the_clock_leaves_open(ticks: float, scatter: float) -> None:
    rng = np.random.default_rng(1)
    truth = ticks * TICK * math.exp(-QUIET_SHIFT * scatter)
    seen = [readings(ticks * TICK, scatter, math.ceil(200 / ticks), rng) for _ in range(40)]
    error = np.mean([condense_timed(each, TICK) for each in seen]) / truth - 1
    assert abs(error) <= np.mean([unseen_shift(each, TICK) for each in seen]) + 0.005


def test_scatter_that_readings_show_leaves_nothing_open() -> None:
    seen = readings(31.1 * TICK, 0.03, 500, np.random.default_rng(2))
    assert unseen_shift(seen, TICK) == 0
    assert condense_timed(seen, TICK) == pytest.approx(
        31.1 * TICK * (1 - 0.03 * QUIET_SHIFT), rel=0.005
    )


def test_a_fine_clock_leaves_nothing_open() -> None:
    assert unseen_shift(readings(900 * TICK, 0.01, 50, np.random.default_rng(3)), TICK) == 0
