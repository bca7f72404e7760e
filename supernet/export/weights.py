"""The weights of one subnet as plain arrays with batch norm folded, for writers of model files.

A layer `stem` has `stem.weight` and, with batch norm, `stem.bias`. Channel attention has
`NAME.reduce.weight`, `NAME.reduce.bias`, `NAME.expand.weight` and `NAME.expand.bias`. All weights
are float32 in torch's layouts. Importing this module does not import torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from compofa.common.arrays import Float32Array
from compofa.supernet.blocks import Conv, Linear, SqueezeExcite
from compofa.supernet.families.registry import family_of
from compofa.supernet.graph import Graph
from compofa.supernet.subnet import Subnet

if TYPE_CHECKING:
    from torch import Tensor

    from compofa.supernet.supernet import Supernet

Weights = Mapping[str, Float32Array]


def weight_shapes(graph: Graph) -> dict[str, tuple[int, ...]]:
    """The names and shapes of a graph's folded weights, in order of execution."""
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in graph.layers:
        if isinstance(layer, Conv):
            shapes[f"{layer.name}.weight"] = layer.weight_shape
            if layer.batch_norm:
                shapes[f"{layer.name}.bias"] = (layer.output.channels,)
        elif isinstance(layer, SqueezeExcite):
            channels, mid = layer.output.channels, layer.mid
            shapes[f"{layer.name}.reduce.weight"] = (mid, channels, 1, 1)
            shapes[f"{layer.name}.reduce.bias"] = (mid,)
            shapes[f"{layer.name}.expand.weight"] = (channels, mid, 1, 1)
            shapes[f"{layer.name}.expand.bias"] = (channels,)
        elif isinstance(layer, Linear):
            shapes[f"{layer.name}.weight"] = (layer.output.channels, layer.input.channels)
            shapes[f"{layer.name}.bias"] = (layer.output.channels,)
    return shapes


def random_weights(graph: Graph, seed: int) -> dict[str, Float32Array]:
    """Random weights for timing, scaled so that activations keep their magnitude.

    Weights are uniform. The variance of each is 2 / fan-in (He et al., ICCV 2015), and half of that
    before a residual sum, to which the other input adds variance. All layers take their weights
    from one pool of random numbers, at different positions, because drawing millions of numbers
    would take most of the time of an export.
    """
    rng = np.random.default_rng(seed)
    shapes = weight_shapes(graph)
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    pool = rng.random(max(sizes.values()) + _PLACES, dtype=np.float32) - np.float32(0.5)
    weights: dict[str, Float32Array] = {}
    for name, shape in shapes.items():
        # Biases have no fan-in; any small variance will do.
        variance = 0.01 if len(shape) == 1 else 2 / math.prod(shape[1:])
        if name.endswith("project.weight"):
            variance /= 2
        start = int(rng.integers(_PLACES))
        # A uniform distribution of width w has the variance w^2 / 12.
        values = pool[start : start + sizes[name]] * np.float32(math.sqrt(12 * variance))
        weights[name] = values.reshape(shape)
    return weights


_PLACES = 10_000
"""How many positions in the pool of random numbers a layer's weights may start at."""


def folded_weights(
    supernet: Supernet, subnet: Subnet, statistics: Mapping[str, Tensor] | None = None
) -> dict[str, Float32Array]:
    """The weights of `subnet`, with batch norm in inference mode folded into them.

    Args:
        supernet: the shared weights.
        subnet: a subnet of its space.
        statistics: batch norm statistics that `bn_calibration.calibrate` returned; None for those
            of the supernet.
    """
    epsilon = family_of(supernet.space).bn_epsilon
    tensors = supernet.active(subnet) | dict(statistics or {})
    active = {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}
    weights: dict[str, Float32Array] = {}
    for name, values in active.items():
        if name.endswith(".conv.weight"):
            layer = name.removesuffix(".conv.weight")
            if f"{layer}.bn.weight" in active:
                folded, weights[f"{layer}.bias"] = _fold(values, active, f"{layer}.bn", epsilon)
                weights[f"{layer}.weight"] = folded
            else:
                weights[f"{layer}.weight"] = np.ascontiguousarray(values)
        elif ".bn." not in name:
            weights[name] = np.ascontiguousarray(values)
    return weights


def _fold(
    weight: Float32Array, active: Weights, norm: str, epsilon: float
) -> tuple[Float32Array, Float32Array]:
    """The weight and bias of a convolution into which batch norm `norm` is folded."""
    variance = active[f"{norm}.running_var"].astype(np.float64)
    scale = active[f"{norm}.weight"] / np.sqrt(variance + epsilon)
    bias = active[f"{norm}.bias"] - active[f"{norm}.running_mean"] * scale
    scaled = weight * scale.astype(np.float32)[:, None, None, None]
    return scaled, bias.astype(np.float32)
