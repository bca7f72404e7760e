"""A phase spread out over steps: what each step loads and trains, and what came of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from torch import Tensor

from compofa.common.errors import UserError
from compofa.supernet.data.batches.order import Batching, TrainingOrder
from compofa.supernet.space import Space
from compofa.supernet.training.recipes.recipe import Phase
from compofa.supernet.training.recipes.sampling import Sampler
from compofa.supernet.training.recipes.schedule import Schedule
from compofa.supernet.training.run_files.rows import RowValue
from compofa.supernet.training.steps.step import StepPlan

COLUMNS = ("epoch", "resolution", "learning_rate", "loss", "gradient_norm", "losses", "subnets")
"""Of steps.csv, after the phase and the step."""


class PhaseRun:
    """One phase of a training on certain images.

    Attributes:
        number: of the phase, counted from 1.
        order: which images each step sees.
        schedule: the learning rates.
        sampler: draws the subnets.
    """

    def __init__(
        self,
        number: int,
        phase: Phase,
        space: Space,
        batching: Batching,
        seed: int,
    ) -> None:
        self.number = number
        self.phase = phase
        self.order = TrainingOrder(batching, (seed, number, 0))
        self.schedule = Schedule(phase, self.order.steps_per_epoch, self.order.batch_size)
        self.sampler = Sampler(phase, space, (seed, number, 1))
        self._seed = seed

    @property
    def steps(self) -> int:
        """Of the whole phase."""
        return self.schedule.steps

    def plan(self, step: int) -> StepPlan:
        """What a step does, counted from 0."""
        return StepPlan(
            self.sampler.subnets(step),
            self.phase.targets,
            self.schedule.learning_rate(step),
            self.schedule.share(step),
        )

    def dropout_seed(self, step: int, rank: int) -> int:
        """For torch's generator, which dropout draws from; other ranks drop other features."""
        seed = np.random.SeedSequence((self._seed, self.number, 2, step, rank))
        return int(seed.generate_state(1, np.uint64)[0])

    def validation_due(self, done: int, every_epochs: float) -> bool:
        """Whether to validate after that many steps; always at the end."""
        every = max(1, round(every_epochs * self.order.steps_per_epoch))
        return done == self.steps or done % every == 0


@dataclass(frozen=True)
class StepRecord:
    """A step that was done, its numbers perhaps still on their way from the device.

    Attributes:
        step: counted from 0.
        result: what `Stepper.step` returned.
    """

    run: PhaseRun
    step: int
    plan: StepPlan
    result: Tensor

    @property
    def keys(self) -> str:
        """The subnets' keys."""
        return " ".join(self.run.sampler.space.key(subnet) for subnet in self.plan.subnets)

    def wait(self) -> None:
        """Until the device has done the step."""
        _ = self.numbers

    @cached_property
    def numbers(self) -> list[float]:
        """The result, waited for."""
        numbers: list[float] = self.result.tolist()
        return numbers

    @property
    def stop(self) -> bool:
        """Whether some rank wants to end."""
        return self.numbers[-1] > 0

    @property
    def loss(self) -> float:
        """The mean of the subnets' losses."""
        return sum(self.numbers[:-2]) / len(self.plan.subnets)

    def row(self) -> tuple[RowValue, ...]:
        """The step as a row of steps.csv.

        Raises:
            UserError: a loss or the gradient is not finite.
        """
        *losses, norm, _ = self.numbers
        resolution = self.run.order.resolution(self.step)
        if not all(map(math.isfinite, (*losses, norm))):
            shown = ", ".join(f"{loss:.3g}" for loss in losses)
            raise UserError(
                f"the training diverged at step {self.step + 1} of phase {self.run.phase.name}: "
                f"losses {shown}, gradient norm {norm:.3g}, at resolution {resolution} with the "
                f"subnets {self.keys}",
                hint="lower --lr-scale, or limit the gradient with --clip 1; --fresh starts anew",
            )
        return (
            self.run.number,
            self.step + 1,
            (self.step + 1) / self.run.order.steps_per_epoch,
            resolution,
            self.plan.learning_rate,
            self.loss,
            norm,
            " ".join(map(repr, losses)),
            self.keys,
        )
