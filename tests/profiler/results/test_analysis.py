"""From the lines of a journal to estimates: drift, ambiguity, and journals that say little."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
import pytest

from compofa.common.errors import UserError
from compofa.profiler.measurement.selftest import (
    ComparisonOptions,
    run_selftest,
    selftest_plan,
    smallest_change,
)
from compofa.profiler.results.analysis import analyse, corrected_line
from compofa.profiler.results.doubts import UNRESOLVED
from compofa.profiler.results.journal import Failure, JournalLine, SessionLine, Timing
from compofa.profiler.results.table import Cell
from compofa.profiler.settings import Protocol
from compofa.profiler.statistics.variance_components import VarianceComponents
from compofa.supernet.spaces import SPACES

CELLS = tuple(Cell("compofa", f"d2222{d}", r, 1) for d in (2, 3, 4) for r in (160, 192, 224))
TRUTH_MS = {cell: 5.0 + i for i, cell in enumerate(CELLS)}
PROTOCOL = Protocol()


def timing(
    session: int, cell: Cell | None, at_s: float, ms: float, noise: Sequence[float] = (0.0,) * 10
) -> Timing:
    ns = tuple(round(ms * 1e6 * math.exp(e)) for e in noise)
    return Timing(
        session, cell, "0" * 64, at_s, 1, ns[:1], ns, {}, f"2026-01-01T00:00:{session:02}Z"
    )


def journal(
    sessions: int,
    *,
    between: float = 0.0,
    within: float = 0.0,
    cells: Sequence[Cell] = CELLS,
    slow: Collection[int] = (),
    slower: float = 1.1,
    seed: int = 0,
) -> list[JournalLine]:
    """Sessions with the reference before, between and after the cells."""
    rng = np.random.default_rng(seed)
    lines: list[JournalLine] = []
    for session in range(1, sessions + 1):
        lines.append(SessionLine(session, "", session, {}, {}, None))
        level = slower if session in slow else 1.0
        noise = rng.normal(rng.normal(0, between), within, (2 * len(cells) + 1, 10)).tolist()
        lines.append(timing(session, None, 0.0, 3.0 * level, noise.pop()))
        for i, cell in enumerate(cells):
            lines.append(timing(session, cell, i + 0.5, TRUTH_MS[cell] * level, noise.pop()))
            lines.append(timing(session, None, i + 1.0, 3.0 * level, noise.pop()))
    return lines


def test_estimates_are_the_truth_where_there_is_no_noise() -> None:
    analysis = analyse(journal(5))
    for cell, truth in TRUTH_MS.items():
        estimate = analysis.estimate(cell)
        assert estimate is not None
        assert estimate.value == pytest.approx(truth)
        assert estimate.relative_half_width < 1e-6
        assert analysis.settled(cell, PROTOCOL)


def test_intervals_hold_the_truth_of_noisy_sessions() -> None:
    inside = 0
    for seed in range(40):
        analysis = analyse(journal(6, between=0.01, within=0.01, seed=seed))
        for cell, truth in TRUTH_MS.items():
            estimate = analysis.estimate(cell)
            assert estimate is not None
            # The quiet runs lie below the median by a share of the noise that all cells have.
            inside += estimate.low <= truth * math.exp(-0.0068) <= estimate.high
    # 360 intervals at 95 %, in 40 independent groups that share their session effects.
    assert inside / 360 > 0.88


def test_a_slow_down_in_mid_run_is_corrected() -> None:
    analysis = analyse(journal(8, between=0.002, within=0.002, slow=range(5, 9)))
    for cell, truth in TRUTH_MS.items():
        assert analysis.latency_ms(cell) == pytest.approx(truth, rel=0.01)
    assert analysis.drift == pytest.approx(0.1, abs=0.02)


def test_a_device_that_runs_at_two_speeds_is_estimated_at_the_faster_one() -> None:
    analysis = analyse(journal(10, between=0.005, within=0.002, slow=(2, 3, 6, 7, 10)))
    assert [(each.of, each.slow, each.total) for each in analysis.speeds] == [("sessions", 5, 10)]
    assert analysis.level_sessions == frozenset({1, 4, 5, 8, 9})
    for cell, truth in TRUTH_MS.items():
        assert analysis.latency_ms(cell) == pytest.approx(truth, rel=0.01)


def test_two_speeds_are_named_on_a_clock_of_microseconds_too() -> None:
    lines = [
        replace(line, ns=tuple(round(ns, -3) for ns in line.ns))
        if isinstance(line, Timing)
        else line
        for line in journal(10, between=0.005, within=0.002, slow=(2, 3, 6, 7, 10))
    ]
    analysis = analyse(lines)
    assert analysis.tick_ns == 1000
    assert [each.of for each in analysis.speeds] == ["sessions"]


def test_a_device_that_may_run_at_two_speeds_is_measured_on_and_not_trusted() -> None:
    analysis = analyse(journal(5, between=0.005, within=0.002, slow=(2, 4), slower=1.06))
    assert not analysis.speeds
    for cell in CELLS:
        result = analysis.results[cell]
        assert result.doubt == UNRESOLVED
        assert not result.converged(PROTOCOL.target)
        assert not analysis.settled(cell, PROTOCOL)


def test_sessions_at_two_speeds_have_to_be_more_than_others() -> None:
    def settled(sessions: int, slow: Collection[int]) -> list[bool]:
        analysis = analyse(journal(sessions, between=0.001, within=0.001, slow=slow))
        assert bool(analysis.speeds) == bool(slow)
        return [analysis.settled(cell, PROTOCOL) for cell in CELLS]

    assert all(settled(6, ()))
    assert not any(settled(6, (2, 4, 6)))
    assert all(settled(8, (2, 4, 6, 8)))


def test_raw_and_corrected_values_are_kept() -> None:
    lines = journal(8, between=0.002, within=0.002, slow=range(5, 9))
    line = corrected_line(analyse(lines), 8)
    raw, corrected = dict(line.raw_ms), dict(line.corrected_ms)
    assert set(raw) == set(corrected) == set(CELLS)
    for cell, truth in TRUTH_MS.items():
        assert raw[cell] == pytest.approx(1.1 * truth, rel=0.02)
        assert corrected[cell] == pytest.approx(truth, rel=0.02)


def test_one_session_gives_values_without_intervals() -> None:
    analysis = analyse(journal(1, within=0.01))
    estimate = analysis.estimate(CELLS[0])
    assert estimate is not None
    assert math.isinf(estimate.high)
    assert not analysis.settled(CELLS[0], PROTOCOL)
    assert analysis.sessions_left(CELLS[0], PROTOCOL) == 2


def test_one_cell_is_enough() -> None:
    analysis = analyse(journal(5, between=0.01, cells=CELLS[:1]))
    estimate = analysis.estimate(CELLS[0])
    assert estimate is not None
    assert 0 < estimate.low < estimate.value < estimate.high < math.inf


def test_no_lines_give_nothing() -> None:
    analysis = analyse([])
    assert analysis.results == {}
    assert analysis.noise is None


def test_a_clock_that_goes_back_is_refused() -> None:
    lines = journal(2)
    lines.append(timing(2, None, 0.25, 3.0))
    with pytest.raises(UserError, match="time goes back"):
        analyse(lines)


def test_a_device_that_wanders_is_adjusted_for() -> None:
    rng = np.random.default_rng(3)
    lines: list[JournalLine] = []
    for session in range(1, 7):
        lines.append(SessionLine(session, "", session, {}, {}, None))
        speed = 0.1 * rng.standard_normal(len(CELLS) + 1)
        lines.append(timing(session, None, 0.0, 3.0 * math.exp(speed[0])))
        for i in rng.permutation(len(CELLS)):
            at = 0.5 + len(lines)
            around = (speed[i] + speed[i + 1]) / 2
            lines.append(timing(session, None, at - 0.2, 3.0 * math.exp(around)))
            lines.append(timing(session, CELLS[i], at, TRUTH_MS[CELLS[i]] * math.exp(around)))
            lines.append(timing(session, None, at + 0.2, 3.0 * math.exp(around)))
    analysis = analyse(lines)
    assert analysis.slope == pytest.approx(1.0, abs=0.05)
    ratios = [analysis.latency_ms(cell) / truth for cell, truth in TRUTH_MS.items()]
    assert max(ratios) / min(ratios) < 1.01


def test_failures_settle_a_cell_when_they_are_final() -> None:
    died = Failure(1, CELLS[0], "the agent ended", False, "", "")
    lines = [*journal(1, cells=CELLS[1:]), died]
    assert analyse(lines).died == {CELLS[0]}
    assert not analyse(lines).settled(CELLS[0], PROTOCOL)
    final = Failure(2, CELLS[0], "again", True, "", "")
    analysis = analyse([*lines, final])
    assert analysis.settled(CELLS[0], PROTOCOL)
    assert analysis.results[CELLS[0]].failure == "again"
    assert not analysis.usable(CELLS[0])


def test_a_cell_that_was_measured_before_is_not_blamed_for_a_death() -> None:
    died = Failure(2, CELLS[0], "the agent ended: killed", False, "", "")
    assert analyse([*journal(1), died]).died == frozenset()


def test_the_selftest_finds_the_noise_that_is_there_and_cries_wolf_seldom() -> None:
    alarms, noise = [], []
    for seed in range(10):
        result = run_selftest(journal(16, between=0.02, within=0.005, seed=seed), seed)
        alarms.append(result.false_alarms)
        noise.append(result.noise.one_session)
    assert np.mean(alarms) <= 0.05
    assert np.mean(noise) == pytest.approx(0.02, rel=0.25)
    assert result.cells == 9
    assert result.sessions == 16
    assert result.seconds_per_cell == pytest.approx(1.0)


def test_what_a_selftest_promises_is_what_the_rules_do_in_that_time() -> None:
    noise = VarianceComponents(session=0.02, session_cell=0.005, within=0.0)
    result = run_selftest(journal(16, between=0.02, within=0.005))
    assert result.sessions_within(2, 8) == 7
    usual = ComparisonOptions()
    short, long = smallest_change(noise, 3, 8, usual), smallest_change(noise, 1000, 8, usual)
    assert short is not None
    assert long is not None
    # However long the time, a profile stops by its intervals.
    assert 3 == short[1] < long[1] <= Protocol().max_sessions
    assert usual.min_effect < long[0] < short[0] < 1
    assert smallest_change(noise, 1, 8, usual) is None


def test_a_selftest_promises_no_change_smaller_than_the_one_that_counts() -> None:
    still = VarianceComponents(session=0.0001, session_cell=0.0001, within=0.0)
    for effect in (0.01, 0.03):
        found = smallest_change(still, 100, 8, ComparisonOptions(min_effect=effect))
        assert found is not None
        assert effect < found[0] < effect + 0.005


def test_a_selftest_of_three_sessions_is_refused() -> None:
    with pytest.raises(UserError, match="at least 4 sessions that measured something, not 3"):
        run_selftest(journal(3))


def test_selftest_cells_are_drawn_from_the_space() -> None:
    space = SPACES["ofa-mbv3"]
    plan = selftest_plan(space, (160, 224), 7, seed=3)
    assert len(set(plan.measured)) == 7
    assert all(space.parse(cell.subnet) for cell in plan.cells)
    assert plan == selftest_plan(space, (160, 224), 7, seed=3)
