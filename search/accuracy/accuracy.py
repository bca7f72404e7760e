"""Where accuracies come from: a table of them, or a predictor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from statistics import NormalDist
from typing import Protocol

import numpy as np

from compofa.common.arrays import FloatArray, IntArray
from compofa.common.csv_lines import check_text, parse_count, parse_number, read_lines
from compofa.common.errors import UserError
from compofa.profiler.results.table import LARGEST_SIZE
from compofa.supernet.space import Space
from compofa.supernet.spaces import SPACES
from compofa.supernet.subnet import Subnet, SubnetArrays

ACCURACY_COLUMNS = ("space", "subnet", "resolution", "top1", "source")
"""The columns of an accuracy table; `top1` is a fraction of one."""

INTERVAL_COLUMNS = ("top1_low", "top1_high", "confidence")
"""Columns that it may have too: an interval of `top1`, and how sure that is (0.95 unless given)."""

SHIPPED_SPACE = "compofa"
SHIPPED_FILE = "compofa_accuracy.csv"

PREDICTOR_SUFFIXES = (".pth", ".pt")
FITTED_SUFFIX = ".npz"


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


@dataclass(frozen=True)
class AccuracyTable:
    """Accuracies read from a file.

    Attributes:
        values: space name -> (subnet key, resolution) -> top-1 accuracy.
        sources: what the file says of where they come from.
        spreads: as `values`, the standard deviations of those that have an interval.
    """

    path: Path
    values: Mapping[str, Mapping[tuple[str, int], float]]
    sources: tuple[str, ...]
    spreads: Mapping[str, Mapping[tuple[str, int], float]]

    @property
    def description(self) -> str:
        """The file's sources, and how many more there are."""
        more = f" and {len(self.sources) - 2} more" if len(self.sources) > 2 else ""
        return ", ".join(self.sources[:2]) + more

    @property
    def predicted(self) -> bool:
        """Whether the file says so: a source that begins with "predicted"."""
        return any(source.lower().startswith("predicted") for source in self.sources)

    def resolutions(self, space: Space, /) -> tuple[int, ...]:
        """The resolutions of the file's rows of `space`."""
        return tuple(sorted({size for _, size in self.values.get(space.name, {})}))

    def top1(self, cells: Cells) -> FloatArray:
        """Looks the cells up; see `AccuracySource`."""
        name = cells.space.name
        if name not in self.values:
            known = ", ".join(self.values)
            message = f"the accuracy table has nothing of space {name}"
            raise UserError(message, path=self.path, hint=f"it has {known}")
        return _looked_up(self.values[name], cells)

    def deviations(self, cells: Cells) -> FloatArray:
        """From the intervals; see `AccuracySource`."""
        return _looked_up(self.spreads.get(cells.space.name, {}), cells)


def _looked_up(values: Mapping[tuple[str, int], float], cells: Cells) -> FloatArray:
    if not values:
        return np.full(len(cells.keys), np.nan)
    pairs = zip(cells.keys, cells.sizes.tolist(), strict=True)
    return np.array([values.get(pair, np.nan) for pair in pairs], dtype=np.float64)


def read_accuracy_table(path: Path) -> AccuracyTable:
    """Reads an accuracy table; comment lines that start with ``#`` may stand above its header.

    Raises:
        UserError: with the file and the line, for anything that is not one.
    """
    values: dict[str, dict[tuple[str, int], float]] = {}
    spreads: dict[str, dict[tuple[str, int], float]] = {}
    sources: dict[str, None] = {}
    rows = read_lines(path, "the accuracy table", ACCURACY_COLUMNS, True, INTERVAL_COLUMNS)
    for line, row in rows:
        space, subnet, resolution, top1, source, *interval = row
        try:
            check_text(space, "space")
            check_text(subnet, "subnet")
            check_text(source, "source")
            cell = (subnet, parse_count(resolution, "resolution", 1, LARGEST_SIZE))
            if cell in values.setdefault(space, {}):
                raise ValueError(f"the accuracy of {space} {subnet} at {cell[1]} is given twice")
            values[space][cell] = _fraction(top1, "top1")
            if interval[0] or interval[1]:
                spreads.setdefault(space, {})[cell] = _deviation(values[space][cell], *interval)
        except ValueError as error:
            raise UserError(str(error), path=path, line=line) from None
        sources[source] = None
    if not values:
        raise UserError("the accuracy table has no rows", path=path)
    return AccuracyTable(path, values, tuple(sources), spreads)


def load_accuracy(path: Path | None, space: Space) -> AccuracySource:
    """The accuracies in `path`, a table or a predictor; without a path, the shipped ones.

    Raises:
        UserError: the file is wrong, or none ship for this space.
    """
    if path is not None and path.suffix in PREDICTOR_SUFFIXES:
        from compofa.search.accuracy.released_predictor import read_predictor

        return read_predictor(path)
    if path is not None and path.suffix == FITTED_SUFFIX:
        from compofa.search.accuracy.fitted import read_fitted

        return read_fitted(path)
    if path is not None:
        return read_accuracy_table(path)
    # By identity, not by name: a space file cannot borrow these accuracies.
    if space is not SPACES[SHIPPED_SPACE]:
        raise UserError(
            f"no accuracies ship for space {space.name}",
            hint="give --accuracy FILE: a table with the columns "
            f"{', '.join(ACCURACY_COLUMNS)}, or OFA's released acc_predictor.pth",
        )
    return read_accuracy_table(Path(str(files("compofa.search") / "data" / SHIPPED_FILE)))


def _fraction(text: str, name: str) -> float:
    value = parse_number(text, name)
    if not 0 <= value <= 1:
        raise ValueError(f"{name} is a fraction of one, so it cannot be {value}")
    return value


def _deviation(top1: float, low_text: str, high_text: str, confidence_text: str) -> float:
    """The standard deviation that an interval shows; ValueError where it is none."""
    low, high = _fraction(low_text, "top1_low"), _fraction(high_text, "top1_high")
    confidence = parse_number(confidence_text, "confidence") if confidence_text else 0.95
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, not {confidence}")
    if not low <= top1 <= high:
        raise ValueError(f"the interval {low} to {high} does not hold the top1 {top1}")
    return (high - low) / 2 / NormalDist().inv_cdf((1 + confidence) / 2)
