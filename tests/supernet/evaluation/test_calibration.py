"""Batch norm statistics of single subnets: whose they are, and what they leave alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from compofa.common.errors import UserError
from compofa.supernet.evaluation.bn_calibration import (
    calibrate,
    calibrate_tree,
    calibration_bytes,
    extract_calibrated,
    moments,
    placed,
    run_calibrated,
)
from compofa.supernet.evaluation.prefix_tree import Node, prefix_tree
from compofa.supernet.space import Space
from compofa.supernet.spaces import SPACES
from compofa.supernet.subnet import Subnet
from compofa.supernet.supernet import Supernet

SMALL = {
    name: replace(SPACES[name], name=f"small-{name}", width=0.25, classes=5, in_channels=1)
    for name in ("compofa", "ofa-mbv3", "compofa-proxyless-w1.3", "ofa-resnet50")
}
SPACE = SMALL["compofa"]


def supernet_of(space: Space, seed: int = 0) -> Supernet:
    torch.manual_seed(seed)
    return Supernet(space, kernel_transform=space.name.endswith("mbv3"))


def images(space: Space, count: int = 24, size: int = 64) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return 1 + 2 * torch.randn(count, space.in_channels, size, size, generator=generator)


def as_one_batch(supernet: Supernet, subnet: Subnet, x: Tensor) -> dict[str, Tensor]:
    """What torch's own batch norm finds in an ordinary network when all images are one batch."""
    network, found = supernet.extract(subnet).train(), dict[str, Tensor]()

    def note(name: str) -> Callable[[nn.Module, tuple[Tensor]], None]:
        def hook(_: nn.Module, inputs: tuple[Tensor]) -> None:
            variance, mean = torch.var_mean(inputs[0], (0, 2, 3), correction=0)
            found[f"{name}.running_mean"], found[f"{name}.running_var"] = mean, variance

        return hook

    for name, module in network.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_pre_hook(note(name))
    with torch.no_grad():
        network(x)
    return found


def agree(found: dict[str, Tensor], expected: dict[str, Tensor], within: float) -> None:
    """Means are compared with the spread that they stand beside."""
    assert set(found) == set(expected)
    for name, tensor in found.items():
        scale = expected[name.replace("mean", "var")]
        scale = scale.sqrt() if name.endswith("mean") else scale
        assert ((tensor - expected[name]).abs() <= within * (scale + 1e-3)).all(), name


@pytest.mark.parametrize("space", SMALL.values(), ids=SMALL.keys())
def test_statistics_are_those_of_an_ordinary_network_in_training_mode(space: Space) -> None:
    supernet, x = supernet_of(space), images(space)
    for subnet in (space.extreme(True), space.sample(np.random.default_rng(2))):
        # Sums of another order: their rounding grows through some fifty layers.
        agree(dict(calibrate(supernet, subnet, [x])), as_one_batch(supernet, subnet, x), 1e-3)


@pytest.mark.parametrize("sizes", [[24], [8, 8, 8], [16, 7, 1], [1] * 24, [12, 0, 12]])
def test_how_images_are_cut_into_batches_makes_no_difference(sizes: list[int]) -> None:
    supernet, subnet, x = supernet_of(SPACE), SPACE.extreme(True), images(SPACE)
    found = calibrate(supernet, subnet, torch.split(x, sizes))
    agree(dict(found), as_one_batch(supernet, subnet, x), 1e-4)


def test_the_variance_between_batches_counts() -> None:
    """The average of the batches' own variances would be 1 here."""
    shifted = [torch.randn(64, 3, 8, 8) + 10 * shift for shift in (0, 1, 2)]
    mean, variance = moments(shifted)
    every = torch.cat(shifted).double()
    assert torch.allclose(mean.double(), every.mean((0, 2, 3)), rtol=1e-5)
    assert torch.allclose(variance.double(), every.var((0, 2, 3), correction=0), rtol=1e-5)
    assert (variance > 60).all()


