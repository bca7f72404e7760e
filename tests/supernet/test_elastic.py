"""Elastic layers: shapes of what is active, and no gradient for what is not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from compofa.supernet.blocks import Conv, Linear, Shape, SqueezeExcite
from compofa.supernet.elastic import (
    ElasticBatchNorm2d,
    ElasticConvUnit,
    ElasticLinear,
    ElasticSqueezeExcite,
    smaller_kernel,
)


def conv(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> Conv:
    size = 9
    small = -(-size // stride)
    shapes = Shape(inputs, size, size), Shape(outputs, small, small)
    return Conv("layer", "input", *shapes, kernel, stride, groups, "h_swish")


def se(channels: int, mid: int) -> SqueezeExcite:
    return SqueezeExcite("layer", "input", Shape(channels, 9, 9), mid)


def linear(inputs: int) -> Linear:
    return Linear("layer", "input", Shape(inputs, 1, 1), Shape(10, 1, 1))


def unit(largest: Conv, kernels: tuple[int, ...] = (1,), transform: bool = False) -> nn.Module:
    return ElasticConvUnit(largest, kernels, transform, 1e-5)


@dataclass(frozen=True)
class Case:
    """An elastic layer, what is chosen of it, and the shapes of what that makes active."""

    module: nn.Module
    layer: Conv | SqueezeExcite | Linear
    active: dict[str, tuple[int, ...]]


K = (3, 5, 7)
CASES = {
    "conv, all": Case(unit(conv(16, 24)), conv(16, 24), {"conv.weight": (24, 16, 1, 1)}),
    "conv, fewer out": Case(unit(conv(16, 24)), conv(16, 8), {"conv.weight": (8, 16, 1, 1)}),
    "conv, fewer in": Case(unit(conv(16, 24)), conv(8, 24), {"conv.weight": (24, 8, 1, 1)}),
    "conv, fewer of both": Case(
        unit(conv(16, 24, 3, 2), (3,)), conv(8, 16, 3, 2), {"conv.weight": (16, 8, 3, 3)}
    ),
    "depthwise, 7": Case(
        unit(conv(24, 24, 7, 1, 24), K), conv(16, 16, 7, 1, 16), {"conv.weight": (16, 1, 7, 7)}
    ),
    "depthwise, 5 of 7": Case(
        unit(conv(24, 24, 7, 2, 24), K), conv(16, 16, 5, 2, 16), {"conv.weight": (16, 1, 5, 5)}
    ),
    "depthwise, 3 of 7": Case(
        unit(conv(24, 24, 7, 1, 24), K), conv(24, 24, 3, 1, 24), {"conv.weight": (24, 1, 3, 3)}
    ),
    "depthwise, 3 of 7, transformed": Case(
        unit(conv(24, 24, 7, 1, 24), K, True),
        conv(8, 8, 3, 1, 8),
        {
            "conv.weight": (8, 1, 5, 5),
            "conv.transforms.7to5": (25, 25),
            "conv.transforms.5to3": (9, 9),
        },
    ),
    "depthwise, 5 of 7, transformed": Case(
        unit(conv(24, 24, 7, 1, 24), K, True),
        conv(8, 8, 5, 1, 8),
        {"conv.weight": (8, 1, 5, 5), "conv.transforms.7to5": (25, 25)},
    ),
    "squeeze-excite, all": Case(
        ElasticSqueezeExcite(se(32, 8)),
        se(32, 8),
        {"reduce.weight": (8, 32, 1, 1), "expand.weight": (32, 8, 1, 1)},
    ),
    "squeeze-excite, fewer": Case(
        ElasticSqueezeExcite(se(96, 24)),
        se(32, 8),
        {"reduce.weight": (8, 32, 1, 1), "expand.weight": (32, 8, 1, 1)},
    ),
    "linear, all": Case(ElasticLinear(linear(32)), linear(32), {"weight": (10, 32)}),
    "linear, fewer": Case(ElasticLinear(linear(32)), linear(24), {"weight": (10, 24)}),
}  # fmt: skip


def output_shape(layer: Conv | SqueezeExcite | Linear) -> tuple[int, ...]:
    return (3, 10) if isinstance(layer, Linear) else (3, *layer.output)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_output_has_the_chosen_shape_and_inactive_weights_get_exactly_zero_gradient(
    case: Case,
) -> None:
    torch.manual_seed(0)
    case.module.zero_grad()
    for name, parameter in case.module.named_parameters():
        if ".transforms." in name:
            # At the identity, the rim of a larger kernel has no part in the smaller one.
            nn.init.normal_(parameter)
    x = torch.randn(3, *case.layer.input)
    y = case.module(x.flatten(1) if isinstance(case.layer, Linear) else x, case.layer)

    assert tuple(y.shape) == output_shape(case.layer)

    (y * torch.randn_like(y)).sum().backward()
    for name, parameter in case.module.named_parameters():
        active = _active_region(name, parameter, case)
        gradient = parameter.grad if parameter.grad is not None else torch.zeros_like(parameter)
        assert gradient[~active].eq(0).all(), f"{name} has a gradient outside its active part"
        assert gradient[active].ne(0).any() or not active.any(), f"{name} has no gradient at all"


def _active_region(name: str, parameter: nn.Parameter, case: Case) -> torch.Tensor:
    """Where `parameter` is active: the first channels, and the middle of kernels."""
    mask = torch.zeros(parameter.shape, dtype=torch.bool)
    if name in case.active:
        shape = case.active[name]
        start = [0] * len(shape)
        if name == "conv.weight":
            start[2:] = [(parameter.shape[-1] - shape[-1]) // 2] * 2
        mask[tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))] = True
    elif parameter.dim() == 1 and name in ("reduce.bias",):
        mask[: case.active["reduce.weight"][0]] = True
    elif parameter.dim() == 1:
        mask[: case.layer.output.channels] = True
    return mask


def test_batch_norm_updates_the_statistics_of_the_first_channels_only() -> None:
    elastic, plain = ElasticBatchNorm2d(8), nn.BatchNorm2d(5)
    x = torch.randn(4, 5, 3, 3)
    assert torch.equal(elastic(x), plain(x))
    assert torch.equal(elastic.get_buffer("running_mean")[:5], plain.get_buffer("running_mean"))
    assert torch.equal(elastic.get_buffer("running_var")[5:], torch.ones(3))
    assert torch.equal(elastic.eval()(x), plain.eval()(x))


def test_kernels_without_matrices_are_crops() -> None:
    weight = torch.randn(4, 1, 7, 7)
    assert torch.equal(smaller_kernel(weight, K, 3, {}), weight[:, :, 2:5, 2:5])
    assert torch.equal(smaller_kernel(weight, K, 7, {}), weight)


def test_the_second_matrix_multiplies_what_the_first_has_made() -> None:
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((4, 1, 7, 7))
    to5, to3 = rng.standard_normal((25, 25)), rng.standard_normal((9, 9))
    five = np.stack([(to5 @ k[0, 1:6, 1:6].ravel()).reshape(5, 5) for k in weight])
    three = np.stack([(to3 @ k[1:4, 1:4].ravel()).reshape(3, 3) for k in five])

    transforms = {"7to5": torch.from_numpy(to5), "5to3": torch.from_numpy(to3)}
    found: Any = smaller_kernel(torch.from_numpy(weight), K, 3, transforms)

    np.testing.assert_allclose(found[:, 0].numpy(), three)


def test_matrices_start_as_the_identity() -> None:
    transformed = unit(conv(8, 8, 7, 1, 8), K, True)
    cropped = unit(conv(8, 8, 7, 1, 8), K, False)
    assert isinstance(transformed, ElasticConvUnit)
    assert isinstance(cropped, ElasticConvUnit)
    cropped.conv.weight = transformed.conv.weight
    x = torch.randn(2, 8, 9, 9)
    layer = conv(8, 8, 3, 1, 8)
    assert torch.equal(transformed(x, layer), cropped(x, layer))


def test_a_view_of_the_weights_is_used_unless_a_kernel_is_transformed() -> None:
    elastic = unit(conv(24, 24, 7, 1, 24), K)
    assert isinstance(elastic, ElasticConvUnit)
    active = elastic.conv.active_weight(conv(8, 8, 3, 1, 8))
    whole = elastic.conv.weight
    assert active.untyped_storage().data_ptr() == whole.untyped_storage().data_ptr()
