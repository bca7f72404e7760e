"""Subnets of a large space as rows of numbers: which choice each unit takes, and which resolution.

A unit has some hundreds or thousands of choices (of depth, and of expand ratio and kernel of every
block), which a table lists once. What a search does to subnets (drawing them, changing one block,
taking them apart for an accuracy predictor) is then indexing.
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
"""Units with up to so many choices may change to any other in one step."""


@dataclass(frozen=True)
class UnitTable:
    """The c choices of one unit.

    Attributes:
        depths: [c].
        expands, kernels: [c, slots]; 0 where no block is.
        codes: [c, 1 + slots], the choice as small numbers: one that stands for its width, then
            for each slot one that stands for its block's expand ratio and kernel, or for none.
        one_hot: [c, features], which code each position has, as zeros and ones.
        neighbours: [c, m], the choices one step away; -1 fills up.
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
        """The choices whose blocks are all alike; all choices where there is none such."""
        uniform = [
            i
            for i, choice in enumerate(self.choices)
            if len(set(choice.expands)) <= 1 and len(set(choice.kernels)) <= 1
        ]
        return np.array(uniform or range(len(self)), dtype=np.int64)


def unit_table(unit: Unit, choices: Sequence[UnitChoice]) -> UnitTable:
    """The table of some `choices` of `unit`."""
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
    """Probabilities, [n], that give each distinct value the same chance."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    share: FloatArray = 1 / counts[which] / len(counts)
    return share


def _one_hot(codes: IntArray) -> Float32Array:
    marks = codes[:, :, None] == np.arange(codes.max() + 1)
    one_hot: Float32Array = marks.reshape(len(codes), -1).astype(np.float32)
    return one_hot


def _find(table: IntArray, codes: IntArray) -> IntArray:
    """Which row of `table` each row of `codes` is, [n]; -1 where none."""
    weights = (int(table.max()) + 1) ** np.arange(table.shape[1])
    names, wanted = table @ weights, codes @ weights
    order = np.argsort(names)
    at = order[np.minimum(np.searchsorted(names[order], wanted), len(names) - 1)]
    return np.where(names[at] == wanted, at, -1)


def _neighbours(codes: IntArray) -> IntArray:
    """[c, m]: all other choices of a small unit, else those that differ in one code."""
    every = np.arange(len(codes))
    if len(codes) <= SMALL_UNIT:
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
    """How the subnets of a space, at some resolutions, are written as numbers.

    A genome is a row of integers: for each unit the position of its choice in the unit's table,
    then the position of its resolution.
    """

    space: Space
    resolutions: tuple[int, ...]
    units: tuple[UnitTable, ...]

    @classmethod
    def of(cls, space: Space, resolutions: Sequence[int]) -> Genomes:
        """All subnets of `space`."""
        # Units with the same choices share a table: it does not depend on channels and strides.
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
        """Draws n genomes: depths and resolutions uniform, then each choice of that depth alike.

        In every other genome all blocks of a unit are alike, which reaches further towards the
        smallest and the largest than independent blocks do.
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
        """The resolutions of `genomes`, [n]."""
        return np.array(self.resolutions, dtype=np.int64)[genomes[:, -1]]

    def subnet(self, genome: IntArray) -> Subnet:
        """The subnet of one genome."""
        pairs = zip(self.units, genome, strict=False)
        return self.space.subnet([unit.choices[at] for unit, at in pairs])

    def steps(self, genome: IntArray) -> tuple[IntArray, IntArray]:
        """All genomes one step from `genome`, [m, numbers], and which number changed, [m]."""
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
        """[n, features]: the units' `one_hot` side by side, then that of the resolution."""
        parts = [unit.one_hot[at] for unit, at in zip(self.units, genomes.T, strict=False)]
        sizes = np.eye(len(self.resolutions), dtype=np.float32)[genomes[:, -1]]
        return np.concatenate([*parts, sizes], axis=1)
