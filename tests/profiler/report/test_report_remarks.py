"""Plain words: they follow from the figures, and the figures keep what they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from compofa.profiler.latency_model import Additivity, HeldOutError
from compofa.profiler.report import remarks
from compofa.profiler.statistics.variance_components import VarianceComponents


def held_out(mean: float = 2.1, bias: float = 0.0, coverage: float = 0.9) -> HeldOutError:
    return HeldOutError(20, mean, bias, 0.99, coverage, 0.9)


@pytest.mark.parametrize(("mean", "grade"), [(2.9, "good"), (5.0, "fair"), (6.1, "poor")])
def test_predictions_are_graded_by_their_error(mean: float, grade: str) -> None:
    assert remarks.on_predictions(held_out(mean)).grade == grade


def test_predictions_say_which_subnets_they_can_rank() -> None:
    said = remarks.on_predictions(held_out(2.1, bias=-0.5)).text
    assert "off by 2.1 % on average (0.5 % too fast on balance)" in said
    assert "rank subnets that differ by more than 4.8 %" in said


def test_separable_differences_come_out_in_the_right_order_9_times_in_10() -> None:
    rng = np.random.default_rng(1)
    errors = 0.02 * rng.standard_normal((2, 200_000))
    difference = remarks.separable(100 * float(np.abs(errors).mean())) / 100
    right = np.mean(difference + errors[0] > errors[1])
    assert right == pytest.approx(0.9, abs=0.005)


@pytest.mark.parametrize(
    ("coverage", "said"),
    [(1.0, "as promised"), (0.8, "as promised"), (0.7, "too few"), (0.0, "too few")],
)
def test_coverage_is_doubted_only_beyond_chance(coverage: float, said: str) -> None:
    assert said in remarks.on_coverage(held_out(coverage=coverage))


@pytest.mark.parametrize(("drift", "grade"), [(0.0, "good"), (0.05, "fair"), (0.5, "poor")])
def test_drift_is_graded_by_the_correction(drift: float, grade: str) -> None:
    assert remarks.on_drift(drift).grade == grade


def test_noise_says_what_can_be_seen_through_it() -> None:
    quiet = remarks.on_noise(VarianceComponents(0.005, 0.005, math.nan), 5, 60)
    assert quiet.grade == "good"
    assert "slow-down of" in quiet.text
    once = remarks.on_noise(VarianceComponents(0.0, 0.0, math.nan), 1, 60)
    assert "slow-down of" not in once.text


@pytest.mark.parametrize(
    ("scatter", "noise", "said"),
    [(0.5, 0.0, "would do"), (5.0, 1.0, "would mislead"), (5.0, 4.0, "too noisy to tell")],
)
def test_additivity_says_if_block_tables_will_do(scatter: float, noise: float, said: str) -> None:
    found = Additivity(60, 22, True, -0.4, 1.2, -0.3, scatter)
    text = remarks.on_additivity(found, noise)
    assert said in text
    assert "0.4 % too fast on average (+1.2 % for the fastest quarter" in text


@pytest.mark.parametrize(
    ("value", "shown"), [(0, "0.0 %"), (0.012, "0.01 %"), (2.13, "2.1 %"), (13.7, "14 %")]
)
def test_percentages_have_the_digits_that_matter(value: float, shown: str) -> None:
    assert remarks.percent(value) == shown
