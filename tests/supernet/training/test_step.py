"""One step: whose gradients it adds up, what it leaves alone, and that it learns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from compofa.supernet.data.batches.loading import Batch
from compofa.supernet.ranks import Ranks
from compofa.supernet.space import Space
from compofa.supernet.subnet import Subnet
from compofa.supernet.supernet import Supernet
from compofa.supernet.training.recipes.losses import (
    label_loss,
    probabilities,
    soft_loss,
    taught_loss,
)
from compofa.supernet.training.recipes.recipe import COMPOUND, Targets
from compofa.supernet.training.steps.forward import Forward
from compofa.supernet.training.steps.step import StepOptions, Stepper, StepPlan, new_optimiser

ALONE = Ranks(0, 1, torch.device("cpu"))
RECIPE = replace(COMPOUND, dropout=0.0)

torch.manual_seed(1)
IMAGES = torch.randn(8, 1, 12, 12)
LABELS = torch.arange(8) % 3
TAUGHT = torch.randn(8, 3)
BATCH = Batch(IMAGES, LABELS)


@pytest.fixture
def space(small: Callable[[str], Space]) -> Space:
    return small("compofa")


def supernet(space: Space) -> Supernet:
    torch.manual_seed(0)
    return Supernet(space)


def gradients(module: nn.Module) -> dict[str, Tensor]:
    return {
        name: torch.zeros_like(p) if p.grad is None else p.grad.clone()
        for name, p in module.named_parameters()
    }


def expected_gradients(
    space: Space, subnets: list[Subnet], loss: Callable[[int, Tensor], Tensor]
) -> dict[str, Tensor]:
    """Of the sum of the subnets' losses, by plain autograd."""
    module = supernet(space).train()
    logits = [module(IMAGES, subnet) for subnet in subnets]
    torch.autograd.backward([loss(i, each) for i, each in enumerate(logits)])
    return gradients(module)


def run(space: Space, plan: StepPlan, options: StepOptions | None = None) -> tuple[Stepper, Tensor]:
    stepper = Stepper(supernet(space), RECIPE, ALONE, lambda _: TAUGHT, options)
    return stepper, stepper.step(plan, BATCH)


