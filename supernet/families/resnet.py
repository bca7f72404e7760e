"""ResNet50D: a deep stem whose second convolution can be dropped, a max pool, bottleneck stages.

The numbers are from OFA_resnet50.py of the reference implementation (mit-han-lab/once-for-all).
"""

from __future__ import annotations

from dataclasses import replace

from compofa.supernet.blocks import INPUT, Add, Block, Conv, Layer, PoolLayer, Shape, Source
from compofa.supernet.families.family import Family
from compofa.supernet.families.parts import (
    ConvForm,
    classifier,
    global_pool,
    plain_conv,
    strided,
)
from compofa.supernet.space import Space
from compofa.supernet.subnet import Subnet, Unit, divisible


def _units(compound: bool) -> tuple[Unit, ...]:
    """The units: the stem, whose residual convolution is elastic, and four bottleneck stages.

    The compound form couples depth, expand ratio and width. CompOFA couples depth and expand ratio
    because networks should grow in all dimensions at once (Tan and Le, EfficientNet, ICML 2019).
    The width of a stage is a third dimension here, so it is coupled too. The 162 subnets reach from
    the smallest of the free space to its largest (0.96 to 7.49 GMACs at 224); the median step
    between neighbours is 0.8 % and the largest 27 %. With free widths there would be 39,366
    subnets. The stem has only one block that can be dropped, so it has two levels: its depth is 0
    at the lower one.
    """
    widths, ratios = (0.65, 0.8, 1.0), (0.2, 0.25, 0.35)
    stem = Unit(64, 1, "relu", False, (0, 1), (1.0,), (3,), widths=widths)
    stages = [
        Unit(width, stride, "relu", False, (0, 1, 2), ratios, (3,), base, widths)
        for width, stride, base in ((256, 1, 2), (512, 2, 2), (1024, 2, 4), (2048, 2, 2))
    ]
    if not compound:
        return (stem, *stages)
    levels = tuple(zip((0, 1, 2), ratios, widths, strict=True))
    stem = replace(stem, widths=(0.65, 1.0), coupling=((0, 1.0, 0.65), (1, 1.0, 1.0)))
    return (stem, *(replace(stage, coupling=levels) for stage in stages))


def _blocks(space: Space, subnet: Subnet, image: Shape) -> tuple[Block, ...]:
    blocks = _stem(space, subnet, image)
    for u, (unit, slots) in enumerate(zip(space.units, space.slot_ranges, strict=True)):
        if u == 0:
            continue  # The first unit is the stem, which is built above.
        for b in range(unit.base_blocks + subnet.depths[u]):
            slot = slots.start + b
            channels = divisible(unit.width * space.width * subnet.widths[u])
            form = ConvForm(subnet.kernels[slot], unit.stride if b == 0 else 1, unit.activation)
            mid = divisible(round(channels * subnet.expands[slot]))
            blocks.append(_bottleneck((u, b), blocks[-1].output, mid, channels, form))
    blocks.append(global_pool(blocks[-1].output))
    blocks.append(classifier(blocks[-1].output, space.classes))
    return tuple(blocks)


def _stem(space: Space, subnet: Subnet, image: Shape) -> list[Block]:
    """The stem: three convolutions, of which a subnet may drop the second, and a max pool."""
    out = divisible(64 * space.width * subnet.widths[0])
    mid = divisible(out // 2)
    first = ConvForm(3, space.stem_stride, "relu")
    blocks = [plain_conv("Stem", "stem.0", Source(INPUT, image), mid, first)]
    if subnet.depths[0]:
        at, shape = blocks[-1].output
        conv = Conv("stem.1", at, shape, shape, subnet.kernels[0], 1, 1, "relu")
        add = Add("stem.add", (at, conv.name), shape)
        blocks.append(Block(f"StemResidual-input:{shape}-output:{shape}", 0, (conv, add)))
    blocks.append(plain_conv("Stem", "stem.2", blocks[-1].output, out, ConvForm(3, 1, "relu")))
    at, shape = blocks[-1].output
    pooled = Shape(out, strided(shape.height, 2), strided(shape.width, 2))
    pool = PoolLayer("stem.pool", at, shape, pooled, "max", 3, 2)
    blocks.append(Block(f"MaxPool2D-input:{shape}-output:{pooled}", None, (pool,)))
    return blocks


def _bottleneck(
    place: tuple[int, int], source: Source, mid: int, channels: int, form: ConvForm
) -> Block:
    """Makes a bottleneck of ResNet-D, whose shortcut pools before its 1x1 convolution.

    Args:
        place: the unit, and the number of the block in it.
        source: the input.
        mid: the number of inner channels.
        channels: the number of output channels.
        form: the properties of the convolution in the middle.
    """
    kernel, stride, activation, _ = form
    at, input = source
    size = strided(input.height, stride)
    inner, output = Shape(mid, size, size), Shape(channels, size, size)
    name = f"units.{place[0]}.{place[1]}"
    wide = Shape(mid, input.height, input.width)
    layers: list[Layer] = [
        Conv(f"{name}.reduce", at, input, wide, 1, 1, 1, activation),
        Conv(f"{name}.conv", f"{name}.reduce", wide, inner, kernel, stride, 1, activation),
        Conv(f"{name}.project", f"{name}.conv", inner, output, 1, 1, 1, "none"),
    ]
    shortcut = at
    if input != output:
        pooled = Shape(input.channels, size, size)
        # ResNet-D averages before the 1x1 convolution instead of skipping pixels in it.
        if stride > 1:
            layers.append(
                PoolLayer(f"{name}.shrink", shortcut, input, pooled, "average", stride, stride)
            )
            shortcut = layers[-1].name
        layers.append(Conv(f"{name}.shortcut", shortcut, pooled, output, 1, 1, 1, "none"))
        shortcut = layers[-1].name
    layers.append(Add(f"{name}.add", (shortcut, f"{name}.project"), output, activation))
    key = f"bottleneck-input:{input}-output:{output}-mid:{mid}-kernel:{kernel}-stride:{stride}"
    return Block(key, place[0], tuple(layers))


RESNET50 = Family(
    "resnet50",
    _blocks,
    (
        Space("compofa-resnet50", "resnet50", _units(compound=True)),
        Space("ofa-resnet50", "resnet50", _units(compound=False)),
    ),
    bn_epsilon=1e-5,
    # The input channels of a unit's first bottleneck depend on the width of the unit before.
    separable=False,
)
