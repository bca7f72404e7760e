"""Sorting channels: what is computed at full width stays, and the important ones come first."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from compofa.supernet.space import Space
from compofa.supernet.supernet import Supernet
from compofa.supernet.training.steps.importance import sort_channels_

NAMES = ["compofa", "ofa-mbv3", "compofa-proxyless-w1.3", "ofa-resnet50", "compofa-resnet50"]


def trained_like(space: Space) -> Supernet:
    """A supernet whose batch norms and biases have all kinds of values."""
    torch.manual_seed(0)
    supernet = Supernet(space, kernel_transform=not space.fixed_kernels).eval()
    with torch.no_grad():
        for name, tensor in supernet.state_dict().items():
            if tensor.dim() == 1:
                low = 0.5 if name.endswith(("running_var", "weight")) else -0.5
                tensor.uniform_(low, low + 1)
    return supernet


@pytest.mark.parametrize("name", NAMES)
def test_the_largest_network_computes_the_same(small: Callable[[str], Space], name: str) -> None:
    space = small(name)
    supernet = trained_like(space)
    images = torch.randn(2, 1, 16, 16)
    largest, smallest = space.extreme(largest=True), space.extreme(largest=False)
    with torch.no_grad():
        before = [supernet(images, subnet) for subnet in (largest, smallest)]
        sort_channels_(supernet)
        after = [supernet(images, subnet) for subnet in (largest, smallest)]
    assert torch.allclose(before[0], after[0], atol=1e-5)
    assert not torch.allclose(before[1], after[1], atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_important_channels_come_first(small: Callable[[str], Space], name: str) -> None:
    supernet = trained_like(small(name))
    sort_channels_(supernet)
    inner = {
        tensor_name: weight.abs().sum((0, 2, 3)).tolist()
        for tensor_name, weight in supernet.named_parameters()
        if tensor_name.startswith("units.")
        and tensor_name.endswith(("project.conv.weight", "se.expand.weight"))
    }
    assert len(inner) > 8
    for sums in inner.values():
        assert sums == sorted(sums, reverse=True)


def test_sorting_twice_changes_nothing_more(small: Callable[[str], Space]) -> None:
    supernet = trained_like(small("compofa"))
    sort_channels_(supernet)
    once = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    sort_channels_(supernet)
    for name, tensor in supernet.state_dict().items():
        assert torch.equal(tensor, once[name]), name
