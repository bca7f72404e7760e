"""Elastic layers: each holds the largest weights and uses the part that a subnet's layer needs.

The layer in a subnet's graph determines the choice: its channel counts and kernel size say which
slice of the weights is active. The active channels are always the first ones. A smaller kernel is
the centre of the larger one, multiplied by a learned matrix if the supernet has kernel transforms
(Cai et al., Once-for-All, ICLR 2020, section 3.3). Slices are views, so inactive weights get
exactly zero gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compofa.supernet.blocks import Conv, Linear, SqueezeExcite
from compofa.supernet.network import activate, squeeze_excite


def centre(weight: Tensor, size: int) -> Tensor:
    """The middle `size` x `size` of kernels [..., k, k], as a view."""
    start = (weight.shape[-1] - size) // 2
    return weight[..., start : start + size, start : start + size]


def smaller_kernel(
    weight: Tensor, sizes: Sequence[int], size: int, transforms: Mapping[str, Tensor]
) -> Tensor:
    """The smaller kernels that are contained in the largest ones.

    Args:
        weight: the largest kernels, [out, in, k, k].
        sizes: all kernel sizes of the layer.
        size: the wanted one.
        transforms: matrices from each size to the next smaller one, such as "7to5" with shape
            [25, 25]; empty if kernels are only cropped. A matrix multiplies the flattened crop from
            the left, and the next step starts from its result.

    Returns:
        The kernels, [out, in, size, size].
    """
    if not transforms:
        return centre(weight, size)
    for larger, smaller in pairwise(sorted(sizes, reverse=True)):
        if larger <= size:
            break
        crop = centre(weight, smaller)
        flat = F.linear(crop.flatten(2), transforms[f"{larger}to{smaller}"])
        weight = flat.view(crop.shape)
    return weight


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, layer: Conv) -> Tensor:
    """Runs the convolution of `layer`: [n, in, h, w] -> [n, out, h / stride, w / stride]."""
    if layer.depthwise and x.shape[2:] == (1, 1):
        # All of the kernel but its middle is on padding. Torch's convolution takes a hundred times
        # as long here on a CPU, because the memory layout of a single pixel does not show that
        # channels come last.
        y = x * centre(weight, 1).view(-1, 1, 1)
        return y if bias is None else y + bias.view(-1, 1, 1)
    return F.conv2d(x, weight, bias, layer.stride, layer.kernel // 2, groups=layer.groups)


class ElasticConv2d(nn.Module):
    """A convolution with elastic input channels, output channels and kernel size.

    Attributes:
        weight: the largest weights, [out, in / groups, k, k].
        kernels: the kernel sizes to choose from, ascending.
        transforms: the kernel transform matrices, initially the identity; empty without transforms.
    """

    def __init__(self, largest: Conv, kernels: Sequence[int], kernel_transform: bool) -> None:
        super().__init__()
        self.kernels = tuple(sorted(kernels))
        self.weight = _parameter(largest.weight_shape, _he_fan_out)
        self.transforms = nn.ParameterDict()
        if kernel_transform:
            for smaller, larger in pairwise(self.kernels):
                matrix = _parameter((smaller**2, smaller**2), nn.init.eye_)
                self.transforms[f"{larger}to{smaller}"] = matrix

    def active_weight(self, layer: Conv) -> Tensor:
        """The weights that `layer` uses, as a view unless its kernel is transformed."""
        out, inputs, kernel, _ = layer.weight_shape
        weight = self.weight[:out, :inputs]
        if kernel == self.kernels[-1]:
            return weight
        return smaller_kernel(weight, self.kernels, kernel, dict(self.transforms.items()))

    def forward(self, x: Tensor, layer: Conv) -> Tensor:
        """[n, in, h, w] -> [n, out, h / stride, w / stride]."""
        return convolve(x, self.active_weight(layer), None, layer)


class ElasticBatchNorm2d(nn.BatchNorm2d):
    """Batch norm over the first channels, as many as its input has.

    Its momentum is constant, so the count of batches is kept only for the file format.
    """

    def active(self, channels: int) -> dict[str, Tensor]:
        """The tensors of an ordinary batch norm of `channels` channels, by name."""
        return {
            "weight": self.weight[:channels],
            "bias": self.bias[:channels],
            "running_mean": self.get_buffer("running_mean")[:channels],
            "running_var": self.get_buffer("running_var")[:channels],
            "num_batches_tracked": self.get_buffer("num_batches_tracked"),
        }

    def forward(self, input: Tensor) -> Tensor:
        """[n, channels, h, w] -> the same; updates the running statistics in training."""
        active = self.active(input.shape[1])
        return F.batch_norm(
            input,
            active["running_mean"],
            active["running_var"],
            active["weight"],
            active["bias"],
            self.training,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
        )

    def scale_and_shift(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        """The factor and the summand of normalisation by these statistics, each [channels]."""
        channels = len(mean)
        scale = self.weight[:channels] * (variance + self.eps).rsqrt()
        return scale, self.bias[:channels] - mean * scale


class ElasticConvUnit(nn.Module):
    """The module of a graph's `Conv`: convolution, batch norm if it has one, activation."""

    def __init__(
        self, largest: Conv, kernels: Sequence[int], kernel_transform: bool, bn_epsilon: float
    ) -> None:
        super().__init__()
        self.conv = ElasticConv2d(largest, kernels, kernel_transform)
        self.bn: ElasticBatchNorm2d | None = None
        if largest.batch_norm:
            self.bn = ElasticBatchNorm2d(largest.output.channels, eps=bn_epsilon)

    def active(self, layer: Conv) -> dict[str, Tensor]:
        """The tensors that `layer` uses, named as in a plain network."""
        tensors = {"conv.weight": self.conv.active_weight(layer)}
        if self.bn is not None:
            norm = self.bn.active(layer.output.channels)
            tensors |= {f"bn.{name}": tensor for name, tensor in norm.items()}
        return tensors

    def forward(self, x: Tensor, layer: Conv) -> Tensor:
        """[n, in, h, w] -> [n, out, h / stride, w / stride]."""
        x = self.conv(x, layer)
        if self.bn is not None:
            x = self.bn(x)
        return activate(x, layer.activation)


