"""Two set-ups compared: verdicts, their errors over many cells, and what can be seen at all."""

from __future__ import annotations

import math
from types import ModuleType

import numpy as np
import pytest
from scipy import stats

from compofa.common.errors import UserError
from compofa.profiler.statistics.compare import Verdict, compare, smallest_change
from compofa.profiler.statistics.variance_components import VarianceComponents


def side(
    rng: np.random.Generator,
    cells: int = 20,
    sessions: int = 6,
    sd: float = 0.001,
    shift: float = 0.0,
) -> dict[int, dict[int, float]]:
    y = sd * rng.standard_normal(sessions) + sd * rng.standard_normal((cells, sessions)) + shift
    return {c: {s: math.exp(v) for s, v in enumerate(row)} for c, row in enumerate(y)}


def test_a_a_of_1215_cells_raises_no_false_alarm(bench: ModuleType) -> None:
    # At most 5 % of repetitions: of 12, 4 would come up once in 450 times.
    assert bench.comparison(5, cells=1215, repetitions=12)["false_alarm"].mean < 4 / 12


@pytest.mark.parametrize("cells", [1, 5, 6, 30])
@pytest.mark.parametrize("noisier", [1.0, 2.0])
def test_a_a_raises_a_false_alarm_in_at_most_5_percent(
    bench: ModuleType, cells: int, noisier: float
) -> None:
    result = bench.comparison(5, cells, repetitions=200, noisier=noisier)
    assert result["false_alarm"].mean <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 200)


@pytest.mark.parametrize(("cells", "repetitions"), [(5, 200), (60, 200), (1215, 12)])
def test_a_slower_host_raises_no_alarm_relative_to_the_reference(
    bench: ModuleType, cells: int, repetitions: int
) -> None:
    result = bench.comparison(5, cells, repetitions, host=0.06)
    alarms, covered = result["false_alarm"].mean, result["interval_coverage"]
    assert alarms <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / repetitions)
    assert covered.mean >= 0.93 - 3 * covered.error


def test_a_slower_cell_on_a_slower_host_is_found(bench: ModuleType) -> None:
    result = bench.comparison(10, 60, 12, slow=0.05, slow_share=1 / 3, host=0.03)
    assert result["cells_found"].mean >= 0.9 - 3 * result["cells_found"].error
    assert result["false_alarm"].mean < 4 / 12


@pytest.mark.parametrize("slope", [0.0, 0.5, 1.0, 1.5])
@pytest.mark.parametrize("shift", [0.0, 0.05, 0.2])
@pytest.mark.parametrize("wander", [0.003, 0.01, 0.05])
def test_a_restless_host_raises_no_alarm_however_far_cells_covary(
    bench: ModuleType, slope: float, shift: float, wander: float
) -> None:
    result = bench.restless_host(slope, shift, repetitions=60, wander=wander)
    assert result["false_alarm"].mean <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 60)
    covered = result["overall_coverage"]
    assert covered.mean >= 0.95 - 3 * math.sqrt(0.05 * 0.95 / 60)


@pytest.mark.parametrize("shift", [-0.05, 0.0, 0.05])
def test_slower_networks_are_found_on_a_restless_host_that_they_half_follow(
    bench: ModuleType, shift: float
) -> None:
    assert bench.restless_host(0.5, shift, repetitions=30, slow=0.08)["found"].mean >= 0.9


def test_a_change_of_the_host_that_no_session_shows_leaves_room_for_doubt(
    bench: ModuleType,
) -> None:
    near, far = (bench.restless_host(0.5, shift, repetitions=30) for shift in (0.05, 0.25))
    assert near["doubt"].mean < 0.01
    assert far["doubt"].mean > 0.03


def test_the_cell_that_others_are_relative_to_is_on_both_sides() -> None:
    rng = np.random.default_rng(0)
    base, new = side(rng), side(rng)
    with pytest.raises(UserError, match="no cell in common"):
        compare(base, new, relative_to=99)


