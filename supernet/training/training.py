"""A training as a whole: what is trained, how, on what, and by which description it is known."""

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
"""What the released supernets were trained at, where tables cover five of them (OFA, appendix)."""


@dataclass(frozen=True)
class Training:
    """Everything that decides what the weights will be.

    Attributes:
        batch_size: images a step, over all ranks.
        teacher: the network to start from and to learn from, where the recipe needs one.
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
        """Sizes of images to train at."""
        usual = self.space.resolutions == SEARCHED_RESOLUTIONS
        return PUBLISHED_RESOLUTIONS if usual else self.space.resolutions

    def phase_run(self, number: int) -> PhaseRun:
        """The phase of that number, counted from 0, in steps."""
        return PhaseRun(
            number + 1,
            self.recipe.phases[number],
            self.space,
            Batching(self.split.train, self.batch_size, tuple(self.resolutions)),
            self.seed,
        )

    def check_ranks(self, count: int) -> None:
        """Raises UserError unless steps can be shared out among so many ranks."""
        images = min(self.batch_size, len(self.split.train))
        if images % count:
            raise UserError(f"a batch of {images} images cannot be shared evenly by {count} ranks")
        if images // count < 2:
            raise UserError(
                f"{images} images a step leave {images // count} for each of {count} ranks",
                hint="batch norm needs 2 at least",
            )

    def describe(self) -> dict[str, Any]:
        """In plain values; a training goes on only where these are the same."""
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
