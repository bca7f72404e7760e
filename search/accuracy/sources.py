"""The interfaces of a source of accuracies, which a search asks for those of its cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from compofa.common.arrays import FloatArray, IntArray
from compofa.profiler.models.collection.collection import Collection
from compofa.supernet.space import Space
from compofa.supernet.subnet import Subnet, SubnetArrays


@dataclass(frozen=True)
class Cells:
    """n cells of one space or collection whose accuracies are wanted.

    Attributes:
        space: the space of all cells, or the collection of all model files.
        subnets: the subnets by their keys; empty for model files.
        keys: the key of each cell's subnet, [n].
        sizes: the resolution of each cell in pixels, [n].
    """

    space: Space | Collection
    subnets: Mapping[str, Subnet]
    keys: Sequence[str]
    sizes: IntArray


class AccuracySource(Protocol):
    """A source of accuracies for some cells, such as an accuracy table."""

    @property
    def description(self) -> str:
        """Where the accuracies come from, as text for people."""

    @property
    def predicted(self) -> bool:
        """Whether any accuracy is a prediction instead of a measurement of trained weights."""

    def resolutions(self, space: Space | Collection, /) -> tuple[int, ...]:
        """The resolutions at which the source knows accuracies of `space`, ascending."""

    def top1(self, cells: Cells) -> FloatArray:
        """Top-1 accuracy of each cell as a fraction of one, [n]; NaN where it is not known.

        Raises:
            UserError: the source has no accuracies of the cells' space.
        """

    def deviations(self, cells: Cells) -> FloatArray:
        """The standard deviation of each cell's `top1`, [n]; NaN where it is not known."""


class ArrayAccuracy(Protocol):
    """A source that knows the accuracy of every subnet of a space, such as a predictor.

    It is asked for thousands of subnets at once, as arrays.
    """

    def top1_of(self, space: Space, subnets: SubnetArrays, sizes: IntArray, /) -> FloatArray:
        """Top-1 accuracies of n subnets as fractions of one, [n].

        Args:
            space: the space of the subnets.
            subnets: the n subnets.
            sizes: the resolution of each subnet in pixels, [n].

        Raises:
            UserError: the source has no accuracies of `space`.
        """
