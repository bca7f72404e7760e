"""compofa-search: finds the subnet to deploy, given latency tables and limits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compofa.common.console import run_command
from compofa.common.csv_lines import parse_number
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
    from compofa.profiler.models.collection.collection import Collection
    from compofa.search.accuracy.metric import Metric
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
    metric: options.SearchMetric = "top1",
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
    models: options.SearchModels = None,
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
    from compofa.search.commands.search_run import Outputs, Search, SearchRequest  # with NumPy

    request = SearchRequest(
        tables=table,
        accuracy=accuracy,
        space=space,
        batch_size=batch_size,
        resolutions=_sizes(resolutions),
        like=like or (),
        predict=predict,
        questions=_questions(latency, len(table), alone=each or family is not None),
        constraints=_bounds((max_macs, max_params, max_size, max_memory), at_most),
        risk=None if risk is None else parse_share(risk, "risk", 0, 1),
        minimise=_objectives(minimise),
        min_top1=_least(min_top1, metric),
        seed=seed,
        metric=_metric(metric),
        collection=_collection(models),
    )
    deployed = _deployment(export, checkpoint, format_, dtype, calibration, data)
    verifying = _verify_options(inventory, max_time, pause) if verify else None
    Search(request, top, family, verifying, Outputs(plot, out, deployed, json_)).run()


def _metric(name: str) -> Metric:
    from compofa.search.accuracy.metric import parse_metric

    return parse_metric(name)


def _least(text: str | None, metric: str) -> float | None:
    """What --min-top1 says: a share, or a number in units of another metric."""
    if text is None or metric != "top1":
        return None if text is None else _number(text)
    return parse_share(text, "min-top1", 0, 1)


def _number(text: str) -> float:
    try:
        return parse_number(text, "--min-top1")
    except ValueError as error:
        raise UserError(str(error)) from None


def _collection(places: list[Path] | None) -> Collection | None:
    """The model files that --models names; what they are called together, the tables say."""
    if places is None:
        return None
    from compofa.profiler.models.collection.collection import USUAL_NAME
    from compofa.profiler.models.collection.find_models import collection_of

    return collection_of(USUAL_NAME, (), places)


def _sizes(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    return parse_sizes(text, "resolutions", SMALLEST_RESOLUTION, LARGEST_RESOLUTION)


def _questions(texts: Sequence[str] | None, tables: int, *, alone: bool) -> list[Limits]:
    """The questions of --latency; if `alone`, each limit of each table is one of its own."""
    from compofa.search.commands.search_options import device_questions, parse_limits, questions

    limits = [parse_limits(text) for text in texts or ()]
    return device_questions(limits, tables) if alone else questions(limits, tables)


def _bounds(most: Sequence[str | None], at_most: Sequence[str] | None) -> list[Bound]:
    """What --max-macs, --max-params, --max-size, --max-memory and --at-most say."""
    from compofa.search.commands.search_options import parse_bounds

    amounts = dict(zip(("macs", "params", "size", "memory"), most, strict=True))
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
