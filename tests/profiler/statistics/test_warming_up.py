"""What long looks say of how long a device warms up, and whether visits were timed too early."""

from __future__ import annotations

import math

import pytest

from compofa.profiler.statistics.runs.modes import find_common_modes
from compofa.profiler.statistics.runs.warmup import (
    MARGIN,
    RunTrend,
    WarmUpNeeds,
    lasting,
    needs_of,
    warmup_length,
)

USUAL = 20


def look(*stretches: tuple[int, float]) -> list[float]:
    """Run times of a look: so many runs of each level, which is in ms."""
    return [ms * 1e6 for count, ms in stretches for _ in range(count)]


def test_one_slow_stretch_at_the_start_is_a_warm_up_and_elsewhere_a_disturbance() -> None:
    assert warmup_length(look((10, 2.0), (590, 1.0))) == 10
    assert warmup_length(look((300, 1.0), (10, 2.0), (290, 1.0))) == 0
    assert warmup_length(look((10, 1.0), (10, 2.0), (580, 1.0))) == 0


def test_a_warm_up_ends_with_its_last_slow_stretch() -> None:
    assert warmup_length(look((120, 2.0), (480, 1.0))) == 120
    # Up to the last third, which is what the others are compared with.
    assert warmup_length(look((40, 2.0), (20, 1.0))) == 40


@pytest.mark.parametrize(
    ("lengths", "needs"),
    [
        ([], WarmUpNeeds()),
        ([USUAL], WarmUpNeeds()),
        # One look only: nobody knows that a model needs less.
        ([100.0], WarmUpNeeds(model=MARGIN * 100)),
        # Looks at other models show less than usual, or far less: the rest was the process's.
        ([100.0, 0.0], WarmUpNeeds(process=MARGIN * 100)),
        ([30.0, 20.0], WarmUpNeeds(process=MARGIN * 30)),
        ([100.0, 50.0], WarmUpNeeds(process=MARGIN * 100, model=MARGIN * 50)),
        # All of them show about as much, and the shortest counts.
        ([100.0, 80.0], WarmUpNeeds(model=MARGIN * 80)),
        ([100.0, 150.0, 120.0], WarmUpNeeds(model=MARGIN * 100)),
        # Of many, their median: short ones do not change it.
        ([100.0, *[90.0] * 6, 0.0, 0.0], WarmUpNeeds(model=MARGIN * 90)),
        ([math.inf, 0.0], WarmUpNeeds(process=math.inf)),
    ],
)
def test_a_warm_up_is_the_process_s_or_each_model_s(
    lengths: list[float], needs: WarmUpNeeds
) -> None:
    assert needs_of(lengths, USUAL) == needs


def test_visits_are_too_early_where_they_get_faster_on_average() -> None:
    def visits(*gains: float) -> list[RunTrend]:
        return [RunTrend(gain, 0.001) for gain in gains]

    assert lasting(visits(0.020, 0.021, 0.019, 0.020))
    assert not lasting(visits(0.0, 0.001, -0.001, 0.0))
    # On average they gain 1 %, but as much as chance makes of such visits.
    assert not lasting(visits(0.06, -0.03, 0.03, -0.02))
    assert not lasting([*visits(0.02), RunTrend(0.02, math.inf)])


def test_two_speeds_that_no_cell_shows_by_itself_show_in_all_together() -> None:
    cells = [[ms * level for level in [1.0] * 12 + [1.1] * 8] for ms in (1.0, 3.0, 9.0, 27.0, 81.0)]
    modes = find_common_modes(cells)
    assert modes is not None
    assert (modes.fast, modes.slow) == pytest.approx((1.0, 1.1))
    # The fastest tenth of each group, which all others are relative to, is not counted.
    assert modes.slow_share == pytest.approx(8 / 18)


def test_few_runs_show_no_two_speeds() -> None:
    assert find_common_modes([]) is None
    assert find_common_modes([[1.0, 2.0], [1.0]]) is None
