"""How far long work is, as people read it."""

from __future__ import annotations

import sys
import time

import pytest

from compofa.common import progress_meter as meter
from compofa.common.progress_meter import Meter, duration


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be set."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_rate_and_time_left_follow_from_what_is_done(clock: list[float]) -> None:
    work = Meter("evaluating", "images", 1000)
    clock[0] += 10
    work.advance(250)
    assert str(work) == "evaluating: 25%, 25 images/s, 30 s left"


def test_without_a_terminal_a_line_is_told_now_and_then(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    work = Meter("evaluating", "images", 1000)
    for _ in range(20):
        clock[0] += meter.LINE_SECONDS / 10
        work.advance(10)
    work.end()
    assert capsys.readouterr().err.count("\n") == 1


def test_on_a_terminal_there_is_one_line_that_goes_away(
    clock: list[float], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    work = Meter("evaluating", "images", 1000)
    clock[0] += 5
    work.advance(500)
    work.end()
    told = capsys.readouterr().err
    assert "50%" in told
    assert told.endswith("\r\x1b[K")
    assert "\n" not in told


def test_a_silent_one_says_nothing(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    work = Meter("evaluating", "images", 10, silent=True)
    clock[0] += 100
    work.advance(5)
    work.end()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (89, "89 s"), (600, "10 min"), (7200, "2.0 h")]
)
def test_durations_are_told_in_the_unit_that_suits_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text