class ElasticSqueezeExcite(nn.Module):
    """Channel attention with elastic channels and elastic squeezed channels."""

    def __init__(self, largest: SqueezeExcite) -> None:
        super().__init__()
        self.reduce = _pointwise(largest.output.channels, largest.mid)
        self.expand = _pointwise(largest.mid, largest.output.channels)

    def active(self, layer: SqueezeExcite) -> dict[str, Tensor]:
        """The tensors that `layer` uses, named as in a plain network."""
        channels, mid = layer.output.channels, layer.mid
        return {
            "reduce.weight": self.reduce["weight"][:mid, :channels],
            "reduce.bias": self.reduce["bias"][:mid],
            "expand.weight": self.expand["weight"][:channels, :mid],
            "expand.bias": self.expand["bias"][:channels],
        }

    def forward(self, x: Tensor, layer: SqueezeExcite) -> Tensor:
        """[n, channels, h, w] -> the same, each channel scaled."""
        active = self.active(layer)
        return squeeze_excite(
            x,
            lambda means: F.conv2d(means, active["reduce.weight"], active["reduce.bias"]),
            lambda squeezed: F.conv2d(squeezed, active["expand.weight"], active["expand.bias"]),
        )


class ElasticLinear(nn.Module):
    """A classifier with elastic input channels; all classes are always active."""

    def __init__(self, largest: Linear) -> None:
        super().__init__()
        inputs, classes = largest.input.channels, largest.output.channels
        bound = inputs**-0.5
        self.weight = _parameter((classes, inputs), lambda w: nn.init.uniform_(w, -bound, bound))
        self.bias = _parameter((classes,), nn.init.zeros_)

    def active(self, layer: Linear) -> dict[str, Tensor]:
        """The tensors that `layer` uses, named as in a plain network."""
        return {"weight": self.weight[:, : layer.input.channels], "bias": self.bias}

    def forward(self, x: Tensor, layer: Linear) -> Tensor:
        """[n, in] -> [n, classes]."""
        return F.linear(x, self.weight[:, : layer.input.channels], self.bias)


def _parameter(shape: Sequence[int], fill: Callable[[Tensor], object]) -> nn.Parameter:
    """A parameter with initial values, unless it has no storage for them (on the meta device)."""
    parameter = nn.Parameter(torch.empty(*shape))
    if not parameter.is_meta:
        fill(parameter)
    return parameter


def _he_fan_out(weight: Tensor) -> Tensor:
    return nn.init.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu")


def _pointwise(inputs: int, outputs: int) -> nn.ParameterDict:
    """Weight and bias of a 1x1 convolution."""
    weight = _parameter((outputs, inputs, 1, 1), _he_fan_out)
    return nn.ParameterDict({"weight": weight, "bias": _parameter((outputs,), nn.init.zeros_)})
