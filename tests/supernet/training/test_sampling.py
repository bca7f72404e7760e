"""The subnets of a step follow from the seed and the step alone."""

from __future__ import annotations

from compofa.supernet.spaces import SPACES
from compofa.supernet.training.recipes.recipe import COMPOUND, DEPS, TEACHER, Phase
from compofa.supernet.training.recipes.sampling import Sampler

SPACE = SPACES["compofa"]


def test_a_step_draws_the_same_subnets_whenever_it_is_asked() -> None:
    first, again = (Sampler(COMPOUND.phases[1], SPACE, (0, 2)) for _ in range(2))
    drawn = [first.subnets(step) for step in range(20)]
    assert again.subnets(13) == drawn[13]
    assert all(len(subnets) == 4 for subnets in drawn)
    assert len({subnet for subnets in drawn for subnet in subnets}) > 40


def test_other_seeds_and_phases_draw_others() -> None:
    drawn = {
        tuple(Sampler(COMPOUND.phases[1], SPACE, seed).subnets(0))
        for seed in [(0, 2), (1, 2), (0, 1)]
    }
    assert len(drawn) == 3


def test_every_depth_of_every_unit_is_drawn_alike() -> None:
    sampler = Sampler(COMPOUND.phases[1], SPACE, (0,))
    depths = [subnet.depths for step in range(600) for subnet in sampler.subnets(step)]
    for unit in range(5):
        for depth in (2, 3, 4):
            share = sum(each[unit] == depth for each in depths) / len(depths)
            assert 0.29 < share < 0.38


def test_a_sandwich_has_the_ends_first() -> None:
    sampler = Sampler(DEPS.phases[1], SPACE, (0,))
    largest, smallest, *others = sampler.subnets(3)
    assert (SPACE.key(largest), SPACE.key(smallest)) == ("d44444", "d22222")
    assert len(others) == 2
    assert sampler.validated == [largest, smallest]


def test_a_teacher_trains_the_largest_alone() -> None:
    sampler = Sampler(TEACHER.phases[0], SPACES["ofa-mbv3"], (0,))
    assert sampler.subnets(5) == sampler.validated == [SPACES["ofa-mbv3"].extreme(largest=True)]


def test_the_smallest_of_a_phase_is_of_its_part_of_the_space() -> None:
    phase = Phase("depth 1", 1, 1, depths=2, expands=1)
    sampler = Sampler(phase, SPACES["ofa-mbv3"], (0,))
    assert set(sampler.smallest.depths) == {3}
    assert set(sampler.smallest.expands) == {0, 6}
