"""Blocks that several families have in common."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from compofa.supernet.blocks import Block, Conv, Linear, PoolLayer, Shape, Source
from compofa.supernet.subnet import Activation

# Blocks are cached, because the subnets of a space share most of them, and whole spaces are listed.


class ConvForm(NamedTuple):
    """The properties of a convolution, without its channels."""

    kernel: int
    stride: int
    activation: Activation
    batch_norm: bool = True


def strided(size: int, stride: int) -> int:
    """The output size of a layer with an odd kernel that is padded by `kernel // 2`."""
    return -(-size // stride)


@lru_cache(maxsize=4096)
def plain_conv(key: str, name: str, source: Source, channels: int, form: ConvForm) -> Block:
    """A block of one convolution `name`; `key` is the name of such blocks in latency tables."""
    kernel, stride, activation, batch_norm = form
    input = source.shape
    output = Shape(channels, strided(input.height, stride), strided(input.width, stride))
    conv = Conv(name, source.name, input, output, kernel, stride, 1, activation, batch_norm)
    return Block(f"{key}-input:{input}-output:{output}", None, (conv,))


@lru_cache(maxsize=4096)
def global_pool(source: Source) -> Block:
    """The average over height and width, as the layer `pool`."""
    output = Shape(source.shape.channels, 1, 1)
    pool = PoolLayer("pool", source.name, source.shape, output, "global_average")
    return Block(f"AvgPool2D-input:{source.shape}-output:{output}", None, (pool,))


@lru_cache(maxsize=4096)
def classifier(source: Source, classes: int) -> Block:
    """The linear layer that gives the logits."""
    layer = Linear("classifier", source.name, source.shape, Shape(classes, 1, 1))
    return Block(f"Logits-input:{source.shape}-output:{classes}", None, (layer,))
