"""Encodes subnets as the numbers that an accuracy predictor reads."""

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
    """The choices of n cells' subnets, and their resolutions.

    Attributes:
        expands, kernels: those of each block slot, [n, slots]; 0 in a slot without a block.
        widths: the widths of the units, [n, units]; [n, 0] if the space has fixed widths.
        sizes: the resolutions in pixels, [n].
    """

    expands: FloatArray
    kernels: IntArray
    widths: FloatArray
    sizes: IntArray

    def __len__(self) -> int:
        return len(self.sizes)

    def rows(self, which: IntArray | slice) -> Choices:
        """The cells at the positions `which`."""
        return Choices(
            self.expands[which], self.kernels[which], self.widths[which], self.sizes[which]
        )

    @property
    def numbers(self) -> FloatArray:
        """All choices as numbers, [n, features].

        Expand ratios and resolutions are given as logarithms, because one more channel or pixel
        has less effect the more there are.
        """
        logs = np.log1p(self.expands), np.log(self.sizes)[:, None]
        return np.concatenate([logs[0], self.kernels, self.widths, logs[1]], axis=1)

    @property
    def groups(self) -> IntArray:
        """The kind of each feature of `numbers`, [features].

        0 is an expand ratio, 1 a kernel, 2 a width and 3 the resolution.
        """
        lengths = [self.expands.shape[1], self.kernels.shape[1], self.widths.shape[1], 1]
        return np.repeat(np.arange(4), lengths)


def choices_of(space: Space, subnets: Sequence[Subnet], sizes: Sequence[int]) -> Choices:
    """The choices of cells of `space`, each given by a subnet and a resolution in pixels."""
    arrays = space.arrays(subnets)
    widths = np.array([subnet.widths for subnet in subnets], dtype=np.float64)
    widths = widths.reshape(len(subnets), -1)
    return Choices(arrays.expands, arrays.kernels, widths, np.array(sizes, dtype=np.int64))


def choices_of_arrays(space: Space, subnets: SubnetArrays, sizes: IntArray) -> Choices:
    """As `choices_of`, for many subnets at once.

    Raises:
        UserError: widths can be chosen freely in the space; `SubnetArrays` do not contain them.
    """
    widths = np.zeros((len(sizes), 0))
    if space.elastic_widths:
        if not space.compound:
            message = f"space {space.name} has free widths, which this search does not support"
            raise UserError(message, hint="only the cells of a table can be searched in it")
        columns = zip(space.units, subnets.depths.T, strict=True)
        widths = np.stack([_coupled_widths(unit, depths) for unit, depths in columns], axis=1)
    return Choices(subnets.expands, subnets.kernels, widths, sizes)


def _coupled_widths(unit: Unit, depths: IntArray) -> FloatArray:
    """The width that is coupled to each of `depths`, [n]."""
    known = np.array([unit.coupled(depth)[1] for depth in unit.depths])
    return known[np.searchsorted(unit.depths, depths)]


@dataclass(frozen=True)
class OneHot:
    """A one-hot encoding of the choices of each block and of the resolution.

    Attributes:
        kernels, expands, widths, sizes: the values that have an input of their own. A block that
            does not exist is encoded as zeros, and so is any value that has no input.
    """

    kernels: tuple[int, ...]
    expands: tuple[float, ...]
    widths: tuple[float, ...]
    sizes: tuple[int, ...]

    def encode(self, choices: Choices) -> npt.NDArray[np.float32]:
        """Encodes n cells, [n, inputs]: kernels slot by slot, expand ratios, widths, resolution."""
        parts = (
            (choices.kernels, self.kernels),
            (choices.expands, self.expands),
            (choices.widths, self.widths),
            (choices.sizes[:, None], self.sizes),
        )
        matches = [values[:, :, None] == np.array(known) for values, known in parts]
        n = len(choices)
        return np.concatenate([each.reshape(n, -1) for each in matches], axis=1).astype(np.float32)
