"""What the pictures are made of: time laid side by side, scatter with its outliers, sizes."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from compofa.common.errors import UserError
from compofa.profiler.report.scatter import FURTHEST, scatter
from compofa.profiler.report.timeline import timeline
from compofa.profiler.results.analysis import analyse
from compofa.profiler.results.journal import (
    JournalLine,
    Pause,
    SessionLine,
    Timing,
    journal_path,
    of_kind,
    read_journal,
)


@pytest.fixture
def lines(phone: Path) -> list[JournalLine]:
    return read_journal(journal_path(phone))[1]


def test_sessions_lie_side_by_side_whatever_time_passed_between_them(
    lines: list[JournalLine],
) -> None:
    late = [
        replace(line, started_at="2027-05-05T00:00:00Z")
        if isinstance(line, SessionLine) and line.session > 2
        else line
        for line in lines
    ]
    for journal in (lines, late):
        found = timeline(journal, 1.0)
        assert found is not None
        spans = [span for _, span in found.sessions]
        assert spans[0].start == 0
        assert all(a.end == b.start for a, b in itertools.pairwise(spans))
        # 32 cells and 33 references at 0.1 s each.
        assert spans[-1].end == pytest.approx(5 * 6.4 / 60)


def test_zero_is_the_usual_latency_and_throttling_stands_out(lines: list[JournalLine]) -> None:
    found = timeline(lines, 1.0)
    assert found is not None
    usual = [m for m in found.moments if m.session < 5]
    assert max(abs(m.percent) for m in usual) < 5
    last = found.moments[-1]
    assert last.percent == pytest.approx(30, abs=4)
    assert last.corrected_percent == pytest.approx(30, abs=4)


def test_pauses_lie_where_they_happened(lines: list[JournalLine]) -> None:
    found = timeline(lines, 1.0)
    assert found is not None
    starts = dict(found.sessions)
    assert len(found.stops) == 5
    for session, stop in enumerate(found.stops, start=1):
        assert stop.end == pytest.approx(starts[session].start + 2 / 60)
        assert stop.end - stop.start == pytest.approx(1 / 60)


def test_pauses_close_together_become_one(lines: list[JournalLine]) -> None:
    pauses = of_kind(lines, Pause)
    found = timeline([*lines, *[pauses[-1]] * 200], 1.0)
    assert found is not None
    assert len(found.stops) == 5
    assert sum(stop.count for stop in found.stops) == 205


def test_pauses_of_a_clock_that_jumped_stay_in_their_session(lines: list[JournalLine]) -> None:
    times = ("1970-01-01T00:00:00Z", "2999-01-01T00:00:00Z", "x")
    pauses = of_kind(lines, Pause)[:3]
    odd = [replace(pause, at=at) for pause, at in zip(pauses, times, strict=True)]
    found = timeline([*(line for line in lines if not isinstance(line, Pause)), *odd], 1.0)
    assert found is not None
    end = found.sessions[-1][1].end
    assert len(found.stops) == 2
    assert all(0 <= stop.start <= stop.end <= end for stop in found.stops)


def test_many_points_become_medians_of_neighbours(
    lines: list[JournalLine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("compofa.profiler.report.timeline.MOST_POINTS", 40)
    found = timeline(lines, 1.0)
    assert found is not None
    assert found.per_point == math.ceil(165 / 40)
    assert len(found.moments) == 5 * math.ceil(33 / found.per_point)


def test_a_clock_that_goes_back_is_refused(lines: list[JournalLine]) -> None:
    back = [replace(line, at_s=-line.at_s) if isinstance(line, Timing) else line for line in lines]
    with pytest.raises(UserError, match="time goes back"):
        timeline(back, 1.0)


def test_no_reference_no_timeline() -> None:
    assert timeline([], 1.0) is None


def test_scatter_shows_the_effect_of_sessions(lines: list[JournalLine]) -> None:
    found = scatter(analyse(lines))
    assert found is not None
    assert found.total == len(found.shown)
    middles = np.array([each.middle for each in found.sessions])
    assert np.std(middles) == pytest.approx(1, abs=0.7)
    assert all(each.low <= each.middle <= each.high for each in found.sessions)


def test_one_value_far_from_its_session_is_an_outlier(lines: list[JournalLine]) -> None:
    timings = [line for line in of_kind(lines, Timing) if line.session == 2 and line.cell]
    wrong = timings[3]
    changed = [
        replace(line, ns=tuple(3 * ns for ns in wrong.ns)) if line is wrong else line
        for line in lines
    ]
    before, after = scatter(analyse(lines)), scatter(analyse(changed))
    assert before is not None
    assert after is not None
    outliers = [each for each in after.shown if each.outlier and each.session == 2]
    assert wrong.cell in {each.cell for each in outliers}
    assert after.outliers > before.outliers


def test_of_many_values_the_furthest_off_are_drawn(
    lines: list[JournalLine], monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = scatter(analyse(lines))
    monkeypatch.setattr("compofa.profiler.report.scatter.MOST_POINTS", 100)
    monkeypatch.setattr("compofa.profiler.report.scatter.FURTHEST", 50)
    some = scatter(analyse(lines))
    assert FURTHEST == 200
    assert everything is not None
    assert some is not None
    assert len(some.shown) == 50
    assert some.total == everything.total
    assert some.sessions == everything.sessions
    middles = {each.session: each.middle for each in some.sessions}
    away = [abs(each.percent - middles[each.session]) for each in everything.shown]
    drawn = [abs(each.percent - middles[each.session]) for each in some.shown]
    assert drawn == sorted(away, reverse=True)[:50]
