"""What accuracy predictors are fitted to: measured cells of one space."""

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
        subnets: of each cell.
        sizes: the resolution of each.
        top1: the accuracy of each, as a fraction of one.
    """

    space: Space
    subnets: tuple[Subnet, ...]
    sizes: tuple[int, ...]
    top1: FloatArray

    @property
    def resolutions(self) -> tuple[int, ...]:
        """Those that were measured, ascending."""
        return tuple(sorted(set(self.sizes)))

    @property
    def choices(self) -> Choices:
        """What predictors take."""
        return choices_of(self.space, self.subnets, self.sizes)


def read_measured(path: Path, space: Space | None) -> MeasuredAccuracies:
    """The rows of an accuracy table that are of `space`; of the only one it has, if None.

    Raises:
        UserError: the table cannot be read, has nothing of that space, or several and none is
            named, or a key of no subnet.
    """
    _, rows = read_accuracy_table(path)
    names = sorted({row.space for row in rows})
    if space is None:
        if len(names) != 1:
            message = f"the accuracy table has {len(names)} spaces"
            raise UserError(message, path=path, hint="--space says which")
        if names[0] not in SPACES:
            message = f"the accuracy table is of space {names[0]}, which has no definition here"
            hint = "--space FILE.yaml names the space file that it was trained with"
            raise UserError(message, path=path, hint=hint)
        space = SPACES[names[0]]
    rows = [row for row in rows if row.space == space.name]
    if not rows:
        hint = f"it has {', '.join(names)}"
        message = f"the accuracy table has nothing of space {space.name}"
        raise UserError(message, path=path, hint=hint)
    try:
        subnets = tuple(space.parse(row.subnet) for row in rows)
    except UserError as error:
        raise UserError(error.message, path=path, hint=error.hint) from None
    sizes = tuple(row.resolution for row in rows)
    return MeasuredAccuracies(space, subnets, sizes, np.array([row.top1 for row in rows]))