def test_a_change_below_the_smallest_effect_is_never_called_slower() -> None:
    rng = np.random.default_rng(0)
    base, new = side(rng, sd=0.0001), side(rng, sd=0.0001, shift=0.02)
    verdicts = {ratio.verdict for ratio in compare(base, new, min_effect=0.021).cells.values()}
    assert Verdict.SLOWER not in verdicts
    assert {ratio.verdict for ratio in compare(base, new).cells.values()} == {Verdict.SLOWER}


def test_a_a_of_sides_that_stopped_by_their_intervals_keeps_its_promise(bench: ModuleType) -> None:
    assert bench.stopped_comparison(100, cells=10).mean <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 100)


@pytest.mark.parametrize("share", [1.0, 1 / 3])
def test_5_percent_slower_is_found_at_1_percent_noise_from_6_sessions_a_side(
    bench: ModuleType, share: float
) -> None:
    result = bench.comparison(6, cells=1215, repetitions=12, slow=0.05, slow_share=share)
    found = result["cells_found"]
    assert found.mean >= 0.9 - 3 * found.error
    assert result["false_alarm"].mean < 4 / 12


@pytest.mark.parametrize("cells", [1, 10])
def test_intervals_of_ratios_cover(bench: ModuleType, cells: int) -> None:
    result = bench.comparison(5, cells, repetitions=300, noisier=2.0)
    for covered in (result["interval_coverage"], result["overall_coverage"]):
        assert 0.93 - 3 * covered.error <= covered.mean <= 0.97 + 3 * covered.error


def test_the_overall_ratio_of_a_few_cells_does_not_undercover(bench: ModuleType) -> None:
    """What cells have in common is unknown with fewer than six, so this one may be too wide."""
    covered = bench.comparison(5, cells=4, repetitions=300)["overall_coverage"]
    assert covered.mean >= 0.93 - 3 * covered.error


def test_one_cell_is_compared_by_welchs_test() -> None:
    base = {0: {0: 1.0, 1: 1.1, 2: 1.05, 3: 1.02, 4: 1.07}}
    new = {0: {0: 1.2, 1: 1.5, 2: 1.3, 3: 1.4, 4: 1.25, 5: 1.3}}
    ratio = compare(base, new).cells[0]
    logs = [np.log(list(side[0].values())) for side in (new, base)]
    interval = stats.ttest_ind(*logs, equal_var=False).confidence_interval(0.95)
    assert (math.log(ratio.low), math.log(ratio.high)) == pytest.approx(tuple(interval))
    assert math.log(ratio.value) == pytest.approx(logs[0].mean() - logs[1].mean())


def test_verdicts_say_slower_faster_same_or_nothing() -> None:
    rng = np.random.default_rng(0)
    base, new = side(rng), side(rng)
    new[0] = {s: 1.05 * v for s, v in new[0].items()}
    new[1] = {s: 0.95 * v for s, v in new[1].items()}
    cells = compare(base, new).cells
    assert cells[0].verdict is Verdict.SLOWER
    assert cells[1].verdict is Verdict.FASTER
    assert cells[2].verdict is Verdict.SAME
    noisy = compare(side(rng, sd=0.05), side(rng, sd=0.05))
    assert noisy.cells[0].verdict is Verdict.CANNOT_TELL


def test_a_certain_change_smaller_than_matters_is_the_same() -> None:
    rng = np.random.default_rng(1)
    base, new = side(rng, sd=1e-5), side(rng, sd=1e-5, shift=0.002)
    result = compare(base, new, min_effect=0.01)
    assert result.overall.low > 1
    assert {ratio.verdict for ratio in result.cells.values()} == {Verdict.SAME}


def test_the_overall_ratio_sees_a_shift_of_all_cells() -> None:
    rng = np.random.default_rng(2)
    overall = compare(side(rng), side(rng, shift=0.03)).overall
    assert overall.verdict is Verdict.SLOWER
    assert overall.value == pytest.approx(1.03, abs=0.003)
    assert overall.effect_size > 5


def test_only_cells_of_both_sides_are_compared() -> None:
    rng = np.random.default_rng(3)
    base, new = side(rng, cells=8), side(rng, cells=12)
    assert list(compare(base, new).cells) == list(range(8))


