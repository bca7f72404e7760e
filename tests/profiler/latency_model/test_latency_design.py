"""Choosing which cells to measure next."""

from __future__ import annotations

import pytest

from compofa.common.errors import UserError
from compofa.profiler.latency_model import Workload, choose_cells
from compofa.supernet.spaces import SPACES

SPACE = SPACES["compofa"]
CELLS: list[Workload] = [(subnet, r, 1) for subnet in SPACE.enumerate() for r in SPACE.resolutions]


def test_choice_is_the_same_for_the_same_seed() -> None:
    assert choose_cells(SPACE, CELLS, 12, seed=3) == choose_cells(SPACE, CELLS, 12, seed=3)


def test_choice_covers_all_resolutions() -> None:
    assert {CELLS[i][1] for i in choose_cells(SPACE, CELLS, 20)} == set(SPACE.resolutions)


def test_choice_covers_every_depth_of_every_unit() -> None:
    chosen = [CELLS[i][0] for i in choose_cells(SPACE, CELLS, 20)]
    for unit in range(5):
        assert {subnet.depths[unit] for subnet in chosen} == {2, 3, 4}


def test_measured_cells_and_repeats_are_not_chosen() -> None:
    candidates = CELLS[:30] + CELLS[:10]
    chosen = choose_cells(SPACE, candidates, 40, measured=CELLS[:5])
    assert sorted(chosen) == list(range(5, 30))


def test_a_longer_choice_starts_with_the_shorter_one() -> None:
    assert choose_cells(SPACE, CELLS, 10) == choose_cells(SPACE, CELLS, 15)[:10]


def test_what_is_measured_already_changes_the_choice() -> None:
    first = choose_cells(SPACE, CELLS, 10)
    then = choose_cells(SPACE, CELLS, 5, measured=[CELLS[i] for i in first])
    assert then == choose_cells(SPACE, CELLS, 5, measured=[CELLS[i] for i in reversed(first)])
    assert not set(then) & set(first)


@pytest.mark.parametrize(("candidates", "n"), [([], 3), (CELLS[:4], 0)])
def test_nothing_to_choose_gives_nothing(candidates: list[Workload], n: int) -> None:
    assert choose_cells(SPACE, candidates, n) == []


def test_a_negative_number_is_refused() -> None:
    with pytest.raises(UserError, match="cannot choose -1"):
        choose_cells(SPACE, CELLS, -1)
