"""Accuracies from a predictor that `compofa-train predictor` has fitted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from compofa.common.arrays import FloatArray, IntArray
from compofa.common.errors import UserError
from compofa.search.accuracy.sources import Cells
from compofa.supernet.accuracy_predictor.choices import choices_of, choices_of_arrays
from compofa.supernet.accuracy_predictor.predictor import AccuracyPredictor, read_predictor
from compofa.supernet.space import Space
from compofa.supernet.subnet import SubnetArrays


@dataclass(frozen=True)
class FittedAccuracy:
    """A predictor as a source of accuracies; see `AccuracySource` and `ArrayAccuracy`."""

    path: Path
    predictor: AccuracyPredictor

    @property
    def description(self) -> str:
        """Says that these are predictions, and from what."""
        return f"predicted by {self.path.name}, fitted to {self.predictor.source}"

    @property
    def predicted(self) -> bool:
        """All of them are."""
        return True

    def resolutions(self, _space: Space, /) -> tuple[int, ...]:
        """Those it was fitted on."""
        return self.predictor.resolutions

    def top1(self, cells: Cells) -> FloatArray:
        """Predicts the cells; NaN at resolutions it was not fitted on."""
        self._check(cells.space)
        subnets = [cells.subnets[key] for key in cells.keys]
        return self.predictor.top1(choices_of(cells.space, subnets, cells.sizes.tolist()))

    def deviations(self, cells: Cells) -> FloatArray:
        """Its error on held-out subnets, alike for all cells."""
        return np.full(len(cells.keys), self.predictor.rmse)

    def top1_of(self, space: Space, subnets: SubnetArrays, sizes: IntArray, /) -> FloatArray:
        """Predicts n subnets at resolutions it was fitted on."""
        self._check(space)
        return self.predictor.top1(choices_of_arrays(space, subnets, sizes))

    def _check(self, space: Space) -> None:
        reason = self.predictor.why_not(space)
        if reason is not None:
            raise UserError(f"this predictor is of no use here: {reason}", path=self.path)


def read_fitted(path: Path) -> FittedAccuracy:
    """Reads a predictor of ours.

    Raises:
        UserError: it cannot be read, or is something else.
    """
    return FittedAccuracy(path, read_predictor(path))
