"""Encodes subnets of a large space as rows of integers: the choice of each unit, and a resolution.

A unit has hundreds or thousands of choices (of its depth, and of the expand ratio and kernel of
each block), which a table lists once. Drawing random subnets, changing one block, or looking up the
inputs of an accuracy predictor is then array indexing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np

from compofa.common.arrays import Float32Array, FloatArray, IntArray
from compofa.supernet.space import Space
from compofa.supernet.subnet import Subnet, SubnetArrays, Unit, UnitChoice

SMALL_UNIT = 150
"""A unit with at most this many choices may change to any other choice in one step."""


@dataclass(frozen=True)
class UnitTable:
    """The c choices of one unit.

    Attributes:
        choices: the choices.
        depths: their depths, [c].
        expands, kernels: their blocks' expand ratios and kernels, [c, slots]; 0 without a block.
        codes: each choice as small integers, [c, 1 + slots]: the first stands for the width, and
            each of the others for the expand ratio and kernel of a slot's block, or for no block.
        one_hot: the codes as one-hot vectors, [c, features].
        neighbours: the positions of the choices one step away, [c, m], padded with -1.
    """

    choices: tuple[UnitChoice, ...]
    depths: IntArray
    expands: FloatArray
    kernels: IntArray
    codes: IntArray
    one_hot: Float32Array
    neighbours: IntArray

    def __len__(self) -> int:
        return len(self.choices)

    @cached_property
    def alike(self) -> IntArray:
        """The positions of the choices whose blocks are all alike, or of all if there are none."""
        uniform = [
            i
            for i, choice in enumerate(self.choices)
            if len(set(choice.expands)) <= 1 and len(set(choice.kernels)) <= 1
        ]
        return np.array(uniform or range(len(self)), dtype=np.int64)


def unit_table(unit: Unit, choices: Sequence[UnitChoice]) -> UnitTable:
    """Makes the table of some `choices` of `unit`."""
    slots = unit.slots

    def padded(values: Sequence[float]) -> list[float]:
        return [*values, *[0] * (slots - len(values))]

    expands = np.array([padded(each.expands) for each in choices], dtype=np.float64)
    kernels = np.array([padded(each.kernels) for each in choices], dtype=np.int64)
    widths = np.array([each.width for each in choices])
    expand_codes = np.unique(expands, return_inverse=True)[1].reshape(expands.shape)
    kernel_codes = np.unique(kernels, return_inverse=True)[1].reshape(kernels.shape)
    blocks = np.where(kernels > 0, 1 + expand_codes * (1 + kernel_codes.max()) + kernel_codes, 0)
    width_codes = np.unique(widths, return_inverse=True)[1]
    block_codes = np.unique(blocks, return_inverse=True)[1].reshape(blocks.shape)
    codes = np.column_stack([width_codes, block_codes]).astype(np.int64)
    return UnitTable(
        choices=tuple(choices),
        depths=np.array([each.depth for each in choices], dtype=np.int64),
        expands=expands,
        kernels=kernels,
        codes=codes,
        one_hot=_one_hot(codes),
        neighbours=_neighbours(codes),
    )


def _even(values: IntArray) -> FloatArray:
    """Probabilities, [n], by which every distinct value is drawn equally often."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    share: FloatArray = 1 / counts[which] / len(counts)
    return share


def _one_hot(codes: IntArray) -> Float32Array:
    marks = codes[:, :, None] == np.arange(codes.max() + 1)
    one_hot: Float32Array = marks.reshape(len(codes), -1).astype(np.float32)
    return one_hot


def _find(table: IntArray, codes: IntArray) -> IntArray:
    """The position in `table` of each row of `codes`, [n]; -1 where it is not in it."""
    # A row is looked up as one integer, whose digits are the row's numbers.
    weights = (int(table.max()) + 1) ** np.arange(table.shape[1])
    names, wanted = table @ weights, codes @ weights
    order = np.argsort(names)
    at = order[np.minimum(np.searchsorted(names[order], wanted), len(names) - 1)]
    return np.where(names[at] == wanted, at, -1)


