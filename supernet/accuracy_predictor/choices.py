"""Subnets as the numbers that an accuracy predictor takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compofa.common.arrays import FloatArray, IntArray
from compofa.common.errors import UserError
from compofa.supernet.space import Space
from compofa.supernet.subnet import Subnet, SubnetArrays, Unit


@dataclass(frozen=True)
class Choices:
    """n cells: what their subnets have chosen, and their resolutions.

    Attributes:
        expands, kernels: [n, slots]; 0 where no block is.
        widths: [n, units]; [n, 0] where the space has none to choose.
        sizes: [n].
    """

    expands: FloatArray
    kernels: IntArray
    widths: FloatArray
    sizes: IntArray

    def __len__(self) -> int:
        return len(self.sizes)

    def rows(self, which: IntArray | slice) -> Choices:
        """Some of the cells."""
        return Choices(
            self.expands[which], self.kernels[which], self.widths[which], self.sizes[which]
        )

    @property
    def numbers(self) -> FloatArray:
        """All choices as plain numbers, [n, features].

        Expand ratios and resolutions enter by their logarithms: another block or pixel matters the
        less, the more there are.
        """
        logs = np.log1p(self.expands), np.log(self.sizes)[:, None]
        return np.concatenate([logs[0], self.kernels, self.widths, logs[1]], axis=1)

    @property
    def groups(self) -> IntArray:
        """For each of `numbers`, which kind of choice it is: 0 to 3, [features]."""
        lengths = [self.expands.shape[1], self.kernels.shape[1], self.widths.shape[1], 1]
        return np.repeat(np.arange(4), lengths)


def choices_of(space: Space, subnets: Sequence[Subnet], sizes: Sequence[int]) -> Choices:
    """Cells of `space`, a subnet and a resolution each."""
    arrays = space.arrays(subnets)
    widths = np.array([subnet.widths for subnet in subnets], dtype=np.float64)
    widths = widths.reshape(len(subnets), -1)
    return Choices(arrays.expands, arrays.kernels, widths, np.array(sizes, dtype=np.int64))


def choices_of_arrays(space: Space, subnets: SubnetArrays, sizes: IntArray) -> Choices:
    """As `choices_of`, for many subnets at once.

    Raises:
        UserError: the space has widths to choose freely, which arrays do not tell.
    """
    widths = np.zeros((len(sizes), 0))
    if space.elastic_widths:
        if not space.compound:
            message = f"space {space.name} has free widths, which this search leaves out"
            raise UserError(message, hint="its subnets can be predicted one by one")
        columns = zip(space.units, subnets.depths.T, strict=True)
        widths = np.stack([_coupled_widths(unit, depths) for unit, depths in columns], axis=1)
    return Choices(subnets.expands, subnets.kernels, widths, sizes)


def _coupled_widths(unit: Unit, depths: IntArray) -> FloatArray:
    """The width that each depth brings with it, [n]."""
    known = np.array([unit.coupled(depth)[1] for depth in unit.depths])
    return known[np.searchsorted(unit.depths, depths)]


@dataclass(frozen=True)
class OneHot:
    """Which choice each block has, and the resolution, as zeros and ones.

    Attributes:
        kernels, expands, widths, sizes: the values that have an input each; a block that does not
            exist has zeros alone, and so has a resolution without input.
    """

    kernels: tuple[int, ...]
    expands: tuple[float, ...]
    widths: tuple[float, ...]
    sizes: tuple[int, ...]

    def encode(self, choices: Choices) -> npt.NDArray[np.float32]:
        """[n, inputs]: kernels slot by slot, then expand ratios, widths, and the resolution."""
        parts = (
            (choices.kernels, self.kernels),
            (choices.expands, self.expands),
            (choices.widths, self.widths),
            (choices.sizes[:, None], self.sizes),
        )
        matches = [values[:, :, None] == np.array(known) for values, known in parts]
        n = len(choices)
        return np.concatenate([each.reshape(n, -1) for each in matches], axis=1).astype(np.float32)
