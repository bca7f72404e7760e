"""A subnet as a list of layers with shapes: what it computes, and what that costs.

The graph is what writers turn into model files, what latency models take their features from, and
what names the blocks of published latency tables. It needs no weights and no framework.

Layer names are also the names of the weights: a layer `units.0.1.expand` takes
`units.0.1.expand.weight` and, once batch norm is folded, `units.0.1.expand.bias`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal, NamedTuple

from compofa.common.errors import UserError
from compofa.supernet.space import Activation, Space, Subnet, Unit, divisible

INPUT = "input"
"""The name under which layers refer to the network's input."""

OUTPUT = "logits"
"""What model files call the network's output."""


class Shape(NamedTuple):
    """One activation: channels, height and width (batch left out)."""

    channels: int
    height: int
    width: int

    @property
    def elements(self) -> int:
        """Numbers it holds, per image."""
        return self.channels * self.height * self.width

    def __str__(self) -> str:
        return f"{self.height}x{self.width}x{self.channels}"


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
        """One filter a channel."""
        return self.groups > 1

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the layers it reads."""
        return (self.source,)

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """[out, in / groups, kernel, kernel]."""
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
        """Weights, and two per channel for batch norm."""
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
        """Of its two 1x1 convolutions, as OFA counts them."""
        return 2 * self.output.channels * self.mid

    @property
    def params(self) -> int:
        """Weights and biases of both convolutions."""
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
        """Of an average, one per number that it adds up: it is a convolution with equal weights.

        OFA's flops_counter.py leaves it out; with it, the MACs that OFA publishes for its eight
        specialised networks come out to the last digit, without it seven of the eight.
        """
        return 0 if self.kind == "max" else self.input.elements

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the layers it reads."""
        return (self.source,)


@dataclass(frozen=True, slots=True)
class Linear:
    """The classifier, on a [channels, 1, 1] input."""

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
        """Weights and biases."""
        return self.macs + self.output.channels


Layer = Conv | SqueezeExcite | Add | PoolLayer | Linear


@dataclass(frozen=True)
class Block:
    """Layers that stand or fall together, and the key that latency tables know them by.

    Attributes:
        unit: the elastic unit it belongs to, counted from 0; None outside them.
    """

    key: str
    unit: int | None
    layers: tuple[Layer, ...]

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
        """Numbers in its weights once batch norm is folded: one bias per channel is left of it."""
        norms = sum(
            layer.output.channels
            for layer in self.layers
            if isinstance(layer, Conv) and layer.batch_norm
        )
        return self.params - norms

    @cached_property
    def peak_activations(self) -> int:
        """The most numbers per image that must be held at once while it runs, its input included.

        A layer's output is held until it was last read, and no layer writes over its input. What
        channel attention computes on the way, one number per channel, is not counted.
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


@dataclass(frozen=True)
class Graph:
    """A subnet at one resolution, as blocks of layers in order of execution."""

    space: Space
    subnet: Subnet
    resolution: int
    blocks: tuple[Block, ...]

    @property
    def input(self) -> Shape:
        """The image."""
        return Shape(self.space.in_channels, self.resolution, self.resolution)

    @property
    def layers(self) -> Iterator[Layer]:
        """All layers, in order of execution."""
        return (layer for block in self.blocks for layer in block.layers)

    @property
    def macs(self) -> int:
        """Multiply-accumulates per image."""
        return sum(block.macs for block in self.blocks)

    @property
    def params(self) -> int:
        """Trainable parameters, batch norm's included."""
        return sum(block.params for block in self.blocks)

    @property
    def activation_bytes(self) -> int:
        """Bytes that float32 layers write, per image: the traffic of activations."""
        return 4 * sum(layer.output.elements for layer in self.layers)

    @property
    def peak_activation_bytes(self) -> int:
        """Bytes of float32 activations that must be held at once, per image.

        One tensor passes from block to block, so no more is held than some block needs by itself.
        """
        return 4 * max(block.peak_activations for block in self.blocks)

    @property
    def weight_bytes(self) -> int:
        """Bytes of float32 weights, batch norm folded: a model file but for its names."""
        return 4 * sum(block.folded_params for block in self.blocks)


SMALLEST_RESOLUTION = 8
LARGEST_RESOLUTION = 4096


def build_graph(space: Space, subnet: Subnet, resolution: int) -> Graph:
    """The layers of `subnet` of `space` for square inputs of `resolution` pixels.

    Raises:
        UserError: the resolution is out of bounds, or the subnet is not in the space.
    """
    if not SMALLEST_RESOLUTION <= resolution <= LARGEST_RESOLUTION:
        bounds = f"{SMALLEST_RESOLUTION} to {LARGEST_RESOLUTION}"
        raise UserError(f"resolution {resolution} is out of bounds, {bounds}")
    reason = space.why_not(subnet)
    if reason is not None:
        raise UserError(f"not a subnet of space {space.name}: {reason}")
    return Graph(space, subnet, resolution, graph_blocks(space, subnet, resolution))


