"""Drift, throttling, and other things that time does to latencies."""

from __future__ import annotations

import math

import numpy as np
import pytest

from compofa.profiler.statistics.drift import ReferencePoint, drift_factors
from compofa.profiler.statistics.steps import regimes, slowdown
from compofa.supernet.errors import UserError


def points(log_latency):
    return [
        ReferencePoint(session, float(t), math.exp(value))
        for session, row in enumerate(log_latency)
        for t, value in enumerate(row)
    ]


def quiet(rng, sessions=6, count=20, noise=0.005, between=0.01):
    effects = between * rng.standard_normal((sessions, 1))
    return effects + noise * rng.standard_normal((sessions, count))


@pytest.mark.parametrize("where", ["half", "middle", "onset"])
def test_a_slow_down_of_10_percent_moves_estimates_by_under_1_percent(bench, where):
    """And intervals still cover. Three standard errors of 60 repetitions are granted."""
    result = bench.slowed_estimates(where, session=0.01, repetitions=60)
    assert result["uncorrected_shift"].mean > 0.004
    assert abs(result["shift"].mean) < 0.003
    assert result["absolute_shift"].mean < 0.005
    within, covered = result["within_1_percent"], result["coverage"]
    assert within.mean >= 0.95 - 3 * within.error
    assert 0.93 - 3 * covered.error <= covered.mean <= 0.97 + 3 * covered.error


def test_noise_of_the_reference_is_not_added_where_nothing_drifts():
    curves = []
    for seed in range(50):
        drift = drift_factors(points(quiet(np.random.default_rng(seed))))
        curves += [curve for _, curve in drift.curves.values()]
    assert np.mean([not curve.any() for curve in curves]) > 0.97
    assert np.std(curves) < 0.1 * 0.005


def test_scatter_between_sessions_is_left_to_the_interval():
    levels = 0.02 * np.array([1.0, -1.0, 0.5, -0.5, 0.0, 0.8])
    drift = drift_factors(points(np.tile(levels[:, None], (1, 10))))
    assert drift.level_sessions == frozenset(range(6))
    assert drift.factor(0, 3.0) == pytest.approx(1)


def test_a_step_within_a_session_is_divided_out_and_its_moment_marked():
    reference = quiet(np.random.default_rng(1))
    reference[2, 10:] += math.log(1.10)
    drift = drift_factors(points(reference))
    assert drift.factor(2, 3.0) == pytest.approx(1.00, abs=0.01)
    assert drift.factor(2, 15.0) == pytest.approx(1.10, abs=0.01)
    assert drift.ambiguous(2, 9.5)
    assert not drift.ambiguous(2, 4.5)
    assert drift.level_sessions == frozenset(range(6))


def test_a_steady_ramp_is_followed():
    reference = quiet(np.random.default_rng(2), noise=0.002)
    reference += np.linspace(0, 0.05, 20)
    drift = drift_factors(points(reference))
    rise = [drift.factor(s, 18.0) / drift.factor(s, 1.0) for s in range(6)]
    assert rise == pytest.approx([math.exp(0.05 * 17 / 19)] * 6, abs=0.008)


def test_one_preempted_point_is_no_drift():
    reference = quiet(np.random.default_rng(3))
    reference[2, 10] += 0.3
    drift = drift_factors(points(reference))
    assert drift.factor(2, 10.0) == pytest.approx(1, abs=0.005)


def test_throttled_sessions_are_divided_down_and_carry_no_level():
    reference = quiet(np.random.default_rng(4), sessions=10)
    reference[6:] += math.log(1.10)
    drift = drift_factors(points(reference))
    assert drift.level_sessions == frozenset(range(6))
    assert drift.factor(0, 5.0) == pytest.approx(1, abs=0.005)
    assert drift.factor(8, 5.0) == pytest.approx(1.10, abs=0.02)


def test_one_session_of_one_point_has_no_drift():
    drift = drift_factors([ReferencePoint(4, 0.0, 2.0)])
    assert drift.factor(4, 100.0) == 1
    assert not drift.ambiguous(4, 100.0)
    assert drift.level_sessions == {4}


