"""A phase in steps: what each step loads and trains, and the results."""

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
"""The columns of steps.csv after the phase and the step."""


class PhaseRun:
    """One phase of a training on some images.

    Attributes:
        number: the number of the phase, counted from 1.
        phase: the phase.
        order: the images of each step.
        schedule: the learning rates.
        sampler: draws the subnets of each step.
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
        """The number of steps in the phase."""
        return self.schedule.steps

    def plan(self, step: int) -> StepPlan:
        """The plan of a step, counted from 0."""
        return StepPlan(
            self.sampler.subnets(step),
            self.phase.targets,
            self.schedule.learning_rate(step),
            self.schedule.share(step),
        )

    def dropout_seed(self, step: int, rank: int) -> int:
        """The seed of torch's generator for dropout in a step, which differs between ranks."""
        seed = np.random.SeedSequence((self._seed, self.number, 2, step, rank))
        return int(seed.generate_state(1, np.uint64)[0])

    def validation_due(self, done: int, every_epochs: float) -> bool:
        """Whether to validate after `done` steps; this is always so at the end."""
        every = max(1, round(every_epochs * self.order.steps_per_epoch))
        return done == self.steps or done % every == 0


@dataclass(frozen=True)
class StepRecord:
    """A step that was started; the device may not have finished it yet.

    Attributes:
        run: the phase.
        step: the number of the step, counted from 0.
        plan: the plan of the step.
        result: the tensor that `Stepper.step` returned.
    """

    run: PhaseRun
    step: int
    plan: StepPlan
    result: Tensor

    @property
    def keys(self) -> str:
        """The keys of the subnets, separated by blanks."""
        return " ".join(self.run.sampler.space.key(subnet) for subnet in self.plan.subnets)

    def wait(self) -> None:
        """Waits until the device has finished the step."""
        _ = self.numbers

    @cached_property
    def numbers(self) -> list[float]:
        """The result as numbers; this waits for the device."""
        numbers: list[float] = self.result.tolist()
        return numbers

    @property
    def stop(self) -> bool:
        """Whether a rank has been asked to stop."""
        return self.numbers[-1] > 0

    @property
    def loss(self) -> float:
        """The mean loss of the subnets."""
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
                hint="lower --lr-scale, or limit the gradient with --clip 1, and start again with "
                "--fresh",
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