def graph_blocks(space: Space, subnet: Subnet, resolution: int) -> tuple[Block, ...]:
    """The blocks of `build_graph`, for a subnet known to be of the space (nothing is checked)."""
    image = Shape(space.in_channels, resolution, resolution)
    if space.family == "resnet50":
        return _resnet_blocks(space, subnet, image)
    return _mobile_blocks(space, subnet, image)


def _mobile_blocks(space: Space, subnet: Subnet, image: Shape) -> tuple[Block, ...]:
    """MobileNetV3 and ProxylessNAS: stem, first block, inverted-bottleneck units, head."""
    mbv3 = space.family == "mbv3"
    stem = space.channels(16 if mbv3 else 32)
    activation: Activation = "h_swish" if mbv3 else "relu6"
    blocks = [_plain_conv("Conv", "stem", INPUT, image, stem, 3, space.stem_stride, activation)]
    first: Activation = "relu" if mbv3 else "relu6"
    blocks.append(
        _inverted(
            "first", None, blocks[-1].layers[-1].name, blocks[-1].layers[-1].output,
            space.channels(16), None, 3, 1, first, False,
        )
    )  # fmt: skip
    for u, (unit, slots) in enumerate(zip(space.units, space.slot_ranges, strict=True)):
        for b in range(unit.base_blocks + subnet.depths[u]):
            last = blocks[-1].layers[-1]
            slot = slots.start + b
            mid = divisible(round(last.output.channels * subnet.expands[slot]))
            stride = unit.stride if b == 0 else 1
            blocks.append(
                _inverted(
                    f"units.{u}.{b}", u, last.name, last.output, space.channels(unit.width), mid,
                    subnet.kernels[slot], stride, unit.activation, unit.squeeze_excite,
                )
            )  # fmt: skip
    last = blocks[-1].layers[-1]
    head = _mbv3_head if mbv3 else _proxyless_head
    return (*blocks, *head(space, last.name, last.output))


