"""Subnets, and the units of a space with their choices.

Each unit of a subnet has a depth (its number of blocks), and each block has an expand ratio and a
kernel size. In a compound space, the expand ratio and the width follow from the depth.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Activation = Literal["none", "relu", "relu6", "h_swish"]


@dataclass(frozen=True, slots=True)
class Subnet:
    """One choice of depths, expand ratios and kernels.

    Attributes:
        depths: the depth of each unit.
        expands: the expand ratio of each block slot; 0 in slots beyond the unit's depth.
        kernels: the kernel size of each block slot; 0 in slots beyond the unit's depth.
        widths: the width multiplier of each unit; empty except in ResNet spaces.
    """

    depths: tuple[int, ...]
    expands: tuple[float, ...]
    kernels: tuple[int, ...]
    widths: tuple[float, ...] = ()


@dataclass(frozen=True)
class SubnetArrays:
    """The choices of n subnets as arrays; widths are not included.

    Attributes:
        depths: the depths, [n, units].
        expands, kernels: the expand ratios and kernel sizes, [n, slots]; 0 without a block.
    """

    depths: npt.NDArray[np.int64]
    expands: npt.NDArray[np.float64]
    kernels: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class UnitChoice:
    """The choice of one unit of a subnet.

    Attributes:
        depth: the depth.
        expands, kernels: the expand ratio and the kernel size of each active block.
        width: the width multiplier.
    """

    depth: int
    expands: tuple[float, ...]
    kernels: tuple[int, ...]
    width: float = 1.0


@dataclass(frozen=True)
class Unit:
    """One unit of a space: its possible choices, and the properties of its blocks.

    Attributes:
        width: the output channels before the width multiplier.
        stride: the stride of the first block.
        activation: the activation of the blocks.
        squeeze_excite: whether the blocks have channel attention.
        depths: the possible depths.
        expands, kernels: the possible expand ratios and kernel sizes of each block.
        base_blocks: the number of blocks at depth 0 (in ResNet, the depth counts extra blocks).
        widths: the possible width multipliers of the unit.
        coupling: the depths with their expand ratio and width in a compound space; else None.
    """

    width: int
    stride: int
    activation: Activation
    squeeze_excite: bool
    depths: tuple[int, ...]
    expands: tuple[float, ...]
    kernels: tuple[int, ...]
    base_blocks: int = 0
    widths: tuple[float, ...] = (1.0,)
    coupling: tuple[tuple[int, float, float], ...] | None = None

    @cached_property
    def slots(self) -> int:
        """The most blocks that this unit can have."""
        return self.base_blocks + max(self.depths)

    def coupled(self, depth: int) -> tuple[float, float]:
        """The expand ratio and the width that are coupled to `depth` in a compound space.

        Raises:
            KeyError: the unit does not have that depth, or no coupling.
        """
        for at, expand, width in self.coupling or ():
            if at == depth:
                return expand, width
        raise KeyError(depth)

    @property
    def size(self) -> int:
        """The number of distinct choices of this unit."""
        kernels = len(self.kernels)
        # In a compound space only the depth and the kernels are free.
        if self.coupling is not None:
            return sum(int(kernels ** (self.base_blocks + d)) for d in self.depths)
        each = kernels * len(self.expands)
        powers: list[int] = [each ** (self.base_blocks + d) for d in self.depths]
        return len(self.widths) * sum(powers)

    def extreme(self, largest: bool) -> UnitChoice:
        """The largest choice of this unit if `largest`, else the smallest."""
        pick = max if largest else min
        depth = pick(self.depths)
        expand, width = pick(self.expands), pick(self.widths)
        if self.coupling is not None:
            expand, width = self.coupled(depth)
        blocks = self.base_blocks + depth
        kernels = (pick(self.kernels),) * blocks
        return UnitChoice(depth, (expand,) * blocks, kernels, width)

    def choices(self) -> Iterator[UnitChoice]:
        """All choices of this unit, smaller depths first."""
        for depth in self.depths:
            blocks = self.base_blocks + depth
            kernels = list(itertools.product(self.kernels, repeat=blocks))
            if self.coupling is not None:
                expand, width = self.coupled(depth)
                for ks in kernels:
                    yield UnitChoice(depth, (expand,) * blocks, ks, width)
                continue
            expands = itertools.product(self.expands, repeat=blocks)
            for width, es, ks in itertools.product(self.widths, expands, kernels):
                yield UnitChoice(depth, es, ks, width)

    def sample(self, rng: np.random.Generator) -> UnitChoice:
        """Draws a choice: depth, expand ratios, kernels and width are uniform, as in training."""
        depth = self.depths[rng.integers(len(self.depths))]
        blocks = self.base_blocks + depth
        kernels = tuple(self.kernels[i] for i in rng.integers(len(self.kernels), size=blocks))
        if self.coupling is not None:
            expand, width = self.coupled(depth)
            return UnitChoice(depth, (expand,) * blocks, kernels, width)
        expands = tuple(self.expands[i] for i in rng.integers(len(self.expands), size=blocks))
        return UnitChoice(depth, expands, kernels, self.widths[rng.integers(len(self.widths))])


def divisible(channels: float, divisor: int = 8) -> int:
    """Rounds `channels` to a multiple of `divisor`, but never down by more than 10 %.

    This is the rounding of MobileNet's reference code (tensorflow/models, mobilenet.py,
    `_make_divisible`).
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded
