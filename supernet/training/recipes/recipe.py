"""Recipes, which are sequences of training phases, and the four published ones.

Each phase of a recipe has its part of the space, its schedule and its losses. Learning rates are
those for 2048 images per step, and are scaled linearly with the batch size.
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
"""The number of images per step for which the published learning rates are."""

ALL = 99
"""A number of choices larger than that of any unit, which therefore stands for all choices."""

Sampling = Literal["largest", "random", "sandwich"]
Targets = Literal["labels", "teacher", "largest"]

T = TypeVar("T", int, float)


@dataclass(frozen=True)
class Phase:
    """A part of a training with one schedule.

    Attributes:
        name: the name of the phase.
        epochs: the number of epochs after the warm-up; it need not be whole.
        warmup_epochs: the number of epochs before these, in which the learning rate rises linearly
            from zero.
        learning_rate: the highest learning rate, for 2048 images per step.
        subnets: the number of subnets that are trained in each step.
        sampling: how subnets are chosen. `largest` trains the largest subnet only; `random` draws
            each choice uniformly; `sandwich` takes the largest, the smallest, and random ones.
        targets: what subnets learn from: the `labels`; the labels and the `teacher`; or the
            `largest` subnet of the same step, which itself learns from the labels.
        depths, expands, kernels: how many of the choices of a unit are used, from the largest down.
        sort_channels: whether channels are sorted by importance before the phase.
        ramp_epochs: the number of epochs in which the weight of the gradients of all subnets but
            the largest rises from 0 to 1.
        curve: the part of half a cosine, from 0 to 1, that the learning rate follows.
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
        """The number of epochs including the warm-up."""
        return self.warmup_epochs + self.epochs

    def narrowed(self, units: Iterable[Unit]) -> tuple[Unit, ...]:
        """The units of a space with the choices that this phase uses."""
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
    """A sequence of phases, and the settings that all of them share.

    Attributes:
        name: the name of the recipe, which is that of its command.
        phases: the phases.
        about: a description for the help.
        needs_teacher: whether a trained network is needed, to start from and to learn from.
        compound: whether it is for compound spaces (True), for others (False), or for all (None).
        momentum: Nesterov momentum.
        weight_decay: the weight decay, which does not apply to vectors such as biases.
        label_smoothing: the share of each label that is distributed over all classes.
        dropout: the probability of dropout before the classifier.
        distillation: the weight of the teacher's loss relative to that of the labels; see
            `losses.taught_loss`.
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
        """The number of epochs of all phases, including warm-ups."""
        return sum(phase.all_epochs for phase in self.phases)

    def scaled(self, epochs: float = 1, learning_rate: float = 1) -> Recipe:
        """The recipe with all epochs and all learning rates multiplied by these factors."""
        phases = tuple(_scaled(phase, epochs, learning_rate) for phase in self.phases)
        return replace(self, phases=phases)

    def check_space(self, space: Space) -> None:
        """Raises UserError if the recipe is not for this kind of space."""
        if self.compound is None or self.compound == space.compound:
            return
        kind = "couples depth and expand ratio" if space.compound else "has free expand ratios"
        other = "progressive" if self.compound else "compound"
        hint = f"`compofa-train {other}` is for such spaces"
        raise UserError(f"{self.name} is not for space {space.name}, which {kind}", hint=hint)

    def as_json(self) -> dict[str, Any]:
        """The recipe as plain values, in which `ALL` becomes None."""
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


# These recipes are for ImageNet. Teacher, compound and progressive are those of train_ofa_net.py in
# gatech-sysml/CompOFA; the learning rate of the kernel phase is from the paper (Cai et al.,
# Once-for-All, ICLR 2020, section 4.1). DepS follows Annavajjala et al., ECCV 2024. All of them
# differ from the published code in some points, which docs/training.md lists.

TEACHER = Recipe(
    "teacher",
    (Phase("largest", 180, 2.6, sampling="largest", targets="labels"),),
    "only the largest network",
    needs_teacher=False,
)

# Both phases use all subnets, because the reference removes all constraints before both.
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
    "DepS: first only the largest network, then all, taught by the largest",
    needs_teacher=False,
)

RECIPES = {recipe.name: recipe for recipe in (TEACHER, COMPOUND, PROGRESSIVE, DEPS)}
"""All recipes by name."""
