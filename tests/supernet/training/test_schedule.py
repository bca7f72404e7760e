"""Learning rates and shares, step by step."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compofa.supernet.training.recipes.recipe import Phase
from compofa.supernet.training.recipes.schedule import Schedule


def phase(**changes: Any) -> Phase:
    return replace(Phase("p", epochs=10, learning_rate=2.0), **changes)


def test_half_a_cosine_from_the_peak_to_nearly_zero() -> None:
    schedule = Schedule(phase(), 10, 2048)
    rates = [schedule.learning_rate(step) for step in range(schedule.steps)]
    assert len(rates) == 100
    assert rates[0] == 2.0
    assert rates[50] == pytest.approx(1.0)
    assert 0 < rates[-1] < 0.001
    assert rates == sorted(rates, reverse=True)


def test_the_rate_goes_with_the_batch() -> None:
    assert Schedule(phase(), 10, 128).learning_rate(0) == pytest.approx(2 * 128 / 2048)


def test_the_warm_up_comes_on_top_and_is_linear() -> None:
    schedule = Schedule(phase(warmup_epochs=1), 9, 2048)
    assert schedule.steps == 99
    rates = [schedule.learning_rate(step) for step in range(10)]
    assert rates == pytest.approx([0.2 * n for n in range(1, 11)])


def test_two_phases_can_share_one_cosine() -> None:
    whole = Schedule(phase(epochs=20), 10, 2048)
    first = Schedule(phase(curve=(0, 0.5)), 10, 2048)
    second = Schedule(phase(curve=(0.5, 1)), 10, 2048)
    joined = [s.learning_rate(step) for s in (first, second) for step in range(100)]
    assert joined == pytest.approx([whole.learning_rate(step) for step in range(200)])


def test_the_share_of_smaller_subnets_rises_to_one() -> None:
    schedule = Schedule(phase(ramp_epochs=1), 9, 2048)
    shares = [schedule.share(step) for step in range(11)]
    assert shares == pytest.approx([0.1 * n for n in range(1, 11)] + [1.0])
    assert Schedule(phase(), 9, 2048).share(0) == 1.0


@given(st.floats(1e-6, 3), st.floats(0, 1), st.integers(1, 500))
def test_any_scale_has_a_step_and_positive_rates(
    epochs: float, warmup: float, steps_per_epoch: int
) -> None:
    schedule = Schedule(phase(epochs=epochs, warmup_epochs=warmup), steps_per_epoch, 64)
    assert schedule.steps >= 1
    assert all(schedule.learning_rate(step) > 0 for step in range(schedule.steps))
