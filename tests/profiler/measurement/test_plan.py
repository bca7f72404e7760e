"""Plans: which cells are measured, and that the held-out ones are a fair test."""

from __future__ import annotations

import pytest

from compofa.common.errors import UserError
from compofa.profiler.measurement.plan import make_plan
from compofa.profiler.results.table import Cell
from compofa.supernet.space import Space
from compofa.supernet.spaces import SPACES


def test_the_default_plan_measures_sixty_of_1215() -> None:
    space = SPACES["compofa"]
    plan = make_plan(space, space.resolutions, (1,))
    assert len(plan.cells) == len(set(plan.cells)) == 1215
    assert len(plan.fit) == 40
    assert len(plan.held_out) == 20
    assert len(set(plan.measured)) == 60


def test_the_same_seed_gives_the_same_plan(tiny_space: Space) -> None:
    assert make_plan(tiny_space, (32, 40), (1,)) == make_plan(tiny_space, (32, 40), (1,))
    other = make_plan(tiny_space, (32, 40), (1,), seed=1)
    assert other.held_out != make_plan(tiny_space, (32, 40), (1,)).held_out


def test_held_out_cells_do_not_depend_on_how_many_are_fitted(tiny_space: Space) -> None:
    few = make_plan(tiny_space, (32, 40), (1,), 10)
    many = make_plan(tiny_space, (32, 40), (1,), 100)
    assert few.held_out == many.held_out
    assert not set(many.fit) & set(many.held_out)


def test_held_out_cells_are_drawn_evenly(tiny_space: Space) -> None:
    drawn = [i for s in range(200) for i in make_plan(tiny_space, (32,), (1,), 1, s).held_out]
    counts = [drawn.count(i) for i in range(243)]
    # 4,000 draws over 243 cells: 16.5 each, with a standard deviation of 3.9.
    assert min(counts) > 0
    assert max(counts) < 16.5 + 5 * 3.9


@pytest.mark.parametrize("measure", ["full", 243, 230])
def test_a_plan_for_everything_holds_nothing_out(tiny_space: Space, measure: int) -> None:
    plan = make_plan(tiny_space, (32,), (1,), measure)
    assert len(plan.fit) == 243
    assert plan.held_out == ()


def test_each_batch_size_has_cells_of_its_own(tiny_space: Space) -> None:
    plan = make_plan(tiny_space, (32, 40), (1, 8), 15)
    for batch_size in (1, 8):
        fit = [plan.cells[i] for i in plan.fit if plan.cells[i].batch_size == batch_size]
        held_out = [plan.cells[i] for i in plan.held_out if plan.cells[i].batch_size == batch_size]
        assert (len(fit), len(held_out)) == (15, 20)


def test_a_space_too_large_to_list_is_sampled() -> None:
    space = SPACES["ofa-mbv3"]
    plan = make_plan(space, (160, 224), (1,), 10)
    assert 1900 < len(plan.cells) <= 2000
    assert all(space.parse(cell.subnet) for cell in plan.cells)
    assert {cell.resolution for cell in plan.cells} == {160, 224}
    assert Cell("ofa-mbv3", plan.cells[0].subnet, plan.cells[0].resolution, 1) == plan.cells[0]


def test_a_table_without_end_is_refused(tiny_space: Space) -> None:
    with pytest.raises(UserError, match="too many for a table"):
        make_plan(tiny_space, range(8, 40_960), (1,), "full")


def test_cells_of_another_table_are_measured_again_in_its_roles(tiny_space: Space) -> None:
    first = make_plan(tiny_space, (32, 40), (1,), 10)
    again = make_plan(tiny_space, (32, 40), (1,), first.measured)
    assert set(again.measured) == set(first.measured)
    assert set(again.held_out) == set(first.held_out)
    assert again.cells == first.cells


def test_cells_that_the_profile_does_not_have_are_named(tiny_space: Space) -> None:
    measured = make_plan(tiny_space, (32, 40), (1,), 10).measured
    with pytest.raises(UserError, match="at 40, batch size 1, is not a cell of this profile"):
        make_plan(tiny_space, (32,), (1,), measured)
