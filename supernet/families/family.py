"""What a family of networks has to say for itself."""

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
        name: what `Space.family` calls it; files keep this name.
        blocks: the blocks of a subnet of a space for an image of some shape, in order of
            execution. Nothing is checked; the same arguments always give the same blocks.
        spaces: those of this family that are known by name.
        bn_epsilon: added to batch norm's variance, as in the networks that were released.
        separable: whether a block of a unit depends on its own slot and the slot's choices alone,
            so that costs of blocks can be added up without building every subnet.
        released_name: what the reference implementation calls a tensor of ours, where the space is
            one whose supernets were released; None where there are no released weights.
    """

    name: str
    blocks: Callable[[Space, Subnet, Shape], tuple[Block, ...]]
    spaces: tuple[Space, ...]
    bn_epsilon: float
    separable: bool
    released_name: Callable[[str, Space], str] | None = None