def _neighbours(codes: IntArray) -> IntArray:
    """The positions of the choices one step away from each choice, [c, m], padded with -1.

    These are all others in a small unit, else those that differ in one code.
    """
    every = np.arange(len(codes))
    if len(codes) <= SMALL_UNIT:
        # Row i gets 0, 1, ... without i.
        others = every[:-1] + np.zeros((len(codes), 1), dtype=np.int64)
        return others + (others >= every[:, None])
    neighbours = []
    for column, values in enumerate(codes.max(axis=0) + 1):
        for value in range(values):
            changed = codes.copy()
            changed[:, column] = value
            at = _find(codes, changed)
            neighbours.append(np.where(at == every, -1, at))
    return np.stack(neighbours, axis=1)


@lru_cache(maxsize=16)
def _whole_table(unit: Unit) -> UnitTable:
    return unit_table(unit, list(unit.choices()))


@dataclass(frozen=True)
class Genomes:
    """Encodes the subnets of a space, at some resolutions, as genomes.

    A genome is a row of integers: for each unit the position of its choice in the unit's table,
    then the position of its resolution in `resolutions`.

    Attributes:
        space: the space.
        resolutions: the resolutions in pixels.
        units: the table of each unit's choices.
    """

    space: Space
    resolutions: tuple[int, ...]
    units: tuple[UnitTable, ...]

    @classmethod
    def of(cls, space: Space, resolutions: Sequence[int]) -> Genomes:
        """The encoding of all subnets of `space` at `resolutions`."""
        # A table does not depend on channels and strides. Units with the same choices share one.
        plain = [
            replace(unit, width=8, stride=1, activation="none", squeeze_excite=False)
            for unit in space.units
        ]
        return cls(space, tuple(resolutions), tuple(map(_whole_table, plain)))

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many values each number of a genome can take."""
        return (*map(len, self.units), len(self.resolutions))

    def random(self, n: int, rng: np.random.Generator) -> IntArray:
        """Draws n random genomes, [n, numbers].

        Depths and resolutions are uniform, and so are the choices among those of a depth. In every
        other genome all blocks of a unit are alike, because independent blocks would hardly ever
        give a subnet near the smallest or the largest.
        """
        columns = []
        for unit in self.units:
            anything = rng.choice(len(unit), size=n, p=_even(unit.depths))
            alike = unit.alike[
                rng.choice(len(unit.alike), size=n, p=_even(unit.depths[unit.alike]))
            ]
            columns.append(np.where(np.arange(n) % 2, anything, alike))
        columns.append(rng.integers(len(self.resolutions), size=n))
        return np.column_stack(columns).astype(np.int64)

    def arrays(self, genomes: IntArray) -> SubnetArrays:
        """The subnets of `genomes`, as arrays."""
        pairs = list(zip(self.units, genomes.T, strict=False))
        return SubnetArrays(
            depths=np.column_stack([unit.depths[at] for unit, at in pairs]),
            expands=np.concatenate([unit.expands[at] for unit, at in pairs], axis=1),
            kernels=np.concatenate([unit.kernels[at] for unit, at in pairs], axis=1),
        )

    def pixels(self, genomes: IntArray) -> IntArray:
        """The resolutions of `genomes` in pixels, [n]."""
        return np.array(self.resolutions, dtype=np.int64)[genomes[:, -1]]

    def subnet(self, genome: IntArray) -> Subnet:
        """The subnet of one genome."""
        pairs = zip(self.units, genome, strict=False)
        return self.space.subnet([unit.choices[at] for unit, at in pairs])

    def steps(self, genome: IntArray) -> tuple[IntArray, IntArray]:
        """All genomes one step away from `genome`.

        Returns:
            The m genomes, [m, numbers], and which number each step changed, [m].
        """
        changed, which = [], []
        for i, size in enumerate(self.sizes):
            if i < len(self.units):
                values = self.units[i].neighbours[genome[i]]
                values = values[values >= 0]
            else:
                values = np.delete(np.arange(size), genome[i])
            rows = np.repeat(genome[None], len(values), axis=0)
            rows[:, i] = values
            changed.append(rows)
            which.append(np.full(len(values), i))
        return np.concatenate(changed), np.concatenate(which)

    def one_hot(self, genomes: IntArray) -> Float32Array:
        """`genomes` as one-hot vectors, [n, features]: those of the units, then the resolution."""
        parts = [unit.one_hot[at] for unit, at in zip(self.units, genomes.T, strict=False)]
        sizes = np.eye(len(self.resolutions), dtype=np.float32)[genomes[:, -1]]
        return np.concatenate([*parts, sizes], axis=1)
