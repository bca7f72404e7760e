"""Fitting accuracy predictors, and choosing one by its error on subnets it has not seen."""

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
"""Share of the subnets that models are compared on."""

LEAST_SUBNETS = 10


class ModelKind(StrEnum):
    """What can be fitted."""

    GAUSSIAN = "gp"
    PERCEPTRON = "mlp"


@dataclass(frozen=True)
class Error:
    """How far predictions are from measurements of n held-out cells.

    Attributes:
        resolution: of the cells; None for those of all resolutions together.
        rmse: root mean square, as a fraction of one; the noise of measuring is part of it.
        rank_correlation: Spearman's; NaN where there is nothing to rank.
    """

    resolution: int | None
    cells: int
    rmse: float
    rank_correlation: float


@dataclass(frozen=True)
class Fitted:
    """A model of all measurements, and the errors of one fitted without the held-out subnets."""

    kind: ModelKind
    model: AccuracyModel
    errors: tuple[Error, ...]

    @property
    def rmse(self) -> float:
        """Over all resolutions."""
        return self.errors[-1].rmse


def fit_predictor(
    measured: MeasuredAccuracies, kinds: Sequence[ModelKind], seed: int = 0
) -> list[Fitted]:
    """Fits models and orders them by held-out error, the best first.

    A fifth of the subnets is held out with all their resolutions; the errors are those of models
    fitted to the rest. Then each is fitted again to everything.

    Raises:
        UserError: too few subnets.
    """
    names = {subnet: i for i, subnet in enumerate(dict.fromkeys(measured.subnets))}
    if len(names) < LEAST_SUBNETS:
        hint = f"measure {LEAST_SUBNETS} or more; some hundred make a good predictor"
        raise UserError(f"{len(names)} subnets are too few to fit a predictor to", hint=hint)
    of = np.array([names[subnet] for subnet in measured.subnets])
    drawn = np.random.default_rng(seed).permutation(len(names))
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
    """The inputs of a network for these cells: those of the released one where it has them."""
    if why_not_released(space, resolutions) is None:
        return LAYOUT
    kernels = {kernel for unit in space.units for kernel in unit.kernels}
    expands = {expand for unit in space.units for expand in unit.expands}
    widths = {width for unit in space.units for width in unit.widths}
    return OneHot(
        tuple(sorted(kernels)), tuple(sorted(expands)), tuple(sorted(widths)), tuple(resolutions)
    )


def _errors(sizes: IntArray, top1: FloatArray, predicted: FloatArray) -> tuple[Error, ...]:
    """Per resolution, ascending, and then over all."""
    every = [(int(size), sizes == size) for size in np.unique(sizes)]
    parts = [*every, (None, np.ones(len(sizes), dtype=bool))]
    return tuple(_error(size, top1[part], predicted[part]) for size, part in parts)


def errors_of(model: AccuracyModel, measured: MeasuredAccuracies) -> tuple[Error, ...]:
    """How a model errs on measurements, per resolution and then over all."""
    choices = measured.choices
    return _errors(choices.sizes, measured.top1, model.predict(choices))


def _error(resolution: int | None, top1: FloatArray, predicted: FloatArray) -> Error:
    from scipy.stats import rankdata

    rmse = float(np.sqrt(np.mean((top1 - predicted) ** 2)))
    correlation = float("nan")
    if np.ptp(top1) > 0 and np.ptp(predicted) > 0:
        # Spearman's correlation is Pearson's of the ranks.
        correlation = float(np.corrcoef(rankdata(top1), rankdata(predicted))[0, 1])
    return Error(resolution, len(top1), rmse, correlation)
