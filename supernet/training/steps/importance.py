"""Sorts the channels inside blocks by importance, so that narrower subnets keep the best ones.

The importance of a channel is the sum of the absolute values of the weights that read it (Cai et
al., Once-for-All, ICLR 2020, section 3.3). The output of a block at full width does not change,
because only channels between two dense layers of the same block are sorted.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter

import torch
from torch import Tensor, nn

from compofa.supernet.blocks import Block, Conv, SqueezeExcite
from compofa.supernet.elastic import ElasticConvUnit, ElasticSqueezeExcite
from compofa.supernet.supernet import Supernet, hull


def sort_channels_(supernet: Supernet) -> None:
    """Puts the most important channels first in the blocks of all units, in place."""
    with torch.no_grad():
        for block in supernet.blocks(hull(supernet.space)):
            if block.unit is not None:
                _sort_block(supernet, block)


def _sort_block(supernet: Supernet, block: Block) -> None:
    """Sorts the channels between consecutive dense layers, with the layers in between."""
    chain: list[Conv | SqueezeExcite] = []
    for layer in block.layers:
        if not isinstance(layer, Conv | SqueezeExcite):
            continue
        module = attrgetter(layer.name)(supernet)
        if isinstance(layer, SqueezeExcite):
            _sort_squeezed(module)
        if isinstance(layer, Conv) and not layer.depthwise:
            if chain and layer.source == chain[-1].name:
                order = _by_importance(module.conv.weight)
                module.conv.weight.copy_(module.conv.weight[:, order])
                for between in chain:
                    _reorder(attrgetter(between.name)(supernet), order)
            chain = [layer]
        elif chain:
            chain.append(layer)


def _by_importance(weight: Tensor) -> Tensor:
    """The input channels of `weight` [out, in, k, k] in the order of their importance."""
    return weight.abs().sum((0, 2, 3)).argsort(descending=True, stable=True)


def _reorder(module: nn.Module, order: Tensor) -> None:
    """Puts the output channels of one layer into a new order."""
    if isinstance(module, ElasticConvUnit):
        _permute([module.conv.weight], order)
        if module.bn is not None:
            _permute([module.bn.weight, module.bn.bias], order)
            buffers = (module.bn.get_buffer(name) for name in ("running_mean", "running_var"))
            _permute(buffers, order)
    elif isinstance(module, ElasticSqueezeExcite):
        module.reduce["weight"].copy_(module.reduce["weight"][:, order])
        _permute([module.expand["weight"], module.expand["bias"]], order)


def _sort_squeezed(module: ElasticSqueezeExcite) -> None:
    """Sorts the squeezed channels of channel attention, which are narrower in narrower subnets."""
    order = _by_importance(module.expand["weight"])
    module.expand["weight"].copy_(module.expand["weight"][:, order])
    _permute([module.reduce["weight"], module.reduce["bias"]], order)


def _permute(tensors: Iterable[Tensor], order: Tensor) -> None:
    for tensor in tensors:
        tensor.copy_(tensor[order])
