"""Estimates over sessions: what they are, and that they cover what they claim.

Coverage tests allow three Monte Carlo standard errors beyond 93 to 97 %. The cells of a repetition
share their sessions, so the standard error comes from the repetitions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy import stats

from compofa.common.arrays import FloatArray
from compofa.common.errors import UserError
from compofa.common.normal_interval import reach
from compofa.profiler.statistics.interval import (
    POOLED_CELLS,
    Estimate,
    SharedError,
    estimate_cells,
    log_means,
    shared_error,
)
from compofa.profiler.statistics.moderation import moderate
from compofa.profiler.statistics.stopping import (
    anytime_reach,
    converged,
    guarded,
    is_enough,
)
from compofa.profiler.statistics.two_way import fit_two_way
from compofa.profiler.statistics.variance_components import variance_components

SDS = (0.0, 0.005, 0.01, 0.03)


def table(log_latency: FloatArray) -> dict[int, dict[int, float]]:
    return {c: {s: math.exp(v) for s, v in enumerate(row)} for c, row in enumerate(log_latency)}


def assert_covers(result: Any) -> None:
    assert 0.93 - 3 * result.error <= result.mean <= 0.97 + 3 * result.error


@pytest.mark.parametrize("sd", SDS)
@pytest.mark.parametrize(("cells", "sessions"), [(1, 5), (8, 5), (20, 10)])
def test_intervals_cover_what_they_claim(
    bench: ModuleType, sd: float, cells: int, sessions: int
) -> None:
    assert_covers(bench.fixed_coverage(sd, sessions, cells, repetitions=200))


def test_intervals_from_three_sessions_cover(bench: ModuleType) -> None:
    assert_covers(bench.fixed_coverage(0.01, sessions=3, cells=10, repetitions=300))


@pytest.mark.parametrize(
    ("sd", "most_sessions"), [(0.0, 5.1), (0.005, 5.1), (0.01, 5.3), (0.03, 16)]
)
def test_intervals_cover_after_stopping_and_stopping_is_early(
    bench: ModuleType, sd: float, most_sessions: float
) -> None:
    covered, used, reached = bench.sequential_coverage(sd, cells=10, repetitions=120)
    assert_covers(covered)
    assert used.mean <= most_sessions
    assert reached.mean >= 0.99


def test_one_cells_intervals_cover_after_stopping_whatever_its_noise(bench: ModuleType) -> None:
    coverage = bench.stopped_coverage(0.96, min_sessions=5, repetitions=20_000, early=True)
    # 20,000 repetitions have a standard error below 0.15 %.
    assert min(coverage.values()) >= 0.93 - 0.005
    assert max(coverage.values()) <= 0.97


def test_the_peeking_allowance_is_needed(bench: ModuleType) -> None:
    assert min(bench.stopped_coverage(0.95, 5, repetitions=20_000).values()) < 0.925


def ever_above(reach: Callable[[int], float], repetitions: int = 4_000) -> float:
    """Share of runs of 300 normal sessions in which the true mean is above the bound some time."""
    n = np.arange(1, 301)
    sessions = np.random.default_rng(5).standard_normal((repetitions, len(n)))
    upper = sessions.cumsum(axis=1) / n + np.array([reach(int(k)) for k in n]) / np.sqrt(n)
    return float((upper < 0).any(axis=1).mean())


@pytest.mark.parametrize("miss", [0.2, 0.05])
def test_the_bound_for_endless_looking_holds_at_all_looks_together(miss: float) -> None:
    assert ever_above(lambda n: anytime_reach(n, miss)) <= miss + 3 * math.sqrt(miss / 4_000)
    one_look = stats.norm.ppf(1 - miss)
    assert ever_above(lambda _: one_look) > 2.5 * miss


def test_the_bound_for_endless_looking_costs_less_than_twice_one_look() -> None:
    """At 5 to 100 sessions, the sessions of a verified cell."""
    reach = [anytime_reach(n, 0.01) for n in range(5, 101)]
    assert max(reach) < 1.6 * stats.norm.ppf(0.99)


def test_a_few_cells_get_their_own_student_interval() -> None:
    values = {"a": {1: 10.0, 2: 11.0, 5: 10.5}, "b": {1: 3.0, 2: 3.1, 5: 3.3}}
    estimate = estimate_cells(values, peeking=False)["a"]
    logs = np.log([10.0, 11.0, 10.5])
    low, high = stats.t.interval(0.95, 2, logs.mean(), stats.sem(logs))
    assert (estimate.low, estimate.value, estimate.high) == pytest.approx(
        (math.exp(low), math.exp(logs.mean()), math.exp(high))
    )
    assert estimate.n_sessions == 3


def test_complete_data_give_geometric_means() -> None:
    y = np.random.default_rng(0).normal(size=(8, 5))
    estimates = estimate_cells(table(y))
    assert [e.value for e in estimates.values()] == pytest.approx(np.exp(y.mean(axis=1)))


def test_the_two_way_fit_is_least_squares() -> None:
    rng = np.random.default_rng(1)
    y = rng.normal(size=(7, 6))
    measured = rng.random(y.shape) < 0.6
    measured[:, 0] = measured[0] = True
    values = {
        c: {s: math.exp(y[c, s]) for s in np.flatnonzero(measured[c]).tolist()} for c in range(7)
    }
    fit = fit_two_way(values, level_sessions={1, 2, 4})
    cells, sessions = np.nonzero(measured)
    design = np.hstack([np.eye(7)[cells], np.eye(6)[sessions]])
    solution = np.linalg.lstsq(design, y[measured], rcond=None)[0]
    shift = solution[7:][[1, 2, 4]].mean()
    assert fit.cell_means == pytest.approx(solution[:7] + shift)
    assert fit.effects == pytest.approx(solution[7:] - shift)
    assert fit.freedom.sum() == pytest.approx(cells.size - 12)
    contrast = np.hstack([np.eye(7), np.tile(np.isin(np.arange(6), [1, 2, 4]) / 3, (7, 1))])
    covariance = contrast @ np.linalg.pinv(design.T @ design) @ contrast.T
    assert fit.leverage == pytest.approx(np.diag(covariance))


def test_cells_of_a_slow_session_alone_are_compared_with_the_others_fairly() -> None:
    effects = np.array([0.0, 0.0, 0.0, 0.2, 0.2])
    values = table(np.tile(effects, (8, 1)))
    values[7] = {s: values[7][s] for s in (3, 4)}
    estimates = estimate_cells(values)
    assert estimates[7].value == pytest.approx(estimates[0].value)


def test_pooling_does_not_believe_a_session_effect_once_per_cell() -> None:
    """Six sessions that scatter by 3 % leave ± 3 %, however many cells saw the same scatter."""
    effects = 0.03 * np.array([1.0, -1.0, 1.0, -1.0, 1.0, -1.0])
    widths = [
        e.relative_half_width for e in estimate_cells(table(np.tile(effects, (500, 1)))).values()
    ]
    alone = estimate_cells(table(effects[None]))[0].relative_half_width
    assert widths == pytest.approx([alone] * 500)


def test_variances_shared_across_cells_narrow_intervals_where_sessions_agree() -> None:
    rng = np.random.default_rng(2)
    y = 0.01 * rng.standard_normal((40, 3))
    shared = np.mean([e.relative_half_width for e in estimate_cells(table(y)).values()])
    alone = np.mean(
        [estimate_cells({c: row})[c].relative_half_width for c, row in table(y).items()]
    )
    assert shared < 0.75 * alone


def test_moderation_finds_the_prior_it_was_drawn_from() -> None:
    rng = np.random.default_rng(3)
    prior_freedom, prior, freedom = 10, 4.0, np.full(4000, 4.0)
    true = prior * prior_freedom / rng.chisquare(prior_freedom, freedom.size)
    squares = true * rng.chisquare(4, freedom.size)
    variances, joint = moderate(squares, freedom)
    assert joint.max() - 4 == pytest.approx(prior_freedom, rel=0.25)
    assert np.abs(np.log(variances / true)).mean() < 0.7 * np.abs(np.log(squares / 4 / true)).mean()


def test_moderation_of_equal_variances_brings_them_together() -> None:
    squares = 2.0 * np.random.default_rng(4).chisquare(4, 1000)
    variances, joint = moderate(squares, np.full(1000, 4.0))
    assert variances.std() < 0.4 * (squares / 4).std()
    assert np.median(joint) == pytest.approx(4 + 4 * 4)


def test_a_cell_without_scatter_says_nothing_of_the_others() -> None:
    """Its variance has no logarithm; it takes that of the others, as far as they know it."""
    squares = 2.0 * np.random.default_rng(4).chisquare(4, 200)
    variances, _ = moderate(np.append(squares, 0.0), np.full(201, 4.0))
    assert np.isfinite(variances).all()
    assert variances[:-1] == pytest.approx(moderate(squares, np.full(200, 4.0))[0], rel=0.02)
    assert 0 < variances[-1] < variances[:-1].min()


def test_a_rogue_cell_is_not_talked_down_by_quiet_ones() -> None:
    squares = np.append(4.0 * np.random.default_rng(5).chisquare(4, 50) / 4, 4 * 100.0)
    variances, joint = moderate(squares, np.full(51, 4.0))
    assert variances[-1] == pytest.approx(100, rel=0.05)
    assert joint[-1] == pytest.approx(4, abs=0.2)


def test_a_rogue_cells_interval_covers(bench: ModuleType) -> None:
    assert_covers(bench.rogue_coverage(session=0.01, noisier=3.0, repetitions=400))


@pytest.mark.parametrize("cells", [1, POOLED_CELLS, 50])
def test_one_session_does_not_determine_an_interval(cells: int) -> None:
    estimates = estimate_cells({c: {0: 1.0 + c} for c in range(cells)})
    assert all((e.low, e.high) == (0, math.inf) for e in estimates.values())
    assert all(math.isinf(e.relative_half_width) for e in estimates.values())
    assert estimates[0].value == pytest.approx(1.0)


def test_a_cell_seen_once_borrows_the_others_variance() -> None:
    rng = np.random.default_rng(5)
    values = table(0.01 * rng.standard_normal((20, 6)))
    values[0] = {2: values[0][2]}
    estimates = estimate_cells(values)
    assert estimates[1].relative_half_width < estimates[0].relative_half_width < 0.05
    assert estimates[0].n_sessions == 1


@pytest.mark.parametrize("cells", [1, 10])
def test_equal_latencies_give_an_interval_of_no_width(cells: int) -> None:
    estimates = estimate_cells({c: dict.fromkeys(range(5), 7.0) for c in range(cells)})
    assert all(e.low == pytest.approx(7) == pytest.approx(e.high) for e in estimates.values())


def test_no_cells_give_no_estimates() -> None:
    assert estimate_cells({}) == {}


@pytest.mark.parametrize("bad", [math.nan, math.inf, 0.0, -1.0])
def test_a_latency_that_is_none_is_refused_by_the_name_of_its_cell(bad: float) -> None:
    with pytest.raises(UserError, match="cell d22222"):
        estimate_cells({"d22222": {0: 1.0, 1: bad}})


def test_a_cell_without_sessions_is_refused() -> None:
    with pytest.raises(UserError, match="cell x"):
        estimate_cells({"x": {}})


def test_cells_without_a_common_session_are_refused() -> None:
    with pytest.raises(UserError, match="share no session"):
        estimate_cells({"a": {0: 1.0, 1: 1.0}, "b": {2: 1.0, 3: 1.0}})


def test_a_level_of_sessions_that_measured_nothing_is_refused() -> None:
    with pytest.raises(UserError, match="level"):
        estimate_cells({"a": {0: 1.0}}, level_sessions={7})


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0, math.nan])
def test_a_confidence_that_is_none_is_refused(confidence: float) -> None:
    with pytest.raises(UserError, match="confidence"):
        estimate_cells({"a": {0: 1.0}}, confidence)


def test_cells_leave_when_they_converge_and_not_before_three_sessions() -> None:
    exact = {c: dict.fromkeys(range(2), 1.0) for c in range(8)}
    assert converged(estimate_cells(exact), 0.02) == frozenset()
    exact = {c: dict.fromkeys(range(3), 1.0) for c in range(8)}
    assert converged(estimate_cells(exact), 0.02) == frozenset(range(8))


@pytest.mark.parametrize(
    ("half_width", "sessions", "fewest", "enough"),
    [
        (0.0066, 3, 5, True),  # a third of the target: early
        (0.0068, 3, 5, False),
        (0.0068, 4, 5, False),
        (0.0199, 5, 5, True),
        (0.0201, 5, 5, False),
        (0.0001, 3, 16, False),  # whoever asks for more sessions gets them
        (0.0001, 2, 2, True),
        (0.0001, 2, 5, False),
    ],
)
def test_an_interval_is_enough_by_its_width_and_its_sessions(
    half_width: float, sessions: int, fewest: int, enough: bool
) -> None:
    assert is_enough(half_width, sessions, 0.02, fewest) is enough


@pytest.mark.parametrize("target", [0.0, -0.1, math.nan])
def test_a_target_that_cannot_be_reached_is_refused(target: float) -> None:
    with pytest.raises(UserError, match="not positive"):
        converged({}, target)


def test_variance_components_are_those_that_were_put_in() -> None:
    rng = np.random.default_rng(6)
    shape = (100, 200)
    y = 0.02 * rng.standard_normal(shape[1]) + 0.01 * rng.standard_normal(shape)
    y += 0.005 * rng.standard_normal(shape)
    errors = {c: dict.fromkeys(range(shape[1]), 0.005) for c in range(shape[0])}
    found = variance_components(table(y), errors)
    # 200 sessions tell a standard deviation to 5 %, 20,000 pairs to 0.5 %.
    assert found.session == pytest.approx(0.02, rel=0.15)
    assert found.session_cell == pytest.approx(0.01, rel=0.03)
    assert found.within == pytest.approx(0.005)
    assert found.one_session == pytest.approx(0.0229, rel=0.12)


def test_variance_components_that_cannot_be_known_are_nan() -> None:
    one_session = variance_components({c: {0: 1.0} for c in range(5)})
    assert math.isnan(one_session.session)
    assert math.isnan(one_session.session_cell)
    one_cell = variance_components({0: {0: 1.0, 1: 1.1}})
    assert one_cell.session > 0
    assert math.isnan(one_cell.session_cell)


def test_what_all_cells_share_widens_an_interval_as_a_variance_does() -> None:
    half = np.array([0.02])
    assert SharedError().widened(half, 0.9) == pytest.approx(half)
    # Two equal parts, both well known: sqrt(2) times as wide.
    same = SharedError((0.02 / reach(0.9)) ** 2, math.inf)
    assert same.widened(half, 0.9) == pytest.approx(math.sqrt(2) * half)
    # Known from few sessions only, it counts for more.
    assert SharedError(same.variance, 4).widened(half, 0.9) > 1.45 * half


def test_the_shared_error_of_sessions_is_that_of_their_mean_effect() -> None:
    rng = np.random.default_rng(5)
    effects = 0.01 * rng.standard_normal(5)
    values = {c: {s: math.exp(effects[s]) for s in range(5)} for c in range(8)}
    found = shared_error(values)
    assert found.variance == pytest.approx(effects.var(ddof=1) / 5, rel=1e-6)
    assert found.freedom == 4


def test_sessions_that_were_divided_down_tell_how_much_sessions_scatter() -> None:
    """Three quiet sessions of ten leave a third of the variance, on eight degrees of freedom."""
    effects = np.random.default_rng(4).normal(0, 0.01, 10)
    fit = fit_two_way(table(np.tile(effects, (8, 1))), level_sessions={0, 1, 2})
    logs = log_means(fit)
    squares = effects[:3].var() * 3 + effects[3:].var() * 7
    assert logs.shared_freedom == 8
    assert logs.shared_variance == pytest.approx(squares / 8 / 3)


def test_what_a_clock_leaves_open_widens_an_interval_by_as_much_either_way() -> None:
    estimate = Estimate(10.0, 9.9, 10.1, 0.95, 5)
    wider = estimate.widened(0.01)
    assert (wider.low, wider.high) == pytest.approx((9.9 / 1.01, 10.1 * 1.01))
    assert estimate.widened(0.0) is estimate


@pytest.mark.parametrize(
    ("half", "reported"),
    [(0.001, 0.001), (0.0066, 0.0066), (0.014, 0.0168), (0.019, 0.02), (0.03, 0.03)],
)
def test_an_interval_that_may_be_short_by_luck_is_reported_longer(
    half: float, reported: float
) -> None:
    reach_ = math.asinh(half)
    found = guarded(Estimate(5.0, 5 * math.exp(-reach_), 5 * math.exp(reach_), 0.95, 6), 0.02)
    assert found.relative_half_width == pytest.approx(reported)
    assert (found.relative_half_width <= 0.02) == (half <= 0.02)


@pytest.mark.parametrize("deviation", [0.5, 0.75, 1.0])
def test_reported_intervals_cover_where_it_is_luck_when_sessions_stop(deviation: float) -> None:
    """Sessions of one cell, their sd in units of the target; 3 standard errors are granted."""
    rng = np.random.default_rng(12)
    inside = 0
    for _ in range(1500):
        logs = 0.02 * deviation * rng.standard_normal(30)
        for count in range(3, 31):
            values = {0: {s: math.exp(x) for s, x in enumerate(logs[:count])}}
            estimate = estimate_cells(values)[0]
            if is_enough(estimate.relative_half_width, count, 0.02):
                break
        found = guarded(estimate, 0.02)
        inside += found.low <= 1 <= found.high
    assert inside / 1500 >= 0.945 - 3 * 0.0056
