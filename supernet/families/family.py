"""The type of a family of networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from compofa.supernet.blocks import Block, Shape
from compofa.supernet.space import Space
from compofa.supernet.subnet import Subnet


@dataclass(frozen=True)
class Family:
    """How the subnets of some spaces are built.

    Attributes:
        name: the value of `Space.family`, which is also in files.
        blocks: returns the blocks of a subnet of a space for an image of some shape, in order of
            execution. It checks nothing, and the same arguments always give the same blocks.
        spaces: the built-in spaces of this family.
        bn_epsilon: the constant that batch norm adds to the variance, as in the released networks.
        separable: whether a block of a unit depends only on its own slot and the slot's choices, so
            that costs of blocks can be summed up without building every subnet.
        released_name: returns the name that a tensor has in the released weights of a space; None
            if no weights of this family were released.
    """

    name: str
    blocks: Callable[[Space, Subnet, Shape], tuple[Block, ...]]
    spaces: tuple[Space, ...]
    bn_epsilon: float
    separable: bool
    released_name: Callable[[str, Space], str] | None = None