def test_a_reference_that_repeats_exactly_has_no_drift():
    drift = drift_factors(points(np.full((5, 8), 0.3)))
    assert drift.factor(3, 4.2) == 1


def test_a_clock_that_goes_back_is_refused():
    with pytest.raises(UserError, match="session 3: time goes back from 9 s to 2 s"):
        drift_factors([ReferencePoint(3, 9.0, 1.0), ReferencePoint(3, 2.0, 1.0)])


def test_a_time_that_is_none_is_refused():
    with pytest.raises(UserError, match="not finite"):
        drift_factors([ReferencePoint(3, math.nan, 1.0)])


@pytest.mark.parametrize("bad", [math.nan, math.inf, 0.0, -1.0])
def test_reference_latencies_that_are_none_are_refused(bad):
    with pytest.raises(UserError, match="reference model"):
        drift_factors([ReferencePoint(0, 0.0, bad)])


def test_no_reference_is_refused():
    with pytest.raises(UserError, match="no latency"):
        drift_factors([])


def test_a_session_without_reference_cannot_be_corrected():
    drift = drift_factors([ReferencePoint(0, 0.0, 1.0)])
    with pytest.raises(UserError, match="session 7"):
        drift.factor(7, 0.0)


def test_throttling_by_5_percent_is_found_within_3_sessions(bench):
    """At 1 % between sessions; false alarms at most 5 % of 30 sessions, of 400: up to 8 %."""
    found, alarms = bench.throttling(0.05, quiet_sessions=10, repetitions=400)
    assert found.mean >= 0.95
    assert alarms.mean <= 0.08


def test_known_noise_finds_throttling_from_the_third_session_on(bench):
    found, alarms = bench.throttling(0.05, quiet_sessions=3, repetitions=400, known=True)
    assert found.mean >= 0.98
    assert alarms.mean <= 0.08


def test_a_step_is_reported_with_its_start_and_size():
    levels = [1.00, 1.01, 0.99, 1.00, 1.01, 0.99, 1.00, 1.01, 1.11, 1.10, 1.11]
    step = slowdown(levels)
    assert step is not None
    assert step.start == 8
    assert step.ratio == pytest.approx(1.105, abs=0.005)


def test_a_device_that_becomes_faster_is_not_throttled():
    levels = [1.10, 1.11, 1.10, 1.11, 1.10, 1.11, 1.00, 1.01, 1.00]
    assert slowdown(levels) is None
    assert regimes(levels) == [1] * 6 + [0] * 3


def test_one_slow_session_is_an_outlier_and_no_step():
    levels = [1.00, 1.01, 0.99, 1.00, 1.01, 0.99, 1.00, 1.20]
    assert slowdown(levels) is None


@pytest.mark.parametrize("sessions", [1, 2, 3, 12])
def test_equal_levels_hold_no_step(sessions):
    assert slowdown([5.0] * sessions) is None
    assert regimes([5.0] * sessions) == [0] * sessions


def test_a_disturbed_stretch_is_a_regime_of_its_own():
    rng = np.random.default_rng(5)
    levels = 0.01 * rng.standard_normal(12)
    levels[4:7] += 0.15
    assert regimes(list(np.exp(levels))) == [0] * 4 + [1] * 3 + [0] * 5


def test_one_fast_session_does_not_become_the_level():
    rng = np.random.default_rng(6)
    levels = 0.01 * rng.standard_normal(12)
    levels[5] -= 0.3
    assert regimes(list(np.exp(levels))) == [0] * 5 + [1] + [0] * 6


def test_undisturbed_sessions_are_rarely_split(bench):
    # 1 % promised; 2.2 % is three standard errors more.
    assert bench.split_rate(600).mean <= 0.022


@pytest.mark.parametrize("levels", [[], [1.0, math.nan], [1.0, 0.0]])
@pytest.mark.parametrize("function", [slowdown, regimes])
def test_levels_that_are_no_latencies_are_refused(function, levels):
    with pytest.raises(UserError, match="reference levels"):
        function(levels)


def test_noise_that_is_none_is_refused():
    with pytest.raises(UserError, match="noise"):
        slowdown([1.0], noise=0.0)
