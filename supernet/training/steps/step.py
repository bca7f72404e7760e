"""One step of training: some subnets, one batch of images, one update of the shared weights.

Every subnet's gradient is taken on its own and added to the others', as published; so no more than
one subnet's activations are in memory, and the sum, not the mean, meets the learning rate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from compofa.supernet.data.batches.loading import Batch
from compofa.supernet.ranks import Ranks
from compofa.supernet.subnet import Subnet
from compofa.supernet.supernet import Supernet
from compofa.supernet.training.recipes.losses import (
    label_loss,
    probabilities,
    soft_loss,
    taught_loss,
)
from compofa.supernet.training.recipes.recipe import Recipe, Targets
from compofa.supernet.training.steps.forward import Forward
from compofa.supernet.training.steps.gradients import Gradients

Classifier = Callable[[Tensor], Tensor]
"""Images [n, channels, h, w] -> logits [n, classes]."""


@dataclass(frozen=True)
class StepOptions:
    """How steps are computed.

    Attributes:
        half: whether networks run in bfloat16 under autocast.
        compiled: whether blocks are compiled.
        clip: the largest norm of the gradient; None lets it be.
    """

    half: bool = False
    compiled: bool = False
    clip: float | None = None


@dataclass(frozen=True)
class StepPlan:
    """What one step does.

    Attributes:
        subnets: in order; the first is the largest where the others learn from it.
        targets: what they learn.
        learning_rate: of this step.
        share: by what the gradients of all but the first are multiplied in a sandwich.
    """

    subnets: Sequence[Subnet]
    targets: Targets
    learning_rate: float
    share: float = 1.0


class Stepper:
    """Trains a supernet step by step.

    Attributes:
        supernet: what it trains, in place.
        ranks: the processes that train together.
        optimiser: stochastic gradient descent with Nesterov's momentum.
    """

    def __init__(
        self,
        supernet: Supernet,
        recipe: Recipe,
        ranks: Ranks,
        teacher: Classifier | None = None,
        options: StepOptions | None = None,
    ) -> None:
        self.supernet = supernet.train()
        self._recipe = recipe
        self.ranks = ranks
        self._teacher = teacher
        self._options = options or StepOptions()
        self._forward = Forward(supernet, recipe.dropout, compiled=self._options.compiled)
        self._gradients = Gradients(supernet, ranks)
        self.optimiser = new_optimiser(supernet, recipe)

    def forget_momentum(self) -> None:
        """A new phase begins with a fresh optimiser."""
        self.optimiser = new_optimiser(self.supernet, self._recipe)

    def step(self, plan: StepPlan, batch: Batch, *, stop: bool = False) -> Tensor:
        """One update.

        Args:
            plan: what to do.
            batch: of this rank.
            stop: whether this rank wants to end after this step.

        Returns:
            Each subnet's loss on this rank, the gradient's norm, and whether any rank wants to
            end: [subnets + 2]. It is not waited for.
        """
        images = batch.images.to(memory_format=torch.channels_last)
        self._gradients.clear(stop=stop)
        taught = None if plan.targets != "teacher" else self._taught(images)
        losses = []
        for number, subnet in enumerate(plan.subnets):
            with self._autocast():
                logits = self._forward(images, subnet)
            loss = self._loss(plan, logits, batch.labels, taught)
            if plan.targets == "largest" and number == 0:
                taught = probabilities(logits)
            torch.autograd.backward(loss * (plan.share if number else 1.0))
            losses.append(loss.detach())
        self._gradients.share()
        norm = self._gradients.norm(self._options.clip)
        for group in self.optimiser.param_groups:
            group["lr"] = plan.learning_rate
        self.optimiser.step()
        return torch.stack([*losses, norm, self._gradients.stop])

    def _loss(
        self, plan: StepPlan, logits: Tensor, labels: Tensor, taught: Tensor | None
    ) -> Tensor:
        smoothing = self._recipe.label_smoothing
        if taught is None:
            return label_loss(logits, labels, smoothing)
        if plan.targets == "largest":
            return soft_loss(logits, taught)
        return taught_loss(logits, labels, taught, smoothing, self._recipe.distillation)

    def _taught(self, images: Tensor) -> Tensor:
        if self._teacher is None:
            raise TypeError("this recipe needs a teacher")
        with torch.no_grad(), self._autocast():
            return probabilities(self._teacher(images))

    def _autocast(self) -> torch.autocast:
        device = self.ranks.device.type
        return torch.autocast(device, dtype=torch.bfloat16, enabled=self._options.half)


def new_optimiser(module: nn.Module, recipe: Recipe) -> torch.optim.SGD:
    """Weight decay spares batch norm and biases: all that is a vector."""
    decayed = [p for p in module.parameters() if p.dim() > 1]
    spared = [p for p in module.parameters() if p.dim() <= 1]
    groups = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": spared, "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=0.0, momentum=recipe.momentum, nesterov=True)
