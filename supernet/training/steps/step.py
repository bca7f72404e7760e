"""One training step: some subnets, one batch of images, one update of the shared weights.

The gradients of the subnets are computed one after the other and summed, as in the published code.
So only the activations of one subnet are in memory, and the learning rate applies to the sum of the
gradients instead of their mean.
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
"""A function from images [n, channels, h, w] to logits [n, classes]."""


@dataclass(frozen=True)
class StepOptions:
    """How steps are computed.

    Attributes:
        half: whether networks compute in bfloat16 under autocast.
        compiled: whether blocks are compiled.
        clip: the norm to which larger gradients are scaled down; None for no limit.
    """

    half: bool = False
    compiled: bool = False
    clip: float | None = None


@dataclass(frozen=True)
class StepPlan:
    """The plan of one step.

    Attributes:
        subnets: the subnets to train, in order. If they learn from the largest, it is the first.
        targets: what they learn from; see `Phase.targets`.
        learning_rate: the learning rate.
        share: the factor of the gradients of all subnets but the first.
    """

    subnets: Sequence[Subnet]
    targets: Targets
    learning_rate: float
    share: float = 1.0


class Stepper:
    """Trains a supernet step by step.

    Attributes:
        supernet: the supernet, which is changed in place.
        ranks: the processes that train together.
        optimiser: stochastic gradient descent with Nesterov momentum.
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
        """Replaces the optimiser by a new one, for a new phase."""
        self.optimiser = new_optimiser(self.supernet, self._recipe)

    def step(self, plan: StepPlan, batch: Batch, *, stop: bool = False) -> Tensor:
        """Makes one update of the weights.

        Args:
            plan: the plan of the step.
            batch: this rank's part of the batch.
            stop: whether this rank wants to stop after this step.

        Returns:
            The loss of each subnet on this rank, the norm of the gradient, and whether any rank
            wants to stop, [subnets + 2]. The device may not have computed these numbers yet.
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
            # The share applies to all subnets but the first, which is the largest in a sandwich.
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
    """The optimiser of a training; weight decay does not apply to batch norm and biases.

    These are the parameters with one dimension.
    """
    decayed = [p for p in module.parameters() if p.dim() > 1]
    spared = [p for p in module.parameters() if p.dim() <= 1]
    groups = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": spared, "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=0.0, momentum=recipe.momentum, nesterov=True)
