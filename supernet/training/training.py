"""All settings of a training, and the description by which it is recognised."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from compofa.common.errors import UserError
from compofa.supernet.data.batches.loading import Loading
from compofa.supernet.data.batches.order import Batching
from compofa.supernet.data.split import Split
from compofa.supernet.space import SEARCHED_RESOLUTIONS, Space
from compofa.supernet.training.phase_run import PhaseRun
from compofa.supernet.training.recipes.recipe import Recipe
from compofa.supernet.training.start import Teacher
from compofa.supernet.training.steps.step import StepOptions

PUBLISHED_RESOLUTIONS = tuple(range(128, 225, 4))
"""The resolutions at which the released supernets were trained; tables have five of them (OFA,
appendix)."""


@dataclass(frozen=True)
class Training:
    """Everything on which the trained weights depend.

    Attributes:
        recipe: the recipe.
        space: the space of the supernet.
        split: the training and held-out images.
        loading: how batches are made.
        batch_size: the number of images per step, over all ranks.
        seed: the random seed.
        teacher: the network to start from and to learn from, if the recipe needs one.
        options: how steps are computed.
    """

    recipe: Recipe
    space: Space
    split: Split
    loading: Loading
    batch_size: int
    seed: int = 0
    teacher: Teacher | None = None
    options: StepOptions = field(default_factory=StepOptions)

    @property
    def resolutions(self) -> Sequence[int]:
        """The resolutions at which to train, in pixels."""
        usual = self.space.resolutions == SEARCHED_RESOLUTIONS
        return PUBLISHED_RESOLUTIONS if usual else self.space.resolutions

    def phase_run(self, number: int) -> PhaseRun:
        """The phase with that number, counted from 0, in steps."""
        return PhaseRun(
            number + 1,
            self.recipe.phases[number],
            self.space,
            Batching(self.split.train, self.batch_size, tuple(self.resolutions)),
            self.seed,
        )

    def check_ranks(self, count: int) -> None:
        """Raises UserError if the batches cannot be divided among `count` ranks."""
        images = min(self.batch_size, len(self.split.train))
        if images % count:
            message = f"a batch of {images} images cannot be divided evenly among {count} ranks"
            raise UserError(message)
        if images // count < 2:
            raise UserError(
                f"a batch of {images} images has only {images // count} for each of {count} ranks",
                hint="batch norm needs at least 2",
            )

    def describe(self) -> dict[str, Any]:
        """The description of the training in plain values.

        A training is only continued from a state with the same description.
        """
        about = {
            "recipe": self.recipe.as_json(),
            "space": dataclasses.asdict(self.space),
            "data": dict(self.split.record),
            "batch_size": self.batch_size,
            "seed": self.seed,
            "teacher_sha256": None if self.teacher is None else self.teacher.sha256,
            "augmentation": dataclasses.asdict(self.loading.augmentation),
            "half": self.options.half,
            "clip": self.options.clip,
        }
        plain: dict[str, Any] = json.loads(json.dumps(about))
        return plain