def test_equal_sides_without_noise_are_the_same() -> None:
    values = {c: dict.fromkeys(range(5), 2.0) for c in range(8)}
    ratio = compare(values, values).cells[0]
    assert ratio.verdict is Verdict.SAME
    assert ratio.value == 1


def test_throttled_sessions_of_a_side_do_not_make_it_slower() -> None:
    rng = np.random.default_rng(4)
    base, new = side(rng), side(rng)
    for row in new.values():
        row[4], row[5] = 1.2 * row[4], 1.2 * row[5]
    result = compare(base, new, levels=(None, {0, 1, 2, 3}))
    assert result.overall.value == pytest.approx(1, abs=0.005)


def test_sides_without_a_common_cell_are_refused() -> None:
    with pytest.raises(UserError, match="no cell in common"):
        compare({"a": {0: 1.0}}, {"b": {0: 1.0}})


@pytest.mark.parametrize("cells", [1, 10])
def test_a_side_of_one_session_is_refused(cells: int) -> None:
    rng = np.random.default_rng(5)
    with pytest.raises(UserError, match="single session"):
        compare(side(rng, cells), side(rng, cells, sessions=1))


def test_the_smallest_change_is_found_as_often_as_promised(bench: ModuleType) -> None:
    result = bench.promised_power(6, cells=60, repetitions=200)
    assert 0.02 < result["change"].mean < 0.05
    assert result["found"].mean == pytest.approx(0.9, abs=0.02 + 3 * result["found"].error)


def test_more_sessions_see_smaller_changes_and_more_cells_larger_ones() -> None:
    noise = VarianceComponents(session=0.01, session_cell=0.005, within=0.002)
    assert smallest_change(noise, 20) < smallest_change(noise, 5)
    assert smallest_change(noise, 5, cells=1000) > smallest_change(noise, 5, cells=10)


def test_the_smallest_change_is_that_of_its_formula() -> None:
    """Half of alpha for what cells share, half for all cells' own errors; two sessions a side."""
    noise = VarianceComponents(session=0.01, session_cell=0.005, within=0.002)
    cells, freedom = 200, 2.0
    own, shared = 2 * (0.005**2 + 0.002**2) / 2, 2 * 0.01**2 / 2
    parts = {
        freedom: stats.t.ppf(1 - 0.05 / 4, freedom) * math.sqrt(shared),
        freedom * (cells - 1): stats.t.ppf(1 - 0.05 / 4 / cells, freedom * (cells - 1))
        * math.sqrt(own),
    }
    scatter = sum(part**2 / (2 * d) for d, part in parts.items())
    expected = sum(parts.values()) + stats.norm.ppf(0.9) * math.sqrt(shared + own + scatter)
    found = smallest_change(noise, 2, cells, confidence=0.95, power=0.9)
    assert math.log1p(found) == pytest.approx(expected, rel=1e-9)


def test_all_cells_together_are_the_same_by_an_interval_at_twice_alpha() -> None:
    """Two one-sided tests, as for single cells."""
    rng = np.random.default_rng(3)
    sides = [side(rng, cells=1, sessions=12, sd=0.01, shift=shift) for shift in (0.0, 0.022)]

    def half_width(confidence: float) -> float:
        found = compare(*sides, confidence=confidence).overall
        return math.log(found.high / found.low) / 2

    def verdict(width: float) -> Verdict:
        away = abs(math.log(compare(*sides).overall.value))
        return compare(*sides, min_effect=math.expm1(away + width)).overall.verdict

    assert verdict(1.01 * half_width(0.90)) is Verdict.SAME
    assert verdict(0.99 * half_width(0.90)) is Verdict.CANNOT_TELL


@pytest.mark.parametrize(("sessions", "cells"), [(1, 5), (5, 0)])
def test_a_change_that_nothing_could_show_is_refused(sessions: int, cells: int) -> None:
    with pytest.raises(UserError, match="at least one cell and two sessions"):
        smallest_change(VarianceComponents(0.01, 0.01, 0.01), sessions, cells)
