"""What is chosen: subnets, and the units that a space puts them together from.

Each unit chooses a depth (how many blocks), and for every block an expand ratio and a kernel size.
Where the space is compound, the expand ratio and the width follow from the depth.
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
        depths: per unit.
        expands: per block slot; 0 where the slot is beyond the unit's depth.
        kernels: per block slot; 0 likewise.
        widths: per unit, as a multiplier; empty outside ResNet spaces.
    """

    depths: tuple[int, ...]
    expands: tuple[float, ...]
    kernels: tuple[int, ...]
    widths: tuple[float, ...] = ()


@dataclass(frozen=True)
class SubnetArrays:
    """Many subnets at once: depths [n, units], expands and kernels [n, slots], 0 = no block."""

    depths: npt.NDArray[np.int64]
    expands: npt.NDArray[np.float64]
    kernels: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class UnitChoice:
    """What one unit of a subnet looks like; `expands` and `kernels` cover its active blocks."""

    depth: int
    expands: tuple[float, ...]
    kernels: tuple[int, ...]
    width: float = 1.0


@dataclass(frozen=True)
class Unit:
    """The choices of one unit, and the shape it gives its blocks.

    Attributes:
        width: output channels before the width multiplier.
        depths: values of the depth digit.
        base_blocks: blocks that exist whatever the depth (ResNet's depth counts extra blocks).
        expands, kernels, widths: choices of each block, each block and the unit.
        coupling: depth -> (expand, width), where the space is compound; else None.
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
        """Most blocks this unit can have."""
        return self.base_blocks + max(self.depths)

    def coupled(self, depth: int) -> tuple[float, float]:
        """(expand, width) that `depth` brings with it in a compound space."""
        for at, expand, width in self.coupling or ():
            if at == depth:
                return expand, width
        raise KeyError(depth)

    @property
    def size(self) -> int:
        """Number of distinct choices of this unit."""
        kernels = len(self.kernels)
        if self.coupling is not None:
            return sum(int(kernels ** (self.base_blocks + d)) for d in self.depths)
        each = kernels * len(self.expands)
        powers: list[int] = [each ** (self.base_blocks + d) for d in self.depths]
        return len(self.widths) * sum(powers)

    def extreme(self, largest: bool) -> UnitChoice:
        """The largest choice of this unit, or the smallest."""
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
        """Depth, expands, kernels and width each drawn uniformly, as in training."""
        depth = self.depths[rng.integers(len(self.depths))]
        blocks = self.base_blocks + depth
        kernels = tuple(self.kernels[i] for i in rng.integers(len(self.kernels), size=blocks))
        if self.coupling is not None:
            expand, width = self.coupled(depth)
            return UnitChoice(depth, (expand,) * blocks, kernels, width)
        expands = tuple(self.expands[i] for i in rng.integers(len(self.expands), size=blocks))
        return UnitChoice(depth, expands, kernels, self.widths[rng.integers(len(self.widths))])


def divisible(channels: float, divisor: int = 8) -> int:
    """`channels` rounded to a multiple of `divisor`, never down by more than 10 %.

    The rounding of MobileNet's reference code (tensorflow/models, mobilenet.py `_make_divisible`).
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded
