"""Losses against their definitions."""

from __future__ import annotations

import pytest
import torch

from compofa.supernet.training.recipes.losses import (
    label_loss,
    probabilities,
    soft_loss,
    taught_loss,
)

torch.manual_seed(0)
LOGITS = torch.randn(4, 3)
LABELS = torch.tensor([0, 2, 1, 1])
TEACHER = torch.randn(4, 3).softmax(1)


def test_smoothing_gives_a_part_of_each_label_to_all_classes() -> None:
    wanted = torch.full((4, 3), 0.1 / 3)
    wanted[range(4), LABELS] += 0.9
    expected = -(wanted * LOGITS.log_softmax(1)).sum(1).mean()
    assert torch.allclose(label_loss(LOGITS, LABELS, 0.1), expected)


def test_soft_targets_are_another_networks_probabilities() -> None:
    expected = -(TEACHER * LOGITS.log_softmax(1)).sum(1).mean()
    assert torch.allclose(soft_loss(LOGITS, TEACHER), expected)


@pytest.mark.parametrize("ratio", [0.0, 1.0, 3.0])
def test_labels_and_teacher_add_up_to_two_parts(ratio: float) -> None:
    labels, soft = label_loss(LOGITS, LABELS, 0.1), soft_loss(LOGITS, TEACHER)
    expected = 2 / (1 + ratio) * labels + 2 * ratio / (1 + ratio) * soft
    assert torch.allclose(taught_loss(LOGITS, LABELS, TEACHER, 0.1, ratio), expected)


def test_targets_are_exact_and_carry_no_gradient() -> None:
    logits = LOGITS.bfloat16().requires_grad_()
    target = probabilities(logits)
    assert target.dtype == torch.float32
    assert not target.requires_grad
    assert torch.allclose(target.sum(1), torch.ones(4))
