"""The losses of subnets, which are computed in float32 whatever the network computes in."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def label_loss(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Cross entropy with the labels [n], with label smoothing."""
    return F.cross_entropy(logits.float(), labels, label_smoothing=smoothing)


def soft_loss(logits: Tensor, probabilities: Tensor) -> Tensor:
    """Cross entropy with the probabilities [n, classes] of another network."""
    return F.cross_entropy(logits.float(), probabilities)


def taught_loss(
    logits: Tensor, labels: Tensor, probabilities: Tensor, smoothing: float, ratio: float
) -> Tensor:
    """The sum of the loss by the labels and `ratio` times the loss by the teacher.

    It is scaled by 2 / (1 + ratio) as in the reference (progressive_shrinking.py), so that a ratio
    of 1 gives the plain sum.
    """
    both = label_loss(logits, labels, smoothing) + ratio * soft_loss(logits, probabilities)
    return both * (2 / (1 + ratio))


def probabilities(logits: Tensor) -> Tensor:
    """The probabilities of all classes, [n, classes], as a target without gradients."""
    return torch.softmax(logits.detach().float(), 1)
