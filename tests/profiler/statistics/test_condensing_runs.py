"""The runs of one cell in one session: condensed, their modes, the end of their warm-up."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog
from scipy.stats import trim_mean

from compofa.common.arrays import FloatArray
from compofa.common.errors import UserError
from compofa.profiler.statistics.runs.clock import QUIET_SHIFT, condense_timed
from compofa.profiler.statistics.runs.location import (
    MEDIAN,
    QUIET,
    Slice,
    condense,
    relative_standard_error,
)
from compofa.profiler.statistics.runs.modes import _otsu, dip, find_modes
from compofa.profiler.statistics.runs.warmup import RunTrend, restless, warmup_length

LATENCY = st.floats(1e-6, 1e6)


@pytest.mark.parametrize("part", [QUIET, MEDIAN, Slice(0.1, 0.9)])
@given(runs=st.lists(LATENCY, min_size=1, max_size=50), factor=st.floats(0.01, 100))
def test_a_condensed_latency_lies_among_its_runs_and_scales_with_them(
    part: Slice, runs: list[float], factor: float
) -> None:
    value = condense(runs, part)
    assert min(runs) * (1 - 1e-12) <= value <= max(runs) * (1 + 1e-12)
    assert condense([factor * run for run in runs], part) == pytest.approx(factor * value)


def test_special_slices_are_the_usual_estimators() -> None:
    runs = list(np.random.default_rng(0).lognormal(size=50))
    assert condense(runs, MEDIAN) == pytest.approx(np.median(runs))
    assert condense(runs, Slice(0.1, 0.9)) == pytest.approx(trim_mean(runs, 0.1))
    assert condense(runs, Slice(0, 1)) == pytest.approx(np.mean(runs))


def test_a_slice_counts_the_fractions_of_runs_at_its_ends() -> None:
    assert condense([1, 2, 3, 4], Slice(0.125, 0.625)) == pytest.approx((1 / 2 + 2 + 3 / 2) / 2)


def test_preempted_runs_do_not_move_the_quiet_part() -> None:
    quiet = list(np.linspace(1.0, 1.01, 40))
    preempted = [*quiet[:-8], *([5.0] * 8)]
    assert condense(preempted) == pytest.approx(condense(quiet), rel=1e-3)


@pytest.mark.parametrize("runs", [[], [1, math.nan], [1, math.inf], [0.0, 1], [1, -2]])
@pytest.mark.parametrize("function", [condense, relative_standard_error, find_modes, warmup_length])
def test_runs_that_are_no_latencies_are_refused(
    function: Callable[[list[float]], object], runs: list[float]
) -> None:
    said = "latency" if runs else "there are no latencies"
    with pytest.raises(UserError, match=said):
        function(runs)


@pytest.mark.parametrize(("low", "high"), [(0.5, 0.4), (-0.1, 0.5), (0.5, 1.1), (math.nan, 0.5)])
def test_a_slice_that_does_not_exist_is_refused(low: float, high: float) -> None:
    with pytest.raises(UserError, match="does not exist"):
        Slice(low, high)


def test_the_standard_error_is_the_scatter_between_sessions_of_such_runs(bench: ModuleType) -> None:
    rng = np.random.default_rng(1)
    rows = np.exp(bench.heavy_runs(rng, (400, 200)))
    condensed = np.log([condense(row) for row in rows])
    promised = np.mean([relative_standard_error(row) for row in rows])
    # The standard error of 400 standard deviations' worth is 4 %; small batches add a little.
    assert promised == pytest.approx(condensed.std(), rel=0.2)


def test_the_standard_error_sees_that_neighbouring_runs_are_alike() -> None:
    rng = np.random.default_rng(2)
    walk = np.repeat(rng.standard_normal(20), 10) * 0.01
    alone = rng.permutation(walk)
    assert relative_standard_error(np.exp(walk).tolist()) > (
        1.5 * relative_standard_error(np.exp(alone).tolist())
    )


def test_three_runs_say_nothing_about_their_standard_error() -> None:
    assert math.isnan(relative_standard_error([1, 2, 3]))


def test_the_benchmark_condenses_as_the_package_does(bench: ModuleType) -> None:
    rows = np.random.default_rng(3).lognormal(size=(5, 37))
    assert bench.condense_rows(rows) == pytest.approx([condense(row) for row in rows])


def distance_to_unimodal(x: FloatArray) -> float:
    """The dip by its definition: a linear programme for each place that the mode can have."""
    n = len(x)

    def nearest(mode: int) -> float:
        # Unknowns: the function at each x, once more at the mode (an atom), and the distance.
        left = [i if i <= mode else i + 1 for i in range(n)]
        right = [i if i < mode else i + 1 for i in range(n)]
        rows: list[FloatArray] = []
        limits: list[float] = []

        def add(limit: float, *terms: tuple[int, float]) -> None:
            row = np.zeros(n + 2)
            for index, factor in terms:
                row[index] += factor
            rows.append(row)
            limits.append(limit)

        for i in range(n):
            for where, value in ((left[i], i / n), (right[i], (i + 1) / n)):
                add(value, (where, 1), (n + 1, -1))
                add(-value, (where, -1), (n + 1, -1))
        for first, last, index, sign in ((0, mode, left, 1), (mode, n - 1, right, -1)):
            for i in range(first, last - 1):
                a, b = sign / (x[i + 1] - x[i]), sign / (x[i + 2] - x[i + 1])
                add(0, (index[i + 1], a + b), (index[i], -a), (index[i + 2], -b))
        for i in range(n):
            add(0, (i, 1), (i + 1, -1))
        cost = np.eye(n + 2)[n + 1]
        least = linprog(cost, A_ub=np.array(rows), b_ub=limits, bounds=(0, 1)).fun
        assert least is not None
        return float(least)

    return min(nearest(mode) for mode in range(n))


@pytest.mark.parametrize("seed", range(6))
def test_the_dip_is_the_distance_to_the_nearest_unimodal_distribution(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = np.sort(rng.normal(size=11) + 3 * (rng.random(11) < 0.5))
    assert dip(x) == pytest.approx(distance_to_unimodal(x), abs=1e-6)


def test_two_speeds_are_found_with_their_share() -> None:
    rng = np.random.default_rng(4)
    slow = rng.random(300) < 0.3
    runs = np.where(slow, 12.0, 10.0) * np.exp(0.01 * rng.standard_normal(300))
    modes = find_modes(list(runs))
    assert modes is not None
    assert modes.fast == pytest.approx(10, rel=0.01)
    assert modes.slow == pytest.approx(12, rel=0.01)
    assert modes.slow_share == pytest.approx(slow.mean(), abs=0.02)


def test_a_long_tail_is_not_a_second_mode(bench: ModuleType) -> None:
    # At most 1 %: of 200 samples, 7 or more would come up once in 200 times.
    assert bench.modes_found(200, gap=0.0, share=0.0, repetitions=200).mean <= 0.03


def test_modes_5_percent_apart_are_found_in_100_runs(bench: ModuleType) -> None:
    assert bench.modes_found(100, gap=0.05, share=0.4, repetitions=100).mean >= 0.9


@pytest.mark.parametrize("runs", [[1.0] * 100, [1.0, 2.0]])
def test_equal_or_few_runs_have_one_mode(runs: list[float]) -> None:
    assert find_modes(runs) is None


def test_settled_runs_need_no_warmup(bench: ModuleType) -> None:
    found = bench.warmup_found(100, time_constant=0.0, repetitions=100)
    assert found["median"] == 0
    assert found["unsettled"] <= 0.05


def test_a_warmup_of_30_percent_is_dropped_and_little_more(bench: ModuleType) -> None:
    # After 24 runs 1.5 % of the 30 % are left, which the noise of runs hides.
    found = bench.warmup_found(400, time_constant=8.0, repetitions=100)
    assert 20 <= found["median"] <= 40
    assert found["unsettled"] <= 0.05


def test_runs_that_keep_changing_have_not_settled(bench: ModuleType) -> None:
    assert bench.warmup_found(400, time_constant=1000.0, repetitions=50)["unsettled"] == 1


def test_equal_runs_need_no_warmup() -> None:
    assert warmup_length([1.0] * 49) == warmup_length([1.0] * 600) == 0


def test_a_device_that_gets_slower_as_well_as_faster_wanders() -> None:
    faster, slower, still = (RunTrend(gain, 0.001) for gain in (0.02, -0.02, 0.002))
    assert restless([faster, slower, still, faster, slower])
    assert not restless([faster] * 10 + [slower] * 2)
    assert not restless([faster, still, slower])


@pytest.mark.parametrize("scatter", [0.3, 0.5, 1.0])
def test_a_coarse_clock_shows_the_quiet_part_of_runs(scatter: float) -> None:
    """As a fine clock does, whose quiet runs lie below the mean by their scatter."""
    tick, ticks = 1000, 7.3
    rng = np.random.default_rng(4)
    took = tick * (ticks + scatter * rng.standard_normal(40_000))
    began = np.cumsum(took) - took + tick * rng.uniform()
    read = (np.floor((began + took) / tick) - np.floor(began / tick)) * tick
    fine = condense(took.tolist(), QUIET)
    # The scatter is known to 1 % of it from so many runs.
    assert condense_timed(read.tolist(), tick) == pytest.approx(fine, abs=0.015 * scatter * tick)
    shift = (took.mean() - fine) / (scatter * tick)
    assert shift == pytest.approx(QUIET_SHIFT, abs=0.02)


def test_values_are_parted_where_that_explains_most_of_them_but_not_too_near_an_end() -> None:
    assert _otsu(np.array([1.0] * 20 + [2.0] * 10), 3) == 20
    assert _otsu(np.array([1.0] * 10 + [2.0] * 20), 3) == 10
    assert _otsu(np.array([1.0] * 28 + [2.0] * 2), 3) == 27
    assert _otsu(np.array([1.0] * 2 + [2.0] * 28), 3) == 3
