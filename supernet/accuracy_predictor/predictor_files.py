"""Predictors by the endings of their files: `.npz` is ours, `.pth` and `.pt` OFA's layout."""

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
    """Whether the form that the file's ending asks for can hold a predictor of these cells.

    Raises:
        UserError: it cannot.
    """
    reason = why_not_released(space, resolutions) if path.suffix in RELEASED_SUFFIXES else None
    if reason is not None:
        message = f"OFA's layout cannot hold this predictor: {reason}"
        raise UserError(message, path=path, hint=f"--out NAME{SUFFIX} can")


def save_fitted(path: Path, fitted: Fitted, measured: MeasuredAccuracies) -> None:
    """Writes a fitted predictor in the form that the file's ending asks for.

    Raises:
        UserError: it cannot be written, or that form cannot hold it.
    """
    check_file(path, measured.space, measured.resolutions)
    if path.suffix in RELEASED_SUFFIXES:
        if not isinstance(fitted.model, Perceptron):
            message = "OFA's layout holds the paper's network, no Gaussian process"
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
    """The model in a predictor's file, if it is one for these cells.

    Raises:
        UserError: it cannot be read, or is for others.
    """
    if path.suffix in RELEASED_SUFFIXES:
        reason = why_not_released(space, resolutions)
        model: AccuracyModel = read_released(path)
    else:
        predictor = read_predictor(path)
        reason, model = predictor.why_not(space), predictor.model
        if reason is None and not set(resolutions) <= set(predictor.resolutions):
            reason = "it was not fitted at all these resolutions"
    if reason is not None:
        raise UserError(f"it is not a predictor for this table: {reason}", path=path)
    return model
