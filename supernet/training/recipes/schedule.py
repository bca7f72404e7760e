"""The learning rate in each step of a phase, and the weight of smaller subnets' gradients."""

from __future__ import annotations

import math
from dataclasses import dataclass

from compofa.supernet.training.recipes.recipe import REFERENCE_BATCH, Phase


@dataclass(frozen=True)
class Schedule:
    """The schedule of a phase in steps.

    Attributes:
        phase: the phase.
        steps_per_epoch: the number of steps in an epoch.
        batch_size: the number of images per step, over all ranks.
    """

    phase: Phase
    steps_per_epoch: int
    batch_size: int

    @property
    def warmup_steps(self) -> int:
        """The number of steps in which the learning rate rises."""
        return round(self.phase.warmup_epochs * self.steps_per_epoch)

    @property
    def steps(self) -> int:
        """The number of steps in the phase, at least one."""
        return max(1, round(self.phase.all_epochs * self.steps_per_epoch))

    def learning_rate(self, step: int) -> float:
        """The learning rate of a step: a linear warm-up, then the phase's part of half a cosine."""
        peak = self.phase.learning_rate * self.batch_size / REFERENCE_BATCH
        if step < self.warmup_steps:
            return peak * (step + 1) / (self.warmup_steps + 1)
        start, end = self.phase.curve
        passed = (step - self.warmup_steps) / (self.steps - self.warmup_steps)
        angle = math.pi * (start + (end - start) * passed)
        return peak * (1 + math.cos(angle)) / 2

    def share(self, step: int) -> float:
        """The weight, from 0 to 1, of the gradients of all subnets but the largest in a step."""
        ramp = round(self.phase.ramp_epochs * self.steps_per_epoch)
        return min(1.0, (step + 1) / (ramp + 1))
