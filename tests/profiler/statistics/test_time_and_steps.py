"""Drift, throttling, and other things that time does to latencies."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest

from compofa.common.arrays import FloatArray
from compofa.common.errors import UserError
from compofa.profiler.statistics.change_points import regimes, slowdown, suspects_regimes
from compofa.profiler.statistics.covariate import adjust
from compofa.profiler.statistics.drift import ReferencePoint, drift_factors


def points(log_latency: FloatArray) -> list[ReferencePoint]:
    return [
        ReferencePoint(session, float(t), math.exp(value))
        for session, row in enumerate(log_latency)
        for t, value in enumerate(row)
    ]


def quiet(
    rng: np.random.Generator,
    sessions: int = 6,
    count: int = 20,
    noise: float = 0.005,
    between: float = 0.01,
) -> FloatArray:
    effects = between * rng.standard_normal((sessions, 1))
    return effects + noise * rng.standard_normal((sessions, count))


@pytest.mark.parametrize("where", ["half", "middle", "onset"])
def test_a_slow_down_of_10_percent_moves_estimates_by_under_1_percent(
    bench: ModuleType, where: str
) -> None:
    """And intervals still cover, unless two speeds are suspected: then the profile goes on.

    Three standard errors of 60 repetitions are granted.
    """
    result = bench.slowed_estimates(where, session=0.01, repetitions=60)
    assert result["uncorrected_shift"].mean > 0.004
    assert abs(result["shift"].mean) < 0.004
    assert result["absolute_shift"].mean < 0.005
    within, covered = result["within_1_percent"], result["coverage"]
    assert within.mean >= 0.95 - 3 * within.error
    assert covered.mean >= 0.93 - 3 * covered.error
    assert result["marked"].mean < 0.3


@pytest.mark.parametrize("wander", [0.0, 0.03, 0.08])
def test_intervals_cover_on_a_device_that_wanders_and_are_no_wider_for_it(
    bench: ModuleType, wander: float
) -> None:
    """Three standard errors of 150 repetitions are granted."""
    result = bench.wandering_estimates(150, wander)
    covered = result["coverage"]
    assert 0.93 - 3 * covered.error <= covered.mean <= 0.97 + 3 * covered.error
    assert result["half_width_ratio"].mean < (1.005 if wander < 0.08 else 0.9)


def test_scatter_between_sessions_is_left_to_the_interval() -> None:
    levels = 0.02 * np.array([1.0, -1.0, 0.5, -0.5, 0.0, 0.8])
    drift = drift_factors(points(np.tile(levels[:, None], (1, 10))))
    assert drift.level_sessions == frozenset(range(6))
    assert drift.regime_factors[0] == pytest.approx(1)
    assert drift.deviation(0, 3.5) == pytest.approx(0)


def test_a_step_within_a_session_is_seen_on_its_later_side() -> None:
    reference = quiet(np.random.default_rng(1))
    reference[2, 8:] += math.log(1.10)
    drift = drift_factors(points(reference))
    assert drift.deviation(2, 3.5) == pytest.approx(0.0, abs=0.015)
    assert drift.deviation(2, 15.5) == pytest.approx(math.log(1.10), abs=0.015)
    assert drift.level_sessions == frozenset(range(6))


def test_a_deviation_is_that_of_the_points_on_both_sides() -> None:
    drift = drift_factors([ReferencePoint(0, float(t), math.exp(t)) for t in range(11)])
    level = 3.5 + 0.43 * 2.5  # told from the quantiles 0.1 and 0.35
    assert drift.deviation(0, 4.2) == pytest.approx(4.5 - level)
    assert drift.deviation(0, -1.0) == pytest.approx(0 - level)
    assert drift.deviation(0, 99.0) == pytest.approx(10 - level)


def test_throttled_sessions_are_divided_down_and_carry_no_level() -> None:
    reference = quiet(np.random.default_rng(4), sessions=10)
    reference[6:] += math.log(1.10)
    drift = drift_factors(points(reference))
    assert drift.level_sessions == frozenset(range(6))
    assert drift.regime_factors[0] == pytest.approx(1, abs=0.005)
    assert drift.regime_factors[8] == pytest.approx(1.10, abs=0.02)


def test_one_session_of_one_point_has_no_drift() -> None:
    drift = drift_factors([ReferencePoint(4, 0.0, 2.0)])
    assert drift.regime_factors == {4: 1}
    assert drift.deviation(4, 100.0) == 0
    assert drift.level_sessions == {4}


def test_a_slope_is_what_cells_share_with_the_reference() -> None:
    rng = np.random.default_rng(7)
    moments = rng.normal(0, 0.1, (20, 8))
    log = 0.6 * moments + 0.001 * rng.standard_normal((20, 8))
    values = {c: {s: math.exp(log[c, s]) for s in range(8)} for c in range(20)}
    deviations = {c: {s: moments[c, s] for s in range(8)} for c in range(20)}
    adjusted = adjust(values, deviations)
    assert adjusted.slope == pytest.approx(0.6, abs=0.01)
    assert adjusted.explained > 0.99
    left = [math.log(ms) for row in adjusted.values.values() for ms in row.values()]
    assert np.std(left) < 0.002


@pytest.mark.parametrize("part", [-0.5, 0.0, 1.7])
def test_a_slope_stays_between_nothing_and_everything(part: float) -> None:
    rng = np.random.default_rng(8)
    moments = rng.normal(0, 0.1, (20, 8))
    values = {c: {s: math.exp(part * moments[c, s]) for s in range(8)} for c in range(20)}
    deviations = {c: {s: moments[c, s] for s in range(8)} for c in range(20)}
    assert adjust(values, deviations).slope == pytest.approx(min(max(part, 0.0), 1.0))


def test_too_little_data_is_left_as_it_is() -> None:
    values = {0: {0: 1.0, 1: 1.1}, 1: {0: 2.0, 1: 2.1}}
    deviations = {0: {0: 0.0, 1: 0.1}, 1: {0: 0.05, 1: 0.0}}
    assert adjust(values, deviations).values == values
    assert adjust(values, {}).values == values
    assert adjust({}, {}).values == {}


def test_a_clock_that_goes_back_is_refused() -> None:
    with pytest.raises(UserError, match="session 3: time goes back from 9 s to 2 s"):
        drift_factors([ReferencePoint(3, 9.0, 1.0), ReferencePoint(3, 2.0, 1.0)])


def test_a_time_that_is_none_is_refused() -> None:
    with pytest.raises(UserError, match="not finite"):
        drift_factors([ReferencePoint(3, math.nan, 1.0)])


@pytest.mark.parametrize("bad", [math.nan, math.inf, 0.0, -1.0])
def test_reference_latencies_that_are_none_are_refused(bad: float) -> None:
    with pytest.raises(UserError, match="reference model"):
        drift_factors([ReferencePoint(0, 0.0, bad)])


def test_no_reference_is_refused() -> None:
    with pytest.raises(UserError, match="the reference model: there are no latencies"):
        drift_factors([])


def test_a_session_without_reference_cannot_be_corrected() -> None:
    drift = drift_factors([ReferencePoint(0, 0.0, 1.0)])
    with pytest.raises(UserError, match="session 7"):
        drift.deviation(7, 0.0)


def test_throttling_by_5_percent_is_found_within_3_sessions(bench: ModuleType) -> None:
    """At 1 % between sessions; false alarms at most 5 % of 30 sessions, of 400: up to 8 %."""
    found, alarms = bench.throttling(0.05, quiet_sessions=10, repetitions=400)
    assert found.mean >= 0.95
    assert alarms.mean <= 0.08


def test_known_noise_finds_throttling_from_the_third_session_on(bench: ModuleType) -> None:
    found, alarms = bench.throttling(0.05, quiet_sessions=3, repetitions=400, known=True)
    assert found.mean >= 0.98
    assert alarms.mean <= 0.08


def test_a_step_is_reported_with_its_start_and_size() -> None:
    levels = [1.00, 1.01, 0.99, 1.00, 1.01, 0.99, 1.00, 1.01, 1.11, 1.10, 1.11]
    step = slowdown(levels)
    assert step is not None
    assert step.start == 8
    assert step.ratio == pytest.approx(1.105, abs=0.005)


def test_a_device_that_becomes_faster_is_not_throttled() -> None:
    levels = [1.10, 1.112, 1.104, 1.109, 1.098, 1.106, 1.00, 1.01, 1.003]
    assert slowdown(levels) is None
    assert regimes(levels) == [1] * 6 + [0] * 3


def test_one_slow_session_is_an_outlier_and_no_step() -> None:
    levels = [1.00, 1.01, 0.99, 1.00, 1.01, 0.99, 1.00, 1.20]
    assert slowdown(levels) is None


@pytest.mark.parametrize("sessions", [1, 2, 3, 12])
def test_equal_levels_hold_no_step(sessions: int) -> None:
    assert slowdown([5.0] * sessions) is None
    assert regimes([5.0] * sessions) == [0] * sessions


def test_a_disturbed_stretch_is_a_regime_of_its_own() -> None:
    rng = np.random.default_rng(5)
    levels = 0.01 * rng.standard_normal(12)
    levels[4:7] += 0.15
    assert regimes(list(np.exp(levels))) == [0] * 4 + [1] * 3 + [0] * 5


def test_one_fast_session_does_not_become_the_level() -> None:
    rng = np.random.default_rng(6)
    levels = 0.01 * rng.standard_normal(12)
    levels[5] -= 0.3
    assert regimes(list(np.exp(levels))) == [0] * 5 + [1] + [0] * 6


def test_a_device_that_changes_its_state_back_and_forth_has_two_regimes() -> None:
    states = np.array([0, 1, 1, 0, 1, 0, 0, 1, 0, 1])
    noise = 0.01 * np.random.default_rng(8).standard_normal(10)
    assert regimes(list(np.exp(0.1 * states + noise))) == states.tolist()


def test_sessions_too_few_to_be_split_are_suspected_all_the_same() -> None:
    levels = [1.0, 1.1, 1.01, 1.09, 1.005]
    assert regimes(levels) == [0] * 5
    assert suspects_regimes(levels)


def test_levels_that_hardly_differ_are_not_suspected() -> None:
    assert not suspects_regimes([1.0, 1.01, 1.0, 1.01, 1.0001, 1.0101])


def test_undisturbed_sessions_are_rarely_split(bench: ModuleType) -> None:
    # 0.4 % promised; 1.2 % is three standard errors more.
    assert bench.split_rate(600).mean <= 0.012


@pytest.mark.parametrize("levels", [[], [1.0, math.nan], [1.0, 0.0]])
@pytest.mark.parametrize("function", [slowdown, regimes])
def test_levels_that_are_no_latencies_are_refused(
    function: Callable[[list[float]], object], levels: list[float]
) -> None:
    with pytest.raises(UserError, match="reference levels"):
        function(levels)


def test_noise_that_is_none_is_refused() -> None:
    with pytest.raises(UserError, match="noise"):
        slowdown([1.0], noise=0.0)
