"""MobileNetV3 and ProxylessNAS: a stem, a first block, units of inverted bottlenecks, and a head.

The numbers are from OFA_mbv3.py and OFA_proxyless.py of the reference implementation
(mit-han-lab/once-for-all), and the coupling is from CompOFA's train_ofa_net.py.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from compofa.supernet.blocks import INPUT, Add, Block, Conv, Layer, Shape, Source, SqueezeExcite
from compofa.supernet.families.family import Family
from compofa.supernet.families.parts import (
    ConvForm,
    classifier,
    global_pool,
    plain_conv,
    strided,
)
from compofa.supernet.space import Space
from compofa.supernet.subnet import Activation, Subnet, Unit, divisible

COMPOUND = {2: 3.0, 3: 4.0, 4: 6.0}
"""CompOFA's coupling: the expand ratio of each depth (train_ofa_net.py of the reference)."""

COMPOUND_KERNELS = (3, 5, 3, 3, 5)
"""The kernels of the five units in a fixed-kernel space, which are those of MobileNetV3-Large."""


def _free_unit(width: int, stride: int, activation: Activation, squeeze_excite: bool) -> Unit:
    return Unit(width, stride, activation, squeeze_excite, (2, 3, 4), (3, 4, 6), (3, 5, 7))


def _compound(units: tuple[Unit, ...], kernels: Sequence[int] | None) -> tuple[Unit, ...]:
    """`units` with CompOFA's coupling; a unit with only one depth gets the largest expand ratio.

    Args:
        units: the units of a space that is not coupled.
        kernels: the only kernel of each unit; None to keep all kernels as choices.
    """
    coupled = []
    for i, unit in enumerate(units):
        single = len(unit.depths) == 1
        coupling = tuple(
            (depth, unit.expands[-1] if single else COMPOUND[depth], 1.0) for depth in unit.depths
        )
        choice = unit.kernels if kernels is None else (kernels[i],)
        coupled.append(replace(unit, coupling=coupling, kernels=choice))
    return tuple(coupled)


def _mbv3_spaces() -> tuple[Space, ...]:
    units = (
        _free_unit(24, 2, "relu", False),
        _free_unit(40, 2, "relu", True),
        _free_unit(80, 2, "h_swish", False),
        _free_unit(112, 1, "h_swish", True),
        _free_unit(160, 2, "h_swish", True),
    )
    spaces: list[Space] = []
    for width, suffix in ((1.0, ""), (1.2, "-w1.2")):
        spaces += [
            Space("compofa" + suffix, "mbv3", _compound(units, COMPOUND_KERNELS), width),
            Space("compofa-elastic" + suffix, "mbv3", _compound(units, None), width),
            Space("ofa-mbv3" + suffix, "mbv3", units, width),
        ]
    return tuple(spaces)


def _proxyless_spaces() -> tuple[Space, ...]:
    rows = [(24, 2), (40, 2), (80, 2), (96, 1), (192, 2)]
    elastic = [_free_unit(width, stride, "relu6", False) for width, stride in rows]
    units = (*elastic, replace(_free_unit(320, 1, "relu6", False), depths=(1,)))
    fixed = (*COMPOUND_KERNELS, COMPOUND_KERNELS[-1])
    return (
        Space("compofa-proxyless-w1.3", "proxyless", _compound(units, fixed), 1.3),
        Space("ofa-proxyless-w1.3", "proxyless", units, 1.3),
    )


def _mbv3_blocks(space: Space, subnet: Subnet, image: Shape) -> tuple[Block, ...]:
    """The blocks of MobileNetV3.

    Its head is a final expand, the pool, and then a feature mix without batch norm.
    """
    blocks = _body(space, subnet, image, stem=(space.channels(16), "h_swish"), first="relu")
    wide, mixed = space.channels(960), space.channels(1280)
    pointwise = ConvForm(1, 1, "h_swish")
    expand = plain_conv("Conv_1", "final_expand", blocks[-1].output, wide, pointwise)
    pool = global_pool(expand.output)
    unnormalised = pointwise._replace(batch_norm=False)
    mix = plain_conv("Conv_2", "feature_mix", pool.output, mixed, unnormalised)
    return (*blocks, expand, pool, mix, classifier(mix.output, space.classes))


def _proxyless_blocks(space: Space, subnet: Subnet, image: Shape) -> tuple[Block, ...]:
    """The blocks of ProxylessNAS; its head is a feature mix with batch norm, then the pool."""
    blocks = _body(space, subnet, image, stem=(space.channels(32), "relu6"), first="relu6")
    pointwise = ConvForm(1, 1, "relu6")
    mixed = space.channels(1280)
    mix = plain_conv("Conv_1", "feature_mix", blocks[-1].output, mixed, pointwise)
    pool = global_pool(mix.output)
    return (*blocks, mix, pool, classifier(pool.output, space.classes))


