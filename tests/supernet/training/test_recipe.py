"""Recipes: the published numbers, the part of the space that each phase trains, and scaling."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from compofa.common.errors import UserError
from compofa.supernet.spaces import SPACES
from compofa.supernet.training.recipes.recipe import (
    COMPOUND,
    DEPS,
    PROGRESSIVE,
    RECIPES,
    TEACHER,
    Phase,
)
from compofa.supernet.training.recipes.sampling import Sampler


def test_the_recipes_are_those_of_the_papers() -> None:
    found = {
        recipe.name: [
            (phase.epochs, phase.warmup_epochs, phase.learning_rate, phase.subnets)
            for phase in recipe.phases
        ]
        for recipe in RECIPES.values()
    }
    assert found == {
        "teacher": [(180, 0, 2.6, 1)],
        "compound": [(25, 0, 0.08, 4), (120, 5, 0.24, 4)],
        "progressive": [
            (120, 5, 0.96, 1),
            (25, 0, 0.08, 2),
            (120, 5, 0.24, 2),
            (25, 0, 0.08, 4),
            (120, 5, 0.24, 4),
        ],
        "deps": [(135, 0, 2.6, 1), (135, 0, 2.6, 4)],
    }
    shared = {
        (r.momentum, r.weight_decay, r.label_smoothing, r.dropout, r.distillation)
        for r in RECIPES.values()
    }
    assert shared == {(0.9, 3e-5, 0.1, 0.1, 1.0)}


def test_with_the_teacher_the_published_epochs_come_out() -> None:
    assert TEACHER.epochs + COMPOUND.epochs == 330
    assert TEACHER.epochs + PROGRESSIVE.epochs == 605
    assert DEPS.epochs == 270


def test_channels_are_sorted_once_before_width_becomes_elastic() -> None:
    for recipe in (COMPOUND, PROGRESSIVE, DEPS):
        sorting = [phase.sort_channels for phase in recipe.phases]
        assert sum(sorting) == 1
        elastic = [p.expands > 1 and p.sampling != "largest" for p in recipe.phases]
        assert sorting.index(True) == elastic.index(True)


def choices(phase: Phase, name: str) -> list[set[float]]:
    """The depths, expand ratios and kernels that occur in a phase's subnets."""
    phase = replace(phase, sampling="random", subnets=1)
    sampler = Sampler(phase, SPACES[name], (0,))
    subnets = [subnet for step in range(100) for subnet in sampler.subnets(step)]
    assert all(subnet in SPACES[name] for subnet in subnets)
    return [
        {value for subnet in subnets for value in getattr(subnet, field) if value}
        for field in ("depths", "expands", "kernels")
    ]


def test_progressive_phases_open_kernels_then_depths_then_widths() -> None:
    found = [choices(phase, "ofa-mbv3") for phase in PROGRESSIVE.phases]
    assert found == [
        [{4}, {6}, {3, 5, 7}],
        [{3, 4}, {6}, {3, 5, 7}],
        [{2, 3, 4}, {6}, {3, 5, 7}],
        [{2, 3, 4}, {4, 6}, {3, 5, 7}],
        [{2, 3, 4}, {3, 4, 6}, {3, 5, 7}],
    ]


def test_widths_of_a_resnet_open_with_its_expand_ratios() -> None:
    units = SPACES["ofa-resnet50"].units
    widths = [{unit.widths for unit in phase.narrowed(units)} for phase in PROGRESSIVE.phases]
    assert widths == [{(1.0,)}] * 3 + [{(0.8, 1.0)}, {(0.65, 0.8, 1.0)}]


@pytest.mark.parametrize("name", ["compofa", "compofa-elastic", "compofa-resnet50"])
def test_compound_phases_train_all_subnets(name: str) -> None:
    for phase in COMPOUND.phases:
        assert phase.narrowed(SPACES[name].units) == SPACES[name].units


def test_scaling_shortens_everything_and_keeps_the_shape() -> None:
    scaled = PROGRESSIVE.scaled(0.1, 0.5)
    assert scaled.epochs == pytest.approx(42.5)
    assert scaled.phases[0].warmup_epochs == pytest.approx(0.5)
    assert scaled.phases[0].learning_rate == pytest.approx(0.48)
    assert DEPS.scaled(0.1).phases[1].ramp_epochs == pytest.approx(0.5)


def test_a_recipe_for_other_spaces_names_the_right_one() -> None:
    with pytest.raises(UserError, match="couples depth.*`compofa-train compound`"):
        PROGRESSIVE.check_space(SPACES["compofa"])
    with pytest.raises(UserError, match="free expand ratios.*`compofa-train progressive`"):
        COMPOUND.check_space(SPACES["ofa-mbv3"])
    for space in SPACES.values():
        TEACHER.check_space(space)
        DEPS.check_space(space)


def test_recipes_are_plain_values() -> None:
    for recipe in RECIPES.values():
        plain = recipe.as_json()
        assert json.loads(json.dumps(plain)) == plain
    assert COMPOUND.as_json()["phases"][0]["depths"] is None
    assert PROGRESSIVE.as_json()["phases"][0]["depths"] == 1
