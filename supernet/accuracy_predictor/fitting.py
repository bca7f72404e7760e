"""Fits accuracy predictors, and compares them by their errors on subnets they have not seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from compofa.common.arrays import FloatArray, IntArray
from compofa.common.errors import UserError
from compofa.supernet.accuracy_predictor.choices import Choices, OneHot
from compofa.supernet.accuracy_predictor.gaussian import GaussianProcess
from compofa.supernet.accuracy_predictor.measured import MeasuredAccuracies
from compofa.supernet.accuracy_predictor.perceptron import fit_perceptron
from compofa.supernet.accuracy_predictor.predictor import AccuracyModel
from compofa.supernet.accuracy_predictor.released_layout import LAYOUT, why_not_released
from compofa.supernet.space import Space

HELD_OUT = 0.2
"""The share of the subnets on which models are compared."""

LEAST_SUBNETS = 10


class ModelKind(StrEnum):
    """The kinds of models that can be fitted."""

    GAUSSIAN = "gp"
    PERCEPTRON = "mlp"


@dataclass(frozen=True)
class Error:
    """How far predictions are from the measurements of some cells.

    Attributes:
        resolution: the resolution of the cells; None for those of all resolutions together.
        cells: how many cells there are.
        rmse: the root mean square error as a fraction of one; it contains measurement noise.
        rank_correlation: Spearman's rank correlation; NaN if all predictions or all measurements
            are equal.
    """

    resolution: int | None
    cells: int
    rmse: float
    rank_correlation: float


@dataclass(frozen=True)
class Fitted:
    """A fitted model and its held-out errors.

    Attributes:
        kind: the kind of the model.
        model: the model, fitted to all measurements.
        errors: the errors on held-out subnets of a model that was fitted to the others, for each
            resolution and then for all together.
    """

    kind: ModelKind
    model: AccuracyModel
    errors: tuple[Error, ...]

    @property
    def rmse(self) -> float:
        """The held-out root mean square error over all resolutions, as a fraction of one."""
        return self.errors[-1].rmse


def fit_predictor(
    measured: MeasuredAccuracies, kinds: Sequence[ModelKind], seed: int = 0
) -> list[Fitted]:
    """Fits models and orders them by their held-out errors, the best first.

    A fifth of the subnets is held out, with all their resolutions. The errors are those of models
    that are fitted to the rest; then each model is fitted again to all measurements.

    Args:
        measured: the measurements.
        kinds: the kinds of models to fit.
        seed: the random seed, for the choice of the held-out subnets and for the fits.

    Raises:
        UserError: fewer than `LEAST_SUBNETS` subnets were measured.
    """
    names = {subnet: i for i, subnet in enumerate(dict.fromkeys(measured.subnets))}
    if len(names) < LEAST_SUBNETS:
        hint = f"measure {LEAST_SUBNETS} or more; a good predictor needs a few hundred"
        raise UserError(f"{len(names)} subnets are too few to fit a predictor to", hint=hint)
    of = np.array([names[subnet] for subnet in measured.subnets])
    drawn = np.random.default_rng(seed).permutation(len(names))
    # Subnets are held out with all their resolutions: the accuracy at one resolution would reveal
    # that at another.
    out = np.isin(of, drawn[: max(2, round(HELD_OUT * len(names)))])
    choices = measured.choices
    fitted = []
    for kind in kinds:
        fit = _fitter(measured, kind, seed)
        tried = fit(choices.rows(np.flatnonzero(~out)), measured.top1[~out])
        predicted = tried.predict(choices.rows(np.flatnonzero(out)))
        errors = _errors(choices.sizes[out], measured.top1[out], predicted)
        fitted.append(Fitted(kind, fit(choices, measured.top1), errors))
    return sorted(fitted, key=lambda each: each.rmse)


def _fitter(
    measured: MeasuredAccuracies, kind: ModelKind, seed: int
) -> Callable[[Choices, FloatArray], AccuracyModel]:
    if kind is ModelKind.GAUSSIAN:
        return lambda choices, top1: GaussianProcess.fit(choices, top1, seed)
    encoding = encoding_of(measured.space, measured.resolutions)
    return lambda choices, top1: fit_perceptron(choices, top1, encoding, seed)


def encoding_of(space: Space, resolutions: Sequence[int]) -> OneHot:
    """The inputs of a network for cells of `space` at `resolutions`.

    They are those of OFA's released network if it can encode these cells, so that the network can
    be written in that layout.
    """
    if why_not_released(space, resolutions) is None:
        return LAYOUT
    kernels = {kernel for unit in space.units for kernel in unit.kernels}
    expands = {expand for unit in space.units for expand in unit.expands}
    widths = {width for unit in space.units for width in unit.widths}
    return OneHot(
        tuple(sorted(kernels)), tuple(sorted(expands)), tuple(sorted(widths)), tuple(resolutions)
    )


def _errors(sizes: IntArray, top1: FloatArray, predicted: FloatArray) -> tuple[Error, ...]:
    """The errors for each resolution, ascending, and then for all together."""
    every = [(int(size), sizes == size) for size in np.unique(sizes)]
    parts = [*every, (None, np.ones(len(sizes), dtype=bool))]
    return tuple(_error(size, top1[part], predicted[part]) for size, part in parts)


def errors_of(model: AccuracyModel, measured: MeasuredAccuracies) -> tuple[Error, ...]:
    """The errors of a model on measurements, for each resolution and then for all together."""
    choices = measured.choices
    return _errors(choices.sizes, measured.top1, model.predict(choices))


def _error(resolution: int | None, top1: FloatArray, predicted: FloatArray) -> Error:
    from scipy.stats import rankdata

    rmse = float(np.sqrt(np.mean((top1 - predicted) ** 2)))
    correlation = float("nan")
    if np.ptp(top1) > 0 and np.ptp(predicted) > 0:
        # Spearman's rank correlation is Pearson's correlation of the ranks.
        correlation = float(np.corrcoef(rankdata(top1), rankdata(predicted))[0, 1])
    return Error(resolution, len(top1), rmse, correlation)
