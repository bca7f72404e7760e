"""Reads and writes predictors by suffix: `.npz` is ours, `.pth` and `.pt` are in OFA's layout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from compofa.common.errors import UserError
from compofa.supernet.accuracy_predictor.fitting import Fitted
from compofa.supernet.accuracy_predictor.measured import MeasuredAccuracies
from compofa.supernet.accuracy_predictor.perceptron import Perceptron
from compofa.supernet.accuracy_predictor.predictor import (
    AccuracyModel,
    AccuracyPredictor,
    definition_of,
    read_predictor,
    write_predictor,
)
from compofa.supernet.accuracy_predictor.released_layout import (
    read_released,
    why_not_released,
    write_released,
)
from compofa.supernet.space import Space

SUFFIX = ".npz"
RELEASED_SUFFIXES = (".pth", ".pt")


def check_file(path: Path, space: Space, resolutions: Sequence[int]) -> None:
    """Checks that a file with the suffix of `path` can hold a predictor of these cells.

    Raises:
        UserError: it cannot.
    """
    reason = why_not_released(space, resolutions) if path.suffix in RELEASED_SUFFIXES else None
    if reason is not None:
        message = f"OFA's layout cannot hold this predictor: {reason}"
        raise UserError(message, path=path, hint=f"write it to NAME{SUFFIX} instead")


def save_fitted(path: Path, fitted: Fitted, measured: MeasuredAccuracies) -> None:
    """Writes a fitted predictor in the format that the suffix of `path` stands for.

    Raises:
        UserError: the file cannot be written, or the format cannot hold the predictor.
    """
    check_file(path, measured.space, measured.resolutions)
    if path.suffix in RELEASED_SUFFIXES:
        if not isinstance(fitted.model, Perceptron):
            message = "OFA's layout holds the paper's network only, not a Gaussian process"
            raise UserError(message, path=path)
        write_released(path, fitted.model)
        return
    predictor = AccuracyPredictor(
        space=measured.space.name,
        definition=definition_of(measured.space),
        resolutions=measured.resolutions,
        model=fitted.model,
        rmse=fitted.rmse,
        source=f"accuracies of {len(set(measured.subnets))} subnets",
    )
    write_predictor(path, predictor)


def read_model(path: Path, space: Space, resolutions: tuple[int, ...]) -> AccuracyModel:
    """Reads the model in a predictor's file, to predict cells of `space` at `resolutions`.

    Raises:
        UserError: the file cannot be read, or the predictor is for other cells.
    """
    if path.suffix in RELEASED_SUFFIXES:
        reason = why_not_released(space, resolutions)
        model: AccuracyModel = read_released(path)
    else:
        predictor = read_predictor(path)
        reason, model = predictor.why_not(space), predictor.model
        if reason is None and not set(resolutions) <= set(predictor.resolutions):
            reason = "it was not fitted at all of these resolutions"
    if reason is not None:
        raise UserError(f"it is not a predictor for this table: {reason}", path=path)
    return model