def check(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Batch norm over few values makes much of the last digits: they are left out."""
    for name, gradient in found.items():
        error = (gradient - expected[name]).norm()
        assert error <= 1e-3 * expected[name].norm() + 1e-4, name


@pytest.mark.parametrize("targets", ["labels", "teacher"])
def test_gradients_of_all_subnets_are_summed(space: Space, targets: Targets) -> None:
    subnets = [space.parse("d23422"), space.parse("d44444"), space.parse("d22222")]
    stepper, result = run(space, StepPlan(subnets, targets, 0.0))

    def loss(_: int, logits: Tensor) -> Tensor:
        if targets == "labels":
            return label_loss(logits, LABELS, 0.1)
        return taught_loss(logits, LABELS, probabilities(TAUGHT), 0.1, 1.0)

    expected = expected_gradients(space, subnets, loss)
    check(gradients(stepper.supernet), expected)
    norm = torch.stack([gradient.norm() for gradient in expected.values()]).norm()
    assert float(result[-2]) == pytest.approx(float(norm), rel=1e-4)
    assert len(result) == len(subnets) + 2


def test_in_a_sandwich_the_others_learn_from_the_largest_with_their_share(space: Space) -> None:
    subnets = [space.parse("d44444"), space.parse("d22222")]
    stepper, _ = run(space, StepPlan(subnets, "largest", 0.0, share=0.25))
    target = probabilities(supernet(space).train()(IMAGES, subnets[0]))

    def loss(number: int, logits: Tensor) -> Tensor:
        if number == 0:
            return label_loss(logits, LABELS, 0.1)
        return 0.25 * soft_loss(logits, target)

    check(gradients(stepper.supernet), expected_gradients(space, subnets, loss))


def test_weights_that_no_subnet_uses_do_not_move(space: Space) -> None:
    subnet = space.parse("d22222")
    stepper = Stepper(supernet(space), replace(RECIPE, weight_decay=0.0), ALONE)
    before = {name: p.clone() for name, p in stepper.supernet.named_parameters()}
    stepper.step(StepPlan([subnet], "labels", 0.1), BATCH)
    used = stepper.supernet.active(subnet)
    for name, parameter in stepper.supernet.named_parameters():
        moved = parameter != before[name]
        if name in used:
            inside = torch.zeros_like(moved)
            inside[tuple(slice(size) for size in used[name].shape)] = True
            assert not (moved & ~inside).any(), name
        else:
            assert not moved.any(), name
    assert (stepper.supernet.get_parameter("classifier.bias") != before["classifier.bias"]).any()


def test_gradients_stay_in_the_same_memory(space: Space) -> None:
    stepper, _ = run(space, StepPlan([space.parse("d22222")], "labels", 0.1))
    places = [p.grad.data_ptr() for p in stepper.supernet.parameters() if p.grad is not None]
    assert len(places) == len(list(stepper.supernet.parameters()))
    for key in ("d44444", "d23432"):
        stepper.step(StepPlan([space.parse(key)], "labels", 0.1), BATCH)
    kept = [p.grad.data_ptr() for p in stepper.supernet.parameters() if p.grad is not None]
    assert places == kept


def test_a_limit_scales_the_gradient_down(space: Space) -> None:
    plan = StepPlan([space.parse("d44444")], "labels", 0.0)
    free, result = run(space, plan)
    limited, _ = run(space, plan, StepOptions(clip=float(result[-2]) / 4))
    unlimited = gradients(free.supernet)
    check(gradients(limited.supernet), {name: each / 4 for name, each in unlimited.items()})


def test_batch_norm_and_biases_do_not_decay(space: Space) -> None:
    module = supernet(space)
    decayed, spared = new_optimiser(module, COMPOUND).param_groups
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    spared_names = {names[id(p)] for p in spared["params"]}
    assert spared_names == {n for n in names.values() if ".bn." in n or n.endswith("bias")}
    assert (decayed["weight_decay"], spared["weight_decay"]) == (3e-5, 0.0)
    assert decayed["nesterov"]


def test_dropout_zeroes_features_while_training(space: Space) -> None:
    module = supernet(space).train()
    subnet = space.parse("d22222")
    torch.manual_seed(0)
    kept, dropped = (Forward(module, p)(IMAGES, subnet) for p in (0.0, 0.5))
    assert torch.equal(kept, module(IMAGES, subnet))
    assert not torch.allclose(kept, dropped)


def test_compiled_blocks_compute_the_same(space: Space) -> None:
    module = supernet(space).train()
    compiled = Forward(module, 0.0, compiled=True)
    with torch.compiler.set_stance("force_eager"):
        for key in ("d22222", "d44444"):
            subnet = space.parse(key)
            assert torch.equal(compiled(IMAGES, subnet), module(IMAGES, subnet))


@pytest.mark.parametrize("half", [False, True])
def test_a_supernet_learns(space: Space, half: bool) -> None:
    images = torch.zeros(30, 1, 12, 12)
    labels = torch.arange(30) % 3
    for image, label in zip(images, labels.tolist(), strict=True):
        image[0, 4 * label : 4 * label + 4] = 2
    torch.manual_seed(0)
    images += 0.3 * torch.randn_like(images)
    stepper = Stepper(supernet(space), RECIPE, ALONE, options=StepOptions(half=half))
    subnets = [space.parse("d44444"), space.parse("d22222")]
    losses = [
        stepper.step(StepPlan(subnets, "labels", 0.05), Batch(images, labels)) for _ in range(12)
    ]
    assert float(losses[0][:2].mean()) > 1.0
    assert float(losses[-1][:2].mean()) < 0.75
