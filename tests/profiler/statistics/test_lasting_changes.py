"""Change points: how often there is a false one, and how often a true one is found."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from compofa.profiler.statistics.lasting_changes import LastingChange, find_lasting_changes

Logs = npt.NDArray[np.float64]


def found(series: list[Logs], min_effect: float = 0.0) -> list[list[LastingChange]]:
    return find_lasting_changes(series, 0.05, min_effect)


def simulated(rng: np.random.Generator, cells: int, profiles: int, sd: float = 0.01) -> list[Logs]:
    """Cells between half and twice as noisy as usual, whose profiles share a part of the noise."""
    shared = sd / 2 * rng.standard_normal(profiles)
    scales = sd * 2 ** rng.uniform(-1, 1, cells)
    return [shared + scale * rng.standard_normal(profiles) for scale in scales]


@pytest.mark.parametrize(("cells", "profiles"), [(1, 12), (30, 8), (30, 20), (30, 60), (300, 20)])
def test_a_history_in_which_nothing_changed_rarely_shows_a_change(
    cells: int, profiles: int
) -> None:
    rng = np.random.default_rng(cells + profiles)
    repetitions = 100 if cells < 100 else 20
    alarms = sum(any(found(simulated(rng, cells, profiles), 0.03)) for _ in range(repetitions))
    assert alarms <= repetitions * 0.05 + 3 * math.sqrt(repetitions * 0.05 * 0.95)


def test_a_step_of_5_percent_in_1_percent_noise_is_found_where_it_is() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(50):
        series = [0.01 * rng.standard_normal(20) for _ in range(30)]
        series[0][12:] += math.log(1.05)
        (steps, *_rest) = found(series, 0.03)
        hits += len(steps) == 1 and abs(steps[0].start - 12) <= 1
    assert hits >= 45


def test_the_size_of_a_step_is_told() -> None:
    logs = np.array([0.0, 0.001, -0.001] * 3 + [0.1, 0.101, 0.099] * 3)
    ((change,),) = found([logs])
    assert change.start == 9
    assert change.ratio == pytest.approx(math.exp(0.1), rel=1e-6)


def test_one_odd_profile_is_no_change() -> None:
    logs = np.array([0.0, 0.001, -0.001] * 5)
    logs[7] = 0.3
    assert found([logs]) == [[]]


def test_a_series_that_repeats_exactly_has_no_change() -> None:
    assert found([np.zeros(10)]) == [[]]


@pytest.mark.parametrize("profiles", [0, 1, 2, 3])
def test_too_few_profiles_say_nothing(profiles: int) -> None:
    assert found([np.arange(profiles, dtype=np.float64)]) == [[]]


def test_steps_that_are_too_small_do_not_count() -> None:
    logs = np.array([0.0, 0.0001] * 5 + [0.02, 0.0201] * 5)
    assert found([logs], min_effect=0.03) == [[]]
    assert len(found([logs], min_effect=0.01)[0]) == 1
