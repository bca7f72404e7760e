"""compofa-train predictor: accuracies of a whole space from measurements of some subnets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from compofa.common.console import print_json, printable
from compofa.common.errors import UserError, require_package
from compofa.supernet.commands.shared_options import (
    BatchOption,
    CalibrationOption,
    DeviceOption,
    FreshOption,
    ResolutionsOption,
    SeedOption,
    SplitFileOption,
    WorkersOption,
    chosen_subnets,
    resolutions_of,
    tell_memory,
)
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
    """What is fitted."""

    AUTO = "auto"
    GP = "gp"
    MLP = "mlp"


def predictor(
    out: Annotated[Path, typer.Option(help="The predictor: .npz, or .pth in OFA's layout.")],
    accuracy: Annotated[
        Path | None,
        typer.Option(help="Table to fit to; with --checkpoint, what it lacks is measured."),
    ] = None,
    space: Annotated[
        str | None, typer.Option(help="A space's name or a space file; the table's, if left out.")
    ] = None,
    model: Annotated[
        ModelOption,
        typer.Option(help="A Gaussian process, the paper's network, or what errs less."),
    ] = ModelOption.AUTO,
    compare: Annotated[
        Path | None, typer.Option(help="Another predictor, to see its errors on the same table.")
    ] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="The supernet to measure.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of the data set.")] = None,
    sample: Annotated[int, typer.Option(min=10, help="Subnets to measure.")] = 500,
    split_file: SplitFileOption = None,
    resolutions: ResolutionsOption = None,
    calibration_images: CalibrationOption = CALIBRATION_IMAGES,
    batch_size: BatchOption = BATCH_SIZE,
    workers: WorkersOption = None,
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
    fresh: FreshOption = False,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Fit an accuracy predictor to the accuracies of some subnets on held-out images."""
    kinds = _kinds(model, out)
    if (checkpoint is None) != (data is None) or (checkpoint is None and accuracy is None):
        raise UserError("give --accuracy TABLE, or --checkpoint and --data to measure one")
    known = None if space is None else get_space(space)
    require_package("torch", "train")
    from compofa.supernet.accuracy_predictor.fitting import errors_of, fit_predictor
    from compofa.supernet.accuracy_predictor.measured import read_measured
    from compofa.supernet.accuracy_predictor.predictor_files import (
        check_file,
        read_model,
        save_fitted,
    )
    from compofa.supernet.ranks import joined_ranks

    table = accuracy or out.with_suffix(".csv")
    with joined_ranks(device) as ranks:
        if checkpoint is not None and data is not None:
            options = EvaluationOptions(
                checkpoint, data, SplitPart.HELDOUT, split_file, calibration_images, batch_size,
                workers, seed, fresh,
            )  # fmt: skip
            known = _measure(options, table, out, sample, resolutions, ranks)
        if not ranks.first:
            return
        measured = read_measured(table, known)
        check_file(out, measured.space, measured.resolutions)
        fitted = fit_predictor(measured, kinds, seed)
        save_fitted(out, fitted[0], measured)
        errors = {each.kind.value: each.errors for each in fitted}
        if compare is not None:
            rival = read_model(compare, measured.space, measured.resolutions)
            errors[compare.name] = errors_of(rival, measured)
        (_print_report if json_ else _show)(out, measured, errors)


def _measure(
    options: EvaluationOptions,
    table: Path,
    out: Path,
    sample: int,
    resolutions: str | None,
    ranks: Ranks,
) -> Space:
    """Fills the table with a sample of the checkpoint's space, which it returns."""
    from compofa.supernet.accuracy_predictor.predictor_files import check_file

    supernet = options.load(ranks)
    space, sizes = supernet.space, resolutions_of(resolutions, supernet.space)
    check_file(out, space, sizes)
    subnets = chosen_subnets(space, None, sample, options.seed)
    run = options.run(table, supernet, ranks)
    if ranks.first:
        tell_memory(supernet, subnets, max(sizes), options.calibration_images)
    run.fill(subnets, sizes)
    return space


def _kinds(model: ModelOption, out: Path) -> list[ModelKind]:
    """The models to fit: those that were asked for and that the file can hold.

    Raises:
        UserError: there is none.
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
        raise UserError("OFA's layout holds the paper's network, no Gaussian process", path=out)
    return kinds


def _print_report(
    out: Path, measured: MeasuredAccuracies, errors: Mapping[str, Sequence[Error]]
) -> None:
    """What was fitted, as JSON; the first model is the one that was written."""
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
    found = asdict(error)
    if math.isnan(error.rank_correlation):
        found["rank_correlation"] = None
    return found


def _show(out: Path, measured: MeasuredAccuracies, errors: Mapping[str, Sequence[Error]]) -> None:
    """The errors as a table; the first model is the one that was written."""
    first = next(iter(errors))
    told = f"{out}: {first}, fitted to {len(measured.sizes)} cells of {measured.space.name}"
    print(printable(told))
    print(f"{'model':20} {'resolution':>10} {'cells':>8} {'RMSE, points':>12} {'rank':>6}")
    for name, some in errors.items():
        for each in some:
            size = "all" if each.resolution is None else str(each.resolution)
            figures = f"{each.cells:8} {100 * each.rmse:12.3f} {each.rank_correlation:6.3f}"
            print(f"{printable(name):20} {size:>10} {figures}")
