"""compofa-train predictor: predicts the accuracies of a space from those of some subnets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from compofa.common.console import print_json, printable
from compofa.common.errors import UserError, require_package
from compofa.supernet.commands import shared_options as shared
from compofa.supernet.evaluation.evaluation_options import (
    BATCH_SIZE,
    CALIBRATION_IMAGES,
    EvaluationOptions,
    SplitPart,
)
from compofa.supernet.spaces import get_space

if TYPE_CHECKING:
    from compofa.supernet.accuracy_predictor.fitting import Error, ModelKind
    from compofa.supernet.accuracy_predictor.measured import MeasuredAccuracies
    from compofa.supernet.ranks import Ranks
    from compofa.supernet.space import Space


class ModelOption(StrEnum):
    """The values of --model."""

    AUTO = "auto"
    GP = "gp"
    MLP = "mlp"


FIT = "Fitting"
MEASURE = "Measuring accuracies first"
"""Panels of the help."""

_OutOption = Annotated[
    Path,
    typer.Option(
        metavar="FILE",
        help="The predictor to write: NAME.npz, or NAME.pth in the layout of OFA's released "
        "predictor.",
        rich_help_panel=shared.OUTPUT,
    ),
]
_AccuracyOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="The accuracy table to fit to. With --checkpoint, the rows that it lacks are measured "
        "and added to it. By default it has the name of --out with the suffix .csv.",
        rich_help_panel=FIT,
    ),
]
_SpaceOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="The space of the subnets: its name, or its YAML file. By default the space of the "
        "table.",
        rich_help_panel=FIT,
    ),
]
_ModelChoice = Annotated[
    ModelOption,
    typer.Option(
        help="The kind of predictor: gp is a Gaussian process, mlp the network of the OFA paper. "
        "auto fits both and keeps the one with the smaller error on held-out subnets.",
        rich_help_panel=FIT,
    ),
]
_CompareOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Another predictor, whose errors on the same table are shown for comparison.",
        rich_help_panel=FIT,
    ),
]
_MeasuredCheckpoint = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="The checkpoint of the supernet whose subnets are measured. It needs --data.",
        rich_help_panel=MEASURE,
    ),
]
_MeasuredData = Annotated[Path | None, typer.Option(help=shared.DATA_HELP, rich_help_panel=MEASURE)]
_SampleOption = Annotated[
    int,
    typer.Option(min=10, metavar="N", help="How many subnets to measure.", rich_help_panel=MEASURE),
]


def predictor(
    out: _OutOption,
    accuracy: _AccuracyOption = None,
    space: _SpaceOption = None,
    model: _ModelChoice = ModelOption.AUTO,
    compare: _CompareOption = None,
    checkpoint: _MeasuredCheckpoint = None,
    data: _MeasuredData = None,
    sample: _SampleOption = 500,
    split_file: shared.SplitFileOption = None,
    resolutions: shared.ResolutionsOption = None,
    calibration_images: shared.CalibrationOption = CALIBRATION_IMAGES,
    batch_size: shared.BatchOption = BATCH_SIZE,
    workers: shared.WorkersOption = None,
    device: shared.DeviceOption = "auto",
    seed: shared.SeedOption = 0,
    fresh: shared.FreshOption = False,
    json_: shared.JsonOption = False,
) -> None:
    """Fit a predictor of accuracies, so that all subnets of a large space can be searched.

    It is fitted to the accuracies of some subnets on held-out images. They are read from a table,
    or measured first. `compofa-search --accuracy` reads the predictor.
    """
    fit = _Fit(out, accuracy or out.with_suffix(".csv"), _kinds(model, out), compare, seed)
    if (checkpoint is None) != (data is None) or (checkpoint is None and accuracy is None):
        raise UserError("give --accuracy TABLE, or --checkpoint and --data to measure one")
    known = None if space is None else get_space(space)
    require_package("torch", "train")
    from compofa.supernet.ranks import joined_ranks

    with joined_ranks(device) as ranks:
        if checkpoint is not None and data is not None:
            options = EvaluationOptions(
                checkpoint, data, SplitPart.HELDOUT, split_file, calibration_images, batch_size,
                workers, seed, fresh,
            )  # fmt: skip
            known = fit.measure(options, sample, resolutions, ranks)
        if ranks.first:
            measured, errors = fit.fit(known)
            (_print_report if json_ else _show)(out, measured, errors)


@dataclass(frozen=True)
class _Fit:
    """What to fit, and to what.

    Attributes:
        out: the file of the predictor.
        table: the table with the accuracies.
        kinds: the kinds of models to fit.
        compare: another predictor, whose errors are shown for comparison.
        seed: the random seed.
    """

    out: Path
    table: Path
    kinds: Sequence[ModelKind]
    compare: Path | None
    seed: int

    def measure(
        self, options: EvaluationOptions, sample: int, resolutions: str | None, ranks: Ranks
    ) -> Space:
        """Measures a sample of subnets into the table, and returns the checkpoint's space."""
        from compofa.supernet.accuracy_predictor.predictor_files import check_file

        supernet = options.load(ranks)
        space, sizes = supernet.space, shared.resolutions_of(resolutions, supernet.space)
        # Checked here too, because measuring may take hours.
        check_file(self.out, space, sizes)
        subnets = shared.chosen_subnets(space, None, sample, self.seed)
        shared.measure(options, self.table, supernet, ranks, subnets, sizes)
        return space

    def fit(self, space: Space | None) -> tuple[MeasuredAccuracies, dict[str, Sequence[Error]]]:
        """Fits and writes the predictor.

        Returns:
            The measurements, and the errors of each model by its name; the first model is the one
            that was written.
        """
        from compofa.supernet.accuracy_predictor.fitting import errors_of, fit_predictor
        from compofa.supernet.accuracy_predictor.measured import read_measured
        from compofa.supernet.accuracy_predictor.predictor_files import (
            check_file,
            read_model,
            save_fitted,
        )

        measured = read_measured(self.table, space)
        check_file(self.out, measured.space, measured.resolutions)
        fitted = fit_predictor(measured, self.kinds, self.seed)
        save_fitted(self.out, fitted[0], measured)
        errors: dict[str, Sequence[Error]] = {each.kind.value: each.errors for each in fitted}
        if self.compare is not None:
            other = read_model(self.compare, measured.space, measured.resolutions)
            errors[self.compare.name] = errors_of(other, measured)
        return measured, errors


