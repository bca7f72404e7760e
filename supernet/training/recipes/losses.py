"""What subnets are trained to do, in full precision whatever the network ran in."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def label_loss(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Cross entropy with the labels [n], a part `smoothing` of which goes to all classes alike."""
    return F.cross_entropy(logits.float(), labels, label_smoothing=smoothing)


def soft_loss(logits: Tensor, probabilities: Tensor) -> Tensor:
    """Cross entropy with another network's probabilities [n, classes]."""
    return F.cross_entropy(logits.float(), probabilities)


def taught_loss(
    logits: Tensor, labels: Tensor, probabilities: Tensor, smoothing: float, ratio: float
) -> Tensor:
    """Both: the labels, and `ratio` times the teacher.

    Scaled by 2 / (1 + ratio), as the reference does (progressive_shrinking.py), which leaves a
    ratio of 1 as it is.
    """
    both = label_loss(logits, labels, smoothing) + ratio * soft_loss(logits, probabilities)
    return both * (2 / (1 + ratio))


def probabilities(logits: Tensor) -> Tensor:
    """Of each class, [n, classes], as a target: gradients do not flow into it."""
    return torch.softmax(logits.detach().float(), 1)
