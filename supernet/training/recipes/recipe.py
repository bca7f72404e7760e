"""Recipes: what a training consists of, and the four that were published.

A recipe has phases, each with its part of the space, its schedule and its losses. Learning rates
are those for 2048 images a step and scale linearly with the number there are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from compofa.common.errors import UserError
from compofa.supernet.space import Space
from compofa.supernet.subnet import Unit

REFERENCE_BATCH = 2048
"""Images a step that published learning rates are for."""

ALL = 99
"""More choices than any space has."""

Sampling = Literal["largest", "random", "sandwich"]
Targets = Literal["labels", "teacher", "largest"]

T = TypeVar("T", int, float)


@dataclass(frozen=True)
class Phase:
    """A stretch of training with one schedule.

    Attributes:
        epochs: passes over the training images after the warm-up; need not be whole.
        warmup_epochs: before them, the learning rate rises linearly from zero.
        learning_rate: at 2048 images a step.
        subnets: trained at each step.
        sampling: `largest` trains the largest subnet alone; `random` draws each choice uniformly;
            `sandwich` takes the largest, the smallest, and the rest at random.
        targets: what subnets learn: the `labels`; those and what the `teacher` says; or what the
            `largest` of the same step says, while that one learns the labels.
        depths, expands, kernels: how many of the largest choices of each a unit has.
        sort_channels: whether channels are sorted by importance before it begins.
        ramp_epochs: over which the share of all but the largest subnet rises from 0 to 1.
        curve: the part of a cosine from 1 to 0 that the learning rate follows.
    """

    name: str
    epochs: float
    learning_rate: float
    subnets: int = 1
    sampling: Sampling = "random"
    targets: Targets = "teacher"
    warmup_epochs: float = 0
    depths: int = ALL
    expands: int = ALL
    kernels: int = ALL
    sort_channels: bool = False
    ramp_epochs: float = 0
    curve: tuple[float, float] = (0.0, 1.0)

    @property
    def all_epochs(self) -> float:
        """The warm-up included."""
        return self.warmup_epochs + self.epochs

    def narrowed(self, units: Iterable[Unit]) -> tuple[Unit, ...]:
        """The choices that this phase leaves to the units of a space."""
        return tuple(self._narrowed(unit) for unit in units)

    def _narrowed(self, unit: Unit) -> Unit:
        return replace(
            unit,
            depths=_largest(unit.depths, self.depths),
            expands=_largest(unit.expands, self.expands),
            kernels=_largest(unit.kernels, self.kernels),
            widths=_largest(unit.widths, self.expands),
        )


@dataclass(frozen=True)
class Recipe:
    """A named training and the settings that all of its phases share.

    Attributes:
        needs_teacher: whether it starts from, and learns from, a trained network.
        compound: what kind of space it is for; None if for any.
        dropout: before the classifier, while training.
        distillation: weight of the teacher's say; the labels' is 1, the sum is scaled back to 2
            parts as published.
    """

    name: str
    phases: tuple[Phase, ...]
    about: str
    needs_teacher: bool = True
    compound: bool | None = None
    momentum: float = 0.9
    weight_decay: float = 3e-5
    label_smoothing: float = 0.1
    dropout: float = 0.1
    distillation: float = 1.0

    @property
    def epochs(self) -> float:
        """Of all phases, warm-ups included."""
        return sum(phase.all_epochs for phase in self.phases)

    def scaled(self, epochs: float = 1, learning_rate: float = 1) -> Recipe:
        """The same with all epochs, and all learning rates, multiplied by these."""
        phases = tuple(_scaled(phase, epochs, learning_rate) for phase in self.phases)
        return replace(self, phases=phases)

    def check_space(self, space: Space) -> None:
        """Raises UserError if the recipe is not for spaces such as `space`."""
        if self.compound is None or self.compound == space.compound:
            return
        kind = "couples depth and expand ratio" if space.compound else "has free expand ratios"
        other = "progressive" if self.compound else "compound"
        hint = f"`compofa-train {other}` is for such spaces"
        raise UserError(f"{self.name} is not for space {space.name}, which {kind}", hint=hint)

    def as_json(self) -> dict[str, Any]:
        """As plain values; `ALL` choices become null."""
        plain = dataclasses.asdict(self)
        for phase in plain["phases"]:
            phase["curve"] = list(phase["curve"])
            for choice in ("depths", "expands", "kernels"):
                phase[choice] = None if phase[choice] == ALL else phase[choice]
        plain["phases"] = list(plain["phases"])
        return plain


def _largest(choices: Iterable[T], count: int) -> tuple[T, ...]:
    return tuple(sorted(choices)[-count:])


def _scaled(phase: Phase, epochs: float, learning_rate: float) -> Phase:
    return replace(
        phase,
        epochs=phase.epochs * epochs,
        warmup_epochs=phase.warmup_epochs * epochs,
        ramp_epochs=phase.ramp_epochs * epochs,
        learning_rate=phase.learning_rate * learning_rate,
    )


# At ImageNet's scale. Teacher, compound and progressive are those of train_ofa_net.py in
# gatech-sysml/CompOFA; the learning rate of the kernel phase is that of the paper (Cai et al.,
# Once-for-All, ICLR 2020, section 4.1). DepS follows Annavajjala et al., ECCV 2024. All of them
# differ from the published code in some points: docs/training.md lists each.

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