def _kinds(model: ModelOption, out: Path) -> list[ModelKind]:
    """The kinds of models to fit: those that --model allows and the file can hold.

    Raises:
        UserError: there is none, or the file has an unknown suffix.
    """
    from compofa.supernet.accuracy_predictor.fitting import ModelKind
    from compofa.supernet.accuracy_predictor.predictor_files import RELEASED_SUFFIXES, SUFFIX

    if out.suffix not in (SUFFIX, *RELEASED_SUFFIXES):
        endings = ", ".join((SUFFIX, *RELEASED_SUFFIXES))
        raise UserError(f"a predictor's file ends in one of {endings}", path=out)
    kinds = list(ModelKind) if model is ModelOption.AUTO else [ModelKind(model)]
    if out.suffix in RELEASED_SUFFIXES:
        kinds = [kind for kind in kinds if kind is ModelKind.PERCEPTRON]
    if not kinds:
        message = "OFA's layout holds the paper's network only, not a Gaussian process"
        raise UserError(message, path=out)
    return kinds


def _print_report(
    out: Path, measured: MeasuredAccuracies, errors: Mapping[str, Sequence[Error]]
) -> None:
    """Prints the errors as JSON; the first model is the one that was written."""
    print_json(
        {
            "path": str(out),
            "space": measured.space.name,
            "cells": len(measured.sizes),
            "model": next(iter(errors)),
            "errors": {name: [_as_json(each) for each in some] for name, some in errors.items()},
        }
    )


def _as_json(error: Error) -> dict[str, Any]:
    plain = asdict(error)
    if math.isnan(error.rank_correlation):
        plain["rank_correlation"] = None
    return plain


def _show(out: Path, measured: MeasuredAccuracies, errors: Mapping[str, Sequence[Error]]) -> None:
    """Prints the errors as a table; the first model is the one that was written."""
    first = next(iter(errors))
    told = f"{out}: {first}, fitted to {len(measured.sizes)} cells of {measured.space.name}"
    print(printable(told))
    print(f"{'model':20} {'resolution':>10} {'cells':>8} {'RMSE, points':>12} {'rank':>6}")
    for name, some in errors.items():
        for each in some:
            size = "all" if each.resolution is None else str(each.resolution)
            figures = f"{each.cells:8} {100 * each.rmse:12.3f} {each.rank_correlation:6.3f}"
            print(f"{printable(name):20} {size:>10} {figures}")
