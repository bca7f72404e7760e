"""Accuracies from a predictor that `compofa-train predictor` has fitted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from compofa.common.arrays import FloatArray, IntArray
from compofa.common.errors import UserError
from compofa.profiler.models.collection.collection import Collection
from compofa.search.accuracy.sources import Cells
from compofa.supernet.accuracy_predictor.choices import choices_of, choices_of_arrays
from compofa.supernet.accuracy_predictor.predictor import AccuracyPredictor, read_predictor
from compofa.supernet.space import Space
from compofa.supernet.subnet import SubnetArrays


@dataclass(frozen=True)
class FittedAccuracy:
    """A fitted predictor as an `AccuracySource` and an `ArrayAccuracy`."""

    path: Path
    predictor: AccuracyPredictor

    @property
    def description(self) -> str:
        """The name of the predictor's file, and the accuracies that it was fitted to."""
        return f"predicted by {self.path.name}, fitted to {self.predictor.source}"

    @property
    def predicted(self) -> bool:
        """True: a predictor only predicts."""
        return True

    def resolutions(self, _space: Space | Collection, /) -> tuple[int, ...]:
        """The resolutions that the predictor was fitted on."""
        return self.predictor.resolutions

    def top1(self, cells: Cells) -> FloatArray:
        """Predicts the accuracies of the cells; see `AccuracySource`.

        They are NaN at resolutions that the predictor was not fitted on.
        """
        space = self._checked(cells.space)
        subnets = [cells.subnets[key] for key in cells.keys]
        return self.predictor.top1(choices_of(space, subnets, cells.sizes.tolist()))

    def deviations(self, cells: Cells) -> FloatArray:
        """The predictor's RMSE on held-out subnets, which is the same for all cells."""
        return np.full(len(cells.keys), self.predictor.rmse)

    def top1_of(self, space: Space, subnets: SubnetArrays, sizes: IntArray, /) -> FloatArray:
        """Predicts n subnets at resolutions that it was fitted on; see `ArrayAccuracy`."""
        self._check(space)
        return self.predictor.top1(choices_of_arrays(space, subnets, sizes))

    def _checked(self, space: Space | Collection) -> Space:
        if isinstance(space, Collection):
            raise UserError("this predictor is of subnets, not of model files", path=self.path)
        self._check(space)
        return space

    def _check(self, space: Space) -> None:
        reason = self.predictor.why_not(space)
        if reason is not None:
            raise UserError(f"this predictor cannot be used here: {reason}", path=self.path)


def read_fitted(path: Path) -> FittedAccuracy:
    """Reads a predictor that `compofa-train predictor` has written.

    Raises:
        UserError: the file cannot be read, or is not such a predictor.
    """
    return FittedAccuracy(path, read_predictor(path))