def test_constant_channels_and_single_pixels_have_no_variance() -> None:
    mean, variance = moments([torch.full((1, 2, 1, 1), 3.0), torch.full((4, 2, 5, 5), 3.0)])
    assert mean.tolist() == [3, 3]
    assert variance.tolist() == pytest.approx([0, 0], abs=1e-12)


def test_subnets_that_share_blocks_get_the_statistics_that_each_gets_alone() -> None:
    supernet, x = supernet_of(SPACE), images(SPACE, 12)
    subnets = [SPACE.parse(key) for key in ("d22222", "d22223", "d22234", "d42222", "d44444")]
    tree = prefix_tree(SPACE, subnets, 64)
    shared = calibrate_tree(supernet, tree, [x])

    def gathered(node: Node, before: dict[str, Tensor]) -> int:
        here = before | dict(shared[node])
        if not node.children:
            alone = calibrate(supernet, node.subnets[0], [x])
            agree(here, dict(alone), 1e-4)
            return 1
        return sum(gathered(child, here) for child in node.children)

    assert gathered(tree, {}) == len(subnets)


@pytest.mark.parametrize("training", [True, False])
def test_the_supernet_stays_as_it_was(training: bool) -> None:
    supernet, subnet = supernet_of(SPACE).train(training), SPACE.extreme(True)
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    statistics = calibrate(supernet, subnet, [images(SPACE)])
    run_calibrated(supernet, supernet.blocks(subnet), images(SPACE), statistics)
    assert all(torch.equal(tensor, before[name]) for name, tensor in supernet.state_dict().items())
    assert all(module.training is training for module in supernet.modules())
    assert all(parameter.grad is None for parameter in supernet.parameters())


@pytest.mark.parametrize("space", SMALL.values(), ids=SMALL.keys())
def test_a_calibrated_network_computes_the_logits_that_evaluation_sees(space: Space) -> None:
    supernet, subnet, x = supernet_of(space), space.extreme(False), images(space)
    network = extract_calibrated(supernet, subnet, [x])
    statistics = calibrate(supernet, subnet, [x])
    with torch.no_grad():
        found = run_calibrated(supernet, supernet.blocks(subnet), placed(x, supernet), statistics)
        expected = network(x)
    assert not network.training
    assert (found - expected).abs().max() < 1e-4 * expected.abs().max()


def test_statistics_are_taken_in_full_precision_under_autocast() -> None:
    supernet, subnet, x = supernet_of(SPACE), SPACE.extreme(False), images(SPACE)
    expected = calibrate(supernet, subnet, [x])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = calibrate(supernet, subnet, [x])
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_without_images_there_is_nothing_to_calibrate_on() -> None:
    with pytest.raises(UserError, match="no images to calibrate"):
        calibrate(supernet_of(SPACE), SPACE.extreme(False), [torch.zeros(0, 1, 64, 64)])


def test_broken_weights_are_named() -> None:
    supernet = supernet_of(SPACE)
    supernet.state_dict()["units.1.0.expand.conv.weight"].fill_(float("nan"))
    with pytest.raises(UserError, match=r"layer units\.1\.0\.expand gives numbers that are not"):
        calibrate(supernet, SPACE.extreme(False), [images(SPACE)])


def peak_bytes(work: Callable[[], object]) -> int:
    """The most memory that torch held at once for what `work` makes."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as run:
        work()
    changes = [e for e in run.profiler.kineto_results.events() if e.name() == "[memory]"]
    changes.sort(key=lambda event: event.start_ns())
    return max(itertools.accumulate(int(event.nbytes()) for event in changes))


def test_memory_is_that_of_one_path_through_the_tree() -> None:
    """What is said of one image holds for many; one more batch is in use for a moment."""
    supernet = supernet_of(SPACE)
    tree = prefix_tree(SPACE, SPACE.enumerate()[::40], 64)
    for count in (16, 32):
        batches = torch.split(images(SPACE, count), 1)
        found = peak_bytes(partial(calibrate_tree, supernet, tree, batches))
        assert found / count == pytest.approx(calibration_bytes(tree), rel=0.1)
