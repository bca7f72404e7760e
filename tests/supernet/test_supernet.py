"""The supernet: any subnet of any space runs, and comes out as an ordinary network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from compofa.common.errors import UserError
from compofa.supernet.graph import build_graph
from compofa.supernet.network import Network
from compofa.supernet.space import Space
from compofa.supernet.spaces import SPACES, get_space
from compofa.supernet.supernet import Supernet, hull
from rigs.supernets import trained

NARROW_RESNET = replace(SPACES["ofa-resnet50"], name="narrow-resnet", width=0.25, classes=7)
NARROW = replace(SPACES["compofa-elastic"], name="narrow", width=0.35, classes=7)
ONE_CHANNEL = replace(NARROW, in_channels=1, stem_stride=1)
INVERSE = replace(
    NARROW,
    units=tuple(
        replace(unit, coupling=((2, 6, 1.0), (3, 4, 1.0), (4, 3, 1.0))) for unit in NARROW.units
    ),
)
"""Deeper units have smaller expand ratios, so no subnet has the largest of every weight."""


EXTRACTED = [(space, True) for space in SPACES.values()] + [(NARROW, False), (INVERSE, True)]


@pytest.mark.parametrize(("space", "kernel_transform"), EXTRACTED)
def test_an_extracted_subnet_computes_the_same(space: Space, kernel_transform: bool) -> None:
    supernet = trained(space, kernel_transform, seed=1)
    rng = np.random.default_rng(2)
    image = torch.randn(2, space.in_channels, 48, 48)
    for subnet in (space.extreme(True), space.extreme(False), space.sample(rng)):
        network = supernet.extract(subnet)
        with torch.no_grad():
            expected, found = supernet(image, subnet), network(image)
        assert expected.abs().max() > 0.01
        assert (expected - found).abs().max() < 1e-5


def test_an_extracted_subnet_is_made_of_ordinary_layers_and_counts_their_parameters() -> None:
    supernet, subnet = Supernet(NARROW), NARROW.extreme(False)
    network = supernet.extract(subnet)
    kinds = {type(module) for module in network.modules() if not list(module.children())}
    assert kinds == {nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.Hardswish, nn.Linear}
    params = sum(parameter.numel() for parameter in network.parameters())
    assert params == build_graph(NARROW, subnet, 64).params


def test_an_extracted_subnet_has_weights_of_its_own() -> None:
    supernet, subnet = trained(NARROW, kernel_transform=False, seed=1), NARROW.extreme(True)
    network = supernet.extract(subnet)
    before = supernet.state_dict()["stem.conv.weight"].clone()
    with torch.no_grad():
        network.get_parameter("stem.conv.weight").zero_()
    assert torch.equal(supernet.state_dict()["stem.conv.weight"], before)


@pytest.mark.parametrize("space", [NARROW, ONE_CHANNEL, SPACES["ofa-proxyless-w1.3"]])
def test_one_image_gives_one_row_of_logits(space: Space) -> None:
    supernet, subnet = trained(space, kernel_transform=False, seed=1), space.extreme(False)
    images = torch.randn(2, space.in_channels, 32, 32)
    with torch.no_grad():
        one, both = supernet(images[:1], subnet), supernet(images, subnet)
    assert one.shape == (1, space.classes)
    assert torch.allclose(one[0], both[0], atol=1e-5)


@pytest.mark.parametrize("space", [NARROW, NARROW_RESNET], ids=lambda space: space.name)
def test_inactive_weights_get_exactly_zero_gradient(space: Space) -> None:
    supernet, subnet = trained(space, kernel_transform=False, seed=1).train(), space.extreme(False)
    supernet(torch.randn(2, 3, 64, 64), subnet).square().sum().backward()
    active = supernet.extract(subnet).state_dict()
    for name, parameter in supernet.named_parameters():
        if name not in active:
            assert parameter.grad is None, f"{name} is inactive but has a gradient"
        elif ".depthwise.conv" not in name:
            inside = torch.zeros(parameter.shape, dtype=torch.bool)
            inside[tuple(slice(n) for n in active[name].shape)] = True
            assert parameter.grad is not None
            assert parameter.grad[~inside].eq(0).all(), name


def test_running_one_subnet_leaves_no_trace_on_another() -> None:
    supernet = trained(NARROW, kernel_transform=False, seed=1)
    image = torch.randn(1, 3, 64, 64)
    small, large = NARROW.extreme(False), NARROW.extreme(True)
    with torch.no_grad():
        before = supernet(image, small)
        supernet(image, large)
        assert torch.equal(supernet(image, small), before)


def test_fixed_kernel_units_allocate_their_kernel_only() -> None:
    state = Supernet(SPACES["compofa"], kernel_transform=True).state_dict()
    for unit, kernel in enumerate((3, 5, 3, 3, 5)):
        for block in range(4):
            weight = state[f"units.{unit}.{block}.depthwise.conv.weight"]
            assert weight.shape[-2:] == (kernel, kernel)
    assert not [name for name in state if "transforms" in name]


def test_a_supernet_is_as_large_as_the_choices_need_it() -> None:
    state = Supernet(INVERSE).state_dict()
    # With an expand ratio of 6 at depth 2, of 4 at depth 3 and of 3 at depth 4.
    channels = [state[f"units.1.{block}.expand.conv.weight"].shape[0] for block in range(4)]
    width = INVERSE.channels(40)
    assert channels == [INVERSE.channels(24) * 6, width * 6, width * 4, width * 3]


@pytest.mark.parametrize("space", SPACES.values(), ids=lambda space: space.name)
def test_the_largest_subnet_of_a_known_space_is_its_hull(space: Space) -> None:
    assert hull(space) == space.extreme(True)


def test_blocks_can_be_run_one_by_one() -> None:
    supernet, subnet = trained(NARROW, kernel_transform=False, seed=1), NARROW.extreme(True)
    x = image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        for block in supernet.blocks(subnet):
            x = supernet.run_block(block, x)
        assert torch.equal(x, supernet(image, subnet))


def test_a_subnet_of_another_space_is_refused() -> None:
    with pytest.raises(UserError, match="not a subnet of space narrow"):
        Supernet(NARROW).extract(SPACES["ofa-mbv3"].sample(np.random.default_rng(0)))


def test_a_plain_network_of_a_resnet_subnet_runs() -> None:
    space = get_space("compofa-resnet50")
    network = Network(build_graph(space, space.extreme(False), 64)).eval()
    with torch.no_grad():
        assert network(torch.randn(1, 3, 64, 64)).shape == (1, 1000)
