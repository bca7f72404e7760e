"""compofa-search: finds the subnet to deploy, given latency tables and limits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compofa.common.console import run_command
from compofa.common.errors import UserError
from compofa.common.option_values import parse_duration, parse_share, parse_sizes
from compofa.common.programs.command_classes import PlainCommand
from compofa.common.programs.program import Program
from compofa.search.commands import search_help as options
from compofa.supernet.defaults import LARGEST_RESOLUTION, SMALLEST_RESOLUTION
from compofa.supernet.export.dtype import Dtype
from compofa.supernet.export.formats import ONNX
from compofa.supernet.export.model_format import ModelFormat

if TYPE_CHECKING:
    from compofa.search.answer import Limits
    from compofa.search.commands.search_run import VerifyOptions
    from compofa.search.export import Deployment
    from compofa.search.measures import Bound, Measure

app = Program()


def main() -> None:
    """The entry point of `compofa-search`."""
    run_command(app)


class _TableNamed(PlainCommand):
    """A command that explains --table if a table is given without it."""

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        if args and not args[0].startswith("-") and "--table" not in args:
            from shlex import quote

            table = quote(args[0])
            hint = f"did you mean compofa-search --table {table}?"
            raise UserError(f"{args[0][:60]!r} is not an option", hint=hint)
        return super().parse_args(ctx, args)


@app.command(cls=_TableNamed)
def search_command(
    table: options.SearchTables,
    latency: options.SearchLatency = None,
    min_top1: options.SearchMinTop1 = None,
    minimise: options.SearchMinimise = None,
    top: options.SearchTop = None,
    each: options.SearchEach = False,
    family: options.SearchFamily = None,
    accuracy: options.SearchAccuracy = None,
    space: options.SearchSpace = None,
    batch_size: options.SearchBatchSize = None,
    resolutions: options.SearchResolutions = None,
    max_macs: options.SearchMaxMacs = None,
    max_params: options.SearchMaxParams = None,
    max_size: options.SearchMaxSize = None,
    max_memory: options.SearchMaxMemory = None,
    at_most: options.SearchAtMost = None,
    risk: options.SearchRisk = None,
    like: options.SearchLike = None,
    predict: options.SearchPredict = False,
    seed: options.SearchSeed = 0,
    verify: options.SearchVerify = False,
    inventory: options.SearchInventory = Path("devices.yaml"),
    max_time: options.SearchMaxTime = None,
    pause: options.SearchPause = True,
    plot: options.SearchPlot = None,
    out: options.SearchOut = None,
    json_: options.SearchJson = False,
    export: options.SearchExport = None,
    checkpoint: options.SearchCheckpoint = None,
    format_: options.SearchExportFormat = None,
    dtype: options.SearchExportDtype = Dtype.FLOAT32,
    calibration: options.SearchCalibration = None,
    data: options.SearchData = None,
) -> None:
    """Find the most accurate subnets within latency limits, or the Pareto front without limits."""
    # Deferred: NumPy alone would take longer than all the rest of showing the help.
    from compofa.search.commands.search_run import Outputs, Search
    from compofa.search.request import SearchRequest

    amounts = {"macs": max_macs, "params": max_params, "size": max_size, "memory": max_memory}
    request = SearchRequest(
        tables=table,
        accuracy=accuracy,
        space=space,
        batch_size=batch_size,
        resolutions=_sizes(resolutions),
        like=like or (),
        predict=predict,
        questions=_questions(latency, len(table), alone=each or family is not None),
        constraints=_bounds(amounts, at_most),
        risk=None if risk is None else parse_share(risk, "risk", 0, 1),
        minimise=_objectives(minimise),
        min_top1=None if min_top1 is None else parse_share(min_top1, "min-top1", 0, 1),
        seed=seed,
    )
    verifying = _verify_options(inventory, max_time, pause)
    deployment = _deployment(export, checkpoint, format_, dtype, calibration, data)
    outputs = Outputs(plot, out, deployment, json_)
    Search(request, top, family, verifying if verify else None, outputs).run()


def _sizes(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    return parse_sizes(text, "resolutions", SMALLEST_RESOLUTION, LARGEST_RESOLUTION)


def _questions(texts: Sequence[str] | None, tables: int, *, alone: bool) -> list[Limits]:
    """The questions of --latency; if `alone`, each limit of each table is one of its own."""
    from compofa.search.commands.search_options import device_questions, parse_limits, questions

    limits = [parse_limits(text) for text in texts or ()]
    return device_questions(limits, tables) if alone else questions(limits, tables)


def _bounds(amounts: Mapping[str, str | None], at_most: Sequence[str] | None) -> list[Bound]:
    from compofa.search.commands.search_options import parse_bounds

    return parse_bounds(amounts, at_most or ())


def _objectives(names: Sequence[str] | None) -> tuple[Measure, ...]:
    from compofa.search.commands.search_options import parse_objectives

    return parse_objectives(names or ())


def _verify_options(inventory: Path, max_time: str | None, pause: bool) -> VerifyOptions:
    from compofa.search.commands.search_run import VerifyOptions

    seconds = math.inf if max_time is None else parse_duration(max_time, "max-time")
    return VerifyOptions(inventory, seconds, pause)


def _deployment(
    folder: Path | None,
    checkpoint: Path | None,
    format_: ModelFormat | None,
    dtype: Dtype,
    calibration: Path | None,
    data: Path | None,
) -> Deployment | None:
    """What --export writes; None without it."""
    if folder is None:
        if checkpoint is not None:
            raise UserError("--checkpoint can only be given together with --export DIR")
        if data is not None:
            raise UserError("--data can only be given together with --export DIR")
        return None
    if checkpoint is None:
        raise UserError(
            "--export needs --checkpoint FILE, the trained weights",
            hint="compofa-export writes subnets with random weights, for timing",
        )
    from compofa.search.export import Deployment

    return Deployment(folder, checkpoint, format_ or ONNX, dtype, calibration, data)