def _body(
    space: Space,
    subnet: Subnet,
    image: Shape,
    *,
    stem: tuple[int, Activation],
    first: Activation,
) -> list[Block]:
    """The blocks of a subnet up to the head.

    Args:
        space: the space of the subnet.
        subnet: the subnet.
        image: the shape of the input.
        stem: the channels and the activation of the stem.
        first: the activation of the first block, which has no expansion.
    """
    channels, activation = stem
    form = ConvForm(3, space.stem_stride, activation)
    blocks = [plain_conv("Conv", "stem", Source(INPUT, image), channels, form)]
    thin = _InvertedForm(space.channels(16), None, 3, 1, first, False)
    blocks.append(_inverted("first", None, blocks[-1].output, thin))
    for u, (unit, slots) in enumerate(zip(space.units, space.slot_ranges, strict=True)):
        channels = space.channels(unit.width)
        for b in range(unit.base_blocks + subnet.depths[u]):
            source, slot = blocks[-1].output, slots.start + b
            mid = divisible(round(source.shape.channels * subnet.expands[slot]))
            kernel, stride = subnet.kernels[slot], unit.stride if b == 0 else 1
            bottleneck = _InvertedForm(
                channels, mid, kernel, stride, unit.activation, unit.squeeze_excite
            )
            blocks.append(_inverted(f"units.{u}.{b}", u, source, bottleneck))
    return blocks


class _InvertedForm(NamedTuple):
    """The properties of an inverted bottleneck; without an expansion, `mid` is None."""

    channels: int
    mid: int | None
    kernel: int
    stride: int
    activation: Activation
    squeeze_excite: bool


@lru_cache(maxsize=16384)
def _inverted(name: str, unit: int | None, source: Source, form: _InvertedForm) -> Block:
    """Makes an inverted bottleneck (Sandler et al., MobileNetV2, CVPR 2018)."""
    channels, mid, kernel, stride, activation, squeeze_excite = form
    layers: list[Layer] = []
    input = source.shape
    width, at = input, source.name
    if mid is not None:
        width = Shape(mid, input.height, input.width)
        layers.append(Conv(f"{name}.expand", at, input, width, 1, 1, 1, activation))
        at = layers[-1].name
    inner = Shape(width.channels, strided(input.height, stride), strided(input.width, stride))
    layers.append(
        Conv(f"{name}.depthwise", at, width, inner, kernel, stride, inner.channels, activation)
    )
    if squeeze_excite:
        squeezed = divisible(inner.channels // 4)
        layers.append(SqueezeExcite(f"{name}.se", layers[-1].name, inner, squeezed))
    output = Shape(channels, inner.height, inner.width)
    layers.append(Conv(f"{name}.project", layers[-1].name, inner, output, 1, 1, 1, "none"))
    # As in the reference, there is a shortcut wherever the shapes allow one.
    skip = input == output
    if skip:
        layers.append(Add(f"{name}.add", (source.name, layers[-1].name), output))
    key = (
        f"expanded_conv-input:{input}-output:{output}-expand:{inner.channels}-kernel:{kernel}"
        f"-stride:{stride}-idskip:{skip:d}-se:{squeeze_excite:d}-hs:{activation == 'h_swish':d}"
    )
    return Block(key, unit, tuple(layers))


_RELEASED_PARTS = {
    "expand": "inverted_bottleneck",
    "depthwise": "depth_conv",
    "se": "depth_conv.se.fc",
    "project": "point_linear",
}
_RELEASED_ENDS = {
    "stem": "first_conv",
    "final_expand": "final_expand_layer",
    "feature_mix": "feature_mix_layer",
    "classifier": "classifier.linear",
}


def _released_name(name: str, space: Space) -> str:
    """The name of our tensor `name` in the reference, which numbers blocks across units."""
    in_block = re.fullmatch(r"(first|units\.(\d+)\.(\d+))\.([a-z]+)\.(.+)", name)
    if in_block is None:
        module, tensor = name.split(".", 1)
        return f"{_RELEASED_ENDS[module]}.{tensor}"
    where, unit, block, part, tensor = in_block.groups()
    if where == "first":
        return f"blocks.0.mobile_inverted_conv.{_RELEASED_PARTS[part]}.{tensor}"
    # In the reference, an elastic layer contains an ordinary one of the same name.
    if part != "se":
        tensor = re.sub(r"^conv\.weight$", "conv.conv.weight", tensor)
        tensor = re.sub(r"^conv\.transforms\.(.+)$", r"conv.\1_matrix", tensor)
        tensor = re.sub(r"^bn\.", "bn.bn.", tensor)
    index = 1 + space.slot_ranges[int(unit)].start + int(block)
    return f"blocks.{index}.mobile_inverted_conv.{_RELEASED_PARTS[part]}.{tensor}"


MBV3 = Family("mbv3", _mbv3_blocks, _mbv3_spaces(), 1e-5, True, _released_name)
PROXYLESS = Family("proxyless", _proxyless_blocks, _proxyless_spaces(), 1e-3, True, _released_name)
