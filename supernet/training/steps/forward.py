"""Runs subnets in training: with dropout before the classifier, and compiled on request."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from compofa.supernet.blocks import Block
    from compofa.supernet.subnet import Subnet
    from compofa.supernet.supernet import Supernet

MOST_COMPILED = 4096
"""How many compiled functions torch may keep. Each distinct block has one for each input size."""


class Forward:
    """Runs subnets of a supernet for training."""

    def __init__(self, supernet: Supernet, dropout: float, *, compiled: bool = False) -> None:
        """Prepares to run subnets of `supernet`.

        Args:
            supernet: the weights.
            dropout: the probability with which a feature before the classifier becomes zero.
            compiled: whether each distinct block is compiled by torch.compile when it first runs.
                Whole subnets would have to be compiled again for every choice.
        """
        self._supernet = supernet
        self._dropout = dropout
        self._compiled = compiled
        self._blocks: dict[Block, Callable[[Tensor], Tensor]] = {}
        if compiled:
            _allow_forms(MOST_COMPILED)

    def __call__(self, images: Tensor, subnet: Subnet) -> Tensor:
        """Runs `subnet`: [n, channels, h, w] -> logits [n, classes]."""
        *blocks, classifier = self._supernet.blocks(subnet)
        for block in blocks:
            images = self._run(block, images)
        return self._run(classifier, F.dropout(images, self._dropout))

    def _run(self, block: Block, images: Tensor) -> Tensor:
        if not self._compiled:
            return self._supernet.run_block(block, images)
        if block not in self._blocks:
            run = partial(self._supernet.run_block, block)
            self._blocks[block] = torch.compile(run, dynamic=False)
        return self._blocks[block](images)


def _allow_forms(count: int) -> None:
    import torch._dynamo.config as config

    config.cache_size_limit = count
    config.accumulated_cache_size_limit = count
