"""Layers with their shapes, the blocks that they form, and the costs of both.

Weights are named after their layers: those of a layer `units.0.1.expand` are
`units.0.1.expand.weight` and, once batch norm is folded, `units.0.1.expand.bias`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

from compofa.supernet.subnet import Activation

INPUT = "input"
"""The name under which layers refer to the network's input."""

OUTPUT = "logits"
"""The name of the network's output in model files."""


class Shape(NamedTuple):
    """The shape of an activation: channels, height and width, without the batch."""

    channels: int
    height: int
    width: int

    @property
    def elements(self) -> int:
        """How many numbers it has, per image."""
        return self.channels * self.height * self.width

    def __str__(self) -> str:
        return f"{self.height}x{self.width}x{self.channels}"


class Source(NamedTuple):
    """The input of a layer or a block: the output of the layer `name`, and its shape."""

    name: str
    shape: Shape


@dataclass(frozen=True, slots=True)
class Conv:
    """A convolution with symmetric padding `kernel // 2`, with or without batch norm."""

    name: str
    source: str
    input: Shape
    output: Shape
    kernel: int
    stride: int
    groups: int
    activation: Activation
    batch_norm: bool = True

    @property
    def depthwise(self) -> bool:
        """Whether there is one filter per channel."""
        return self.groups > 1

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the layers it reads."""
        return (self.source,)

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """The shape of the weights: [out, in / groups, kernel, kernel]."""
        return (
            self.output.channels,
            self.input.channels // self.groups,
            self.kernel,
            self.kernel,
        )

    @property
    def macs(self) -> int:
        """Multiply-accumulates per image."""
        per_output = self.input.channels // self.groups * self.kernel**2
        return self.output.elements * per_output

    @property
    def params(self) -> int:
        """Trainable parameters: the weights, and two numbers per channel for batch norm."""
        per_channel = self.input.channels // self.groups * self.kernel**2
        return self.output.channels * (per_channel + (2 if self.batch_norm else 0))


@dataclass(frozen=True, slots=True)
class SqueezeExcite:
    """Channel attention: global pool, reduce, ReLU, expand, hard sigmoid, multiply."""

    name: str
    source: str
    output: Shape
    mid: int

    @property
    def input(self) -> Shape:
        """As the output."""
        return self.output

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the layers it reads."""
        return (self.source,)

    @property
    def macs(self) -> int:
        """Multiply-accumulates per image of its two 1x1 convolutions, as OFA counts them."""
        return 2 * self.output.channels * self.mid

    @property
    def params(self) -> int:
        """Trainable parameters: the weights and biases of both convolutions."""
        return 2 * self.output.channels * self.mid + self.output.channels + self.mid


@dataclass(frozen=True, slots=True)
class Add:
    """A residual connection."""

    name: str
    sources: tuple[str, str]
    output: Shape
    activation: Activation = "none"
    macs: Literal[0] = 0
    params: Literal[0] = 0

    @property
    def input(self) -> Shape:
        """As the output."""
        return self.output


@dataclass(frozen=True, slots=True)
class PoolLayer:
    """Pooling: global average, maximum (padding `kernel // 2`), or average (rounding up)."""

    name: str
    source: str
    input: Shape
    output: Shape
    kind: Literal["global_average", "max", "average"]
    kernel: int = 0
    stride: int = 1
    params: Literal[0] = 0

    @property
    def macs(self) -> int:
        """Multiply-accumulates per image: an average counts as a convolution with equal weights.

        OFA's flops_counter.py does not count averages. With them, the MACs that OFA publishes are
        reproduced exactly for all of its eight specialised networks, without them for seven.
        """
        return 0 if self.kind == "max" else self.input.elements

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the layers it reads."""
        return (self.source,)


@dataclass(frozen=True, slots=True)
class Linear:
    """The classifier, whose input is [channels, 1, 1]."""

    name: str
    source: str
    input: Shape
    output: Shape

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the layers it reads."""
        return (self.source,)

    @property
    def macs(self) -> int:
        """Multiply-accumulates per image."""
        return self.input.channels * self.output.channels

    @property
    def params(self) -> int:
        """Trainable parameters: weights and biases."""
        return self.macs + self.output.channels


Layer = Conv | SqueezeExcite | Add | PoolLayer | Linear


@dataclass(frozen=True)
class Block:
    """Layers that are chosen or dropped together.

    Attributes:
        key: the key of such a block in published latency tables.
        unit: the elastic unit that it belongs to, counted from 0; None outside of units.
        layers: the layers in order of execution.
    """

    key: str
    unit: int | None
    layers: tuple[Layer, ...]

    @cached_property
    def output(self) -> Source:
        """The output of its last layer, which is the input of the next block."""
        return Source(self.layers[-1].name, self.layers[-1].output)

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates per image."""
        return sum(layer.macs for layer in self.layers)

    @cached_property
    def params(self) -> int:
        """Trainable parameters."""
        return sum(layer.params for layer in self.layers)

    @cached_property
    def folded_params(self) -> int:
        """How many weights it has once batch norm is folded into one bias per channel."""
        norms = sum(
            layer.output.channels
            for layer in self.layers
            if isinstance(layer, Conv) and layer.batch_norm
        )
        return self.params - norms

    @cached_property
    def peak_activations(self) -> int:
        """The most numbers per image in memory at once while it runs, including its input.

        A layer's output is kept until it has been read for the last time, and no layer overwrites
        its input. The intermediate results of channel attention, one number per channel, are not
        counted.
        """
        first = self.layers[0]
        sizes = {first.sources[0]: first.input.elements}
        last_read = {source: i for i, layer in enumerate(self.layers) for source in layer.sources}
        peak = 0
        for i, layer in enumerate(self.layers):
            sizes[layer.name] = layer.output.elements
            held = (size for name, size in sizes.items() if last_read.get(name, i) >= i)
            peak = max(peak, sum(held))
        return peak
