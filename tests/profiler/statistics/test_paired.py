"""Pairs within sessions: intervals that hold, also where one stops at a width, and verdicts."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from compofa.common.errors import UserError
from compofa.profiler.statistics.compare import Ratio, Verdict, compare_paired

NOISE, SESSION = 0.02, 0.1


def measured(
    rng: np.random.Generator, sessions: int, ratios: list[float]
) -> tuple[dict[int, dict[int, float]], dict[int, dict[int, float]]]:
    """Both sides of cells in sessions that differ by 10 %."""
    effects = SESSION * rng.standard_normal(sessions)
    sides: tuple[dict[int, dict[int, float]], ...] = ({}, {})
    for cell, ratio in enumerate(ratios):
        for side, factor in zip(sides, (1.0, ratio), strict=True):
            logs = effects + NOISE * rng.standard_normal(sessions)
            side[cell] = {s: 10 * factor * math.exp(each) for s, each in enumerate(logs.tolist())}
    return sides[0], sides[1]


def share(trial: Callable[[np.random.Generator], bool], trials: int = 1000) -> float:
    return sum(trial(np.random.default_rng((1, i))) for i in range(trials)) / trials


@pytest.mark.parametrize("sessions", [2, 5, 20])
def test_intervals_hold_what_they_promise(sessions: int) -> None:
    def covered(rng: np.random.Generator) -> bool:
        ratio = compare_paired(*measured(rng, sessions, [1.05]), peeking=False)[0]
        return ratio.low <= 1.05 <= ratio.high

    assert share(covered) == pytest.approx(0.95, abs=0.02)


def test_intervals_hold_where_one_stops_at_a_width() -> None:
    def covered(rng: np.random.Generator) -> bool:
        base, new = measured(rng, 60, [1.05])
        for sessions in range(8, 61):
            first = {0: {s: base[0][s] for s in range(sessions)}}
            ratio = compare_paired(first, new)[0]
            if math.log(ratio.high / ratio.low) / 2 <= 0.01:
                break
        return ratio.low <= 1.05 <= ratio.high

    assert 0.94 <= share(covered, 500) <= 0.99


def test_false_alarms_over_many_cells_are_as_rare_as_promised() -> None:
    def alarm(rng: np.random.Generator) -> bool:
        found = compare_paired(*measured(rng, 6, [1.0] * 12), min_effect=1e-9, peeking=False)
        return any(ratio.verdict in (Verdict.SLOWER, Verdict.FASTER) for ratio in found.values())

    assert share(alarm) <= 0.065


def test_a_slow_cell_is_found_among_sessions_that_differ_by_more() -> None:
    rng = np.random.default_rng(3)
    found = compare_paired(*measured(rng, 20, [1.0, 1.06]), min_effect=0.02)
    assert [found[cell].verdict for cell in (0, 1)] == [Verdict.SAME, Verdict.SLOWER]


def test_only_sessions_that_measured_both_sides_count() -> None:
    base = {0: {1: 10.0, 2: 10.1, 9: 99.0}, 1: {1: 1.0}}
    new = {0: {1: 11.0, 2: 11.0, 8: 1.0}, 1: {1: 1.0}}
    found = compare_paired(base, new)
    assert set(found) == {0}
    assert found[0].value == pytest.approx(math.sqrt(11 / 10 * 11 / 10.1))


def test_no_common_sessions_no_ratios() -> None:
    assert compare_paired({0: {1: 1.0}}, {0: {2: 1.0}}) == {}


def test_equal_latencies_are_the_same() -> None:
    (found,) = compare_paired({0: {1: 2.0, 2: 2.0}}, {0: {1: 2.0, 2: 2.0}}).values()
    assert isinstance(found, Ratio)
    assert (found.value, found.verdict) == (1.0, Verdict.SAME)


def test_a_confidence_is_a_fraction() -> None:
    with pytest.raises(UserError, match="confidence"):
        compare_paired({}, {}, confidence=95)
