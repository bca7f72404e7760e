"""The learning rate and the subnets' share at a step of a phase."""

from __future__ import annotations

import math
from dataclasses import dataclass

from compofa.supernet.training.recipes.recipe import REFERENCE_BATCH, Phase


@dataclass(frozen=True)
class Schedule:
    """A phase in steps of a certain number of images.

    Attributes:
        steps_per_epoch: of the training images.
        batch_size: images a step, over all ranks.
    """

    phase: Phase
    steps_per_epoch: int
    batch_size: int

    @property
    def warmup_steps(self) -> int:
        """Steps in which the learning rate rises."""
        return round(self.phase.warmup_epochs * self.steps_per_epoch)

    @property
    def steps(self) -> int:
        """All steps of the phase, at least one."""
        return max(1, round(self.phase.all_epochs * self.steps_per_epoch))

    def learning_rate(self, step: int) -> float:
        """Linear warm-up, then half a cosine, or the part of it that the phase asks for."""
        peak = self.phase.learning_rate * self.batch_size / REFERENCE_BATCH
        if step < self.warmup_steps:
            return peak * (step + 1) / (self.warmup_steps + 1)
        start, end = self.phase.curve
        passed = (step - self.warmup_steps) / (self.steps - self.warmup_steps)
        angle = math.pi * (start + (end - start) * passed)
        return peak * (1 + math.cos(angle)) / 2

    def share(self, step: int) -> float:
        """By what gradients of subnets other than the largest are multiplied."""
        ramp = round(self.phase.ramp_epochs * self.steps_per_epoch)
        return min(1.0, (step + 1) / (ramp + 1))
