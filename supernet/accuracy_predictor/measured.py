"""The measurements to which accuracy predictors are fitted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from compofa.common.arrays import FloatArray
from compofa.common.errors import UserError
from compofa.supernet.accuracy_predictor.choices import Choices, choices_of
from compofa.supernet.evaluation.accuracy_file import read_accuracy_table
from compofa.supernet.space import Space
from compofa.supernet.spaces import SPACES
from compofa.supernet.subnet import Subnet


@dataclass(frozen=True)
class MeasuredAccuracies:
    """n measured cells of one space.

    Attributes:
        space: the space.
        subnets: the subnets of the cells, [n].
        sizes: the resolutions of the cells in pixels, [n].
        top1: the accuracies of the cells as fractions of one, [n].
    """

    space: Space
    subnets: tuple[Subnet, ...]
    sizes: tuple[int, ...]
    top1: FloatArray

    @property
    def resolutions(self) -> tuple[int, ...]:
        """The resolutions of the measurements, ascending, each once."""
        return tuple(sorted(set(self.sizes)))

    @property
    def choices(self) -> Choices:
        """The cells in the form that predictors read."""
        return choices_of(self.space, self.subnets, self.sizes)


def read_measured(path: Path, space: Space | None) -> MeasuredAccuracies:
    """Reads the rows of one space from an accuracy table.

    Args:
        path: the table.
        space: the space; None for the only one in the table.

    Raises:
        UserError: the table cannot be read, has no rows of `space`, or has a key that names no
            subnet; or `space` is None and the table has several spaces or an unknown one.
    """
    _, rows = read_accuracy_table(path)
    names = sorted({row.space for row in rows})
    if space is None:
        if len(names) != 1:
            message = f"the accuracy table has {len(names)} spaces"
            raise UserError(message, path=path, hint="choose one with --space")
        if names[0] not in SPACES:
            message = f"the accuracy table is of space {names[0]}, which is not built in"
            hint = "give the space file with which it was trained as --space FILE.yaml"
            raise UserError(message, path=path, hint=hint)
        space = SPACES[names[0]]
    rows = [row for row in rows if row.space == space.name]
    if not rows:
        hint = f"it has rows of {', '.join(names)}"
        message = f"the accuracy table has no rows of space {space.name}"
        raise UserError(message, path=path, hint=hint)
    try:
        subnets = tuple(space.parse(row.subnet) for row in rows)
    except UserError as error:
        raise UserError(error.message, path=path, hint=error.hint) from None
    sizes = tuple(row.resolution for row in rows)
    return MeasuredAccuracies(space, subnets, sizes, np.array([row.top1 for row in rows]))
