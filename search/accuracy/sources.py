"""What a search takes for accuracies: anything that knows those of some cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from compofa.common.arrays import FloatArray, IntArray
from compofa.supernet.space import Space
from compofa.supernet.subnet import Subnet, SubnetArrays


@dataclass(frozen=True)
class Cells:
    """n cells of one space, whose accuracies are asked for.

    Attributes:
        subnets: what the keys stand for.
        keys: the subnet of each cell, [n].
        sizes: the resolution of each cell, [n].
    """

    space: Space
    subnets: Mapping[str, Subnet]
    keys: Sequence[str]
    sizes: IntArray


class AccuracySource(Protocol):
    """Something that knows the accuracy of subnets."""

    @property
    def description(self) -> str:
        """Whose accuracies these are, for people."""

    @property
    def predicted(self) -> bool:
        """Whether any of its accuracies is a prediction, not a measurement of trained weights."""

    def resolutions(self, space: Space, /) -> tuple[int, ...]:
        """The resolutions it knows in `space`, ascending."""

    def top1(self, cells: Cells) -> FloatArray:
        """Top-1 accuracy of each cell as a fraction of one, [n]; NaN where it does not know.

        Raises:
            UserError: it knows nothing of the cells' space.
        """

    def deviations(self, cells: Cells) -> FloatArray:
        """The standard deviation of each cell's `top1`, [n]; NaN where it is not known."""


class ArrayAccuracy(Protocol):
    """Something that knows the accuracy of any subnet of a space, thousands at once."""

    def top1_of(self, space: Space, subnets: SubnetArrays, sizes: IntArray, /) -> FloatArray:
        """Top-1 accuracy of each subnet at the resolution beside it, [n], as a fraction of one.

        Raises:
            UserError: it knows nothing of `space`.
        """
