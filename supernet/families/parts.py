"""Blocks that families have in common, and what they are described by."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from compofa.supernet.blocks import Block, Conv, Linear, PoolLayer, Shape, Source
from compofa.supernet.subnet import Activation

# Blocks are cached: the subnets of a space share most of theirs, and spaces are listed in full.


class ConvForm(NamedTuple):
    """What a convolution is like, its channels left out."""

    kernel: int
    stride: int
    activation: Activation
    batch_norm: bool = True


def strided(size: int, stride: int) -> int:
    """Output size of a layer padded by `kernel // 2`, for odd kernels."""
    return -(-size // stride)


@lru_cache(maxsize=4096)
def plain_conv(key: str, name: str, source: Source, channels: int, form: ConvForm) -> Block:
    """A block of one convolution `name`; `key` is how latency tables call such a block."""
    kernel, stride, activation, batch_norm = form
    input = source.shape
    output = Shape(channels, strided(input.height, stride), strided(input.width, stride))
    conv = Conv(name, source.name, input, output, kernel, stride, 1, activation, batch_norm)
    return Block(f"{key}-input:{input}-output:{output}", None, (conv,))


@lru_cache(maxsize=4096)
def global_pool(source: Source) -> Block:
    """The average over the picture, as the layer `pool`."""
    output = Shape(source.shape.channels, 1, 1)
    pool = PoolLayer("pool", source.name, source.shape, output, "global_average")
    return Block(f"AvgPool2D-input:{source.shape}-output:{output}", None, (pool,))


@lru_cache(maxsize=4096)
def classifier(source: Source, classes: int) -> Block:
    """The linear layer that gives the logits."""
    layer = Linear("classifier", source.name, source.shape, Shape(classes, 1, 1))
    return Block(f"Logits-input:{source.shape}-output:{classes}", None, (layer,))
