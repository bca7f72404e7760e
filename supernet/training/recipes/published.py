"""The recipes as published, at ImageNet's scale.

Teacher, compound and progressive: train_ofa_net.py of gatech-sysml/CompOFA; the learning rate of
the kernel phase is that of the paper (Cai et al., Once-for-All, ICLR 2020, section 4.1). DepS:
Annavajjala et al., ECCV 2024, with the settings of gatech-sysml/DepS.
"""

from __future__ import annotations

from compofa.supernet.training.recipes.recipe import Phase, Recipe

TEACHER = Recipe(
    "teacher",
    (Phase("largest", 180, 2.6, sampling="largest", targets="labels"),),
    "the largest network alone",
    needs_teacher=False,
)

# Neither phase leaves a subnet out: the reference clears all constraints before both.
COMPOUND = Recipe(
    "compound",
    (
        Phase("compound 1", 25, 0.08, subnets=4, sort_channels=True),
        Phase("compound 2", 120, 0.24, subnets=4, warmup_epochs=5),
    ),
    "CompOFA: all subnets of a compound space at once",
    compound=True,
)

PROGRESSIVE = Recipe(
    "progressive",
    (
        Phase("kernel", 120, 0.96, warmup_epochs=5, depths=1, expands=1),
        Phase("depth 1", 25, 0.08, subnets=2, depths=2, expands=1),
        Phase("depth 2", 120, 0.24, subnets=2, warmup_epochs=5, expands=1),
        Phase("width 1", 25, 0.08, subnets=4, expands=2, sort_channels=True),
        Phase("width 2", 120, 0.24, subnets=4, warmup_epochs=5),
    ),
    "Once-for-All: kernels, then depths, then widths",
    compound=False,
)

DEPS = Recipe(
    "deps",
    (
        Phase("largest", 135, 2.6, sampling="largest", targets="labels", curve=(0, 0.5)),
        Phase(
            "sandwich",
            135,
            2.6,
            subnets=4,
            sampling="sandwich",
            targets="largest",
            sort_channels=True,
            ramp_epochs=5,
            curve=(0.5, 1),
        ),
    ),
    "DepS: the largest network alone for half of the time, then all, taught by the largest",
    needs_teacher=False,
)

RECIPES = {recipe.name: recipe for recipe in (TEACHER, COMPOUND, PROGRESSIVE, DEPS)}
"""All recipes by name."""