@lru_cache(maxsize=16384)
def _inverted(
    name: str,
    unit: int | None,
    source: str,
    input: Shape,
    out_channels: int,
    mid: int | None,
    kernel: int,
    stride: int,
    activation: Activation,
    squeeze_excite: bool,
) -> Block:
    """An inverted bottleneck; `mid` None leaves the expansion out (the first block)."""
    layers: list[Layer] = []
    width, at = input, source
    if mid is not None:
        width = Shape(mid, input.height, input.width)
        layers.append(Conv(f"{name}.expand", at, input, width, 1, 1, 1, activation))
        at = layers[-1].name
    inner = Shape(width.channels, _strided(input.height, stride), _strided(input.width, stride))
    layers.append(
        Conv(f"{name}.depthwise", at, width, inner, kernel, stride, inner.channels, activation)
    )
    if squeeze_excite:
        squeezed = divisible(inner.channels // 4)
        layers.append(SqueezeExcite(f"{name}.se", layers[-1].name, inner, squeezed))
    output = Shape(out_channels, inner.height, inner.width)
    layers.append(Conv(f"{name}.project", layers[-1].name, inner, output, 1, 1, 1, "none"))
    skip = input == output
    if skip:
        layers.append(Add(f"{name}.add", (source, layers[-1].name), output))
    key = (
        f"expanded_conv-input:{input}-output:{output}-expand:{inner.channels}-kernel:{kernel}"
        f"-stride:{stride}-idskip:{skip:d}-se:{squeeze_excite:d}-hs:{activation == 'h_swish':d}"
    )
    return Block(key, unit, tuple(layers))


@lru_cache(maxsize=4096)
def _plain_conv(
    key: str,
    name: str,
    source: str,
    input: Shape,
    channels: int,
    kernel: int,
    stride: int,
    activation: Activation,
    batch_norm: bool = True,
) -> Block:
    output = Shape(channels, _strided(input.height, stride), _strided(input.width, stride))
    conv = Conv(name, source, input, output, kernel, stride, 1, activation, batch_norm)
    return Block(f"{key}-input:{input}-output:{output}", None, (conv,))


@lru_cache(maxsize=4096)
def _global_pool(source: str, input: Shape) -> Block:
    output = Shape(input.channels, 1, 1)
    pool = PoolLayer("pool", source, input, output, "global_average")
    return Block(f"AvgPool2D-input:{input}-output:{output}", None, (pool,))


@lru_cache(maxsize=4096)
def _classifier(source: str, input: Shape, classes: int) -> Block:
    layer = Linear("classifier", source, input, Shape(classes, 1, 1))
    return Block(f"Logits-input:{input}-output:{classes}", None, (layer,))


def _mbv3_head(space: Space, source: str, input: Shape) -> tuple[Block, ...]:
    """Final expand, pool, then a feature mix without batch norm."""
    wide, mixed = space.channels(960), space.channels(1280)
    expand = _plain_conv("Conv_1", "final_expand", source, input, wide, 1, 1, "h_swish")
    pooled = Shape(wide, 1, 1)
    mix = _plain_conv("Conv_2", "feature_mix", "pool", pooled, mixed, 1, 1, "h_swish", False)
    pool = _global_pool("final_expand", expand.layers[0].output)
    return (expand, pool, mix, _classifier("feature_mix", Shape(mixed, 1, 1), space.classes))


def _proxyless_head(space: Space, source: str, input: Shape) -> tuple[Block, ...]:
    """A feature mix with batch norm, then pool."""
    mixed = space.channels(1280)
    mix = _plain_conv("Conv_1", "feature_mix", source, input, mixed, 1, 1, "relu6")
    pool = _global_pool("feature_mix", mix.layers[0].output)
    return (mix, pool, _classifier("pool", Shape(mixed, 1, 1), space.classes))


def _resnet_blocks(space: Space, subnet: Subnet, image: Shape) -> tuple[Block, ...]:
    """ResNet50D: a deep stem whose second conv can be dropped, max pool, bottleneck stages."""
    widths = subnet.widths
    out = divisible(64 * space.width * widths[0])
    mid = divisible(out // 2)
    blocks = [_plain_conv("Stem", "stem.0", INPUT, image, mid, 3, space.stem_stride, "relu")]
    at = blocks[-1].layers[-1]
    if subnet.depths[0]:
        conv = Conv("stem.1", at.name, at.output, at.output, subnet.kernels[0], 1, 1, "relu")
        add = Add("stem.add", (at.name, conv.name), at.output)
        blocks.append(Block(f"StemResidual-input:{at.output}-output:{at.output}", 0, (conv, add)))
        at = add
    blocks.append(_plain_conv("Stem", "stem.2", at.name, at.output, out, 3, 1, "relu"))
    at = blocks[-1].layers[-1]
    pooled = Shape(out, _strided(at.output.height, 2), _strided(at.output.width, 2))
    pool = PoolLayer("stem.pool", at.name, at.output, pooled, "max", 3, 2)
    blocks.append(Block(f"MaxPool2D-input:{at.output}-output:{pooled}", None, (pool,)))
    for u, (unit, slots) in list(enumerate(zip(space.units, space.slot_ranges, strict=True)))[1:]:
        for b in range(unit.base_blocks + subnet.depths[u]):
            at = blocks[-1].layers[-1]
            blocks.append(_bottleneck(space, subnet, u, unit, b, slots.start + b, at))
    at = blocks[-1].layers[-1]
    blocks.append(_global_pool(at.name, at.output))
    blocks.append(_classifier("pool", blocks[-1].layers[0].output, space.classes))
    return tuple(blocks)


def _bottleneck(
    space: Space, subnet: Subnet, u: int, unit: Unit, b: int, slot: int, at: Layer
) -> Block:
    """ResNet-D's bottleneck; its shortcut pools before its 1x1 convolution."""
    input = at.output
    channels = divisible(unit.width * space.width * subnet.widths[u])
    mid = divisible(round(channels * subnet.expands[slot]))
    kernel = subnet.kernels[slot]
    stride = unit.stride if b == 0 else 1
    size = _strided(input.height, stride)
    inner, output = Shape(mid, size, size), Shape(channels, size, size)
    name = f"units.{u}.{b}"
    wide = Shape(mid, input.height, input.width)
    layers: list[Layer] = [
        Conv(f"{name}.reduce", at.name, input, wide, 1, 1, 1, "relu"),
        Conv(f"{name}.conv", f"{name}.reduce", wide, inner, kernel, stride, 1, "relu"),
        Conv(f"{name}.project", f"{name}.conv", inner, output, 1, 1, 1, "none"),
    ]
    shortcut = at.name
    if input != output:
        pooled = Shape(input.channels, size, size)
        if stride > 1:
            layers.append(
                PoolLayer(f"{name}.shrink", shortcut, input, pooled, "average", stride, stride)
            )
            shortcut = layers[-1].name
        layers.append(Conv(f"{name}.shortcut", shortcut, pooled, output, 1, 1, 1, "none"))
        shortcut = layers[-1].name
    layers.append(Add(f"{name}.add", (shortcut, f"{name}.project"), output, "relu"))
    key = f"bottleneck-input:{input}-output:{output}-mid:{mid}-kernel:{kernel}-stride:{stride}"
    return Block(key, u, tuple(layers))


def _strided(size: int, stride: int) -> int:
    """Output size of a layer padded by `kernel // 2`, for odd kernels."""
    return -(-size // stride)
