"""compofa-search: which subnet to deploy, given latency tables and limits."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from compofa.common.console import leave, note, print_json, printable, run_command
from compofa.common.errors import ExitCode, UserError
from compofa.common.option_values import parse_duration, parse_share, parse_sizes
from compofa.profiler.commands.options import Inventory, Json
from compofa.profiler.measurement.device_monitor import PATIENCE_S
from compofa.search.answer import Answer, Limits, Result, ask
from compofa.search.candidates import Candidates
from compofa.search.commands.search_options import (
    check_plot,
    device_questions,
    parse_amount,
    parse_bound,
    parse_limits,
    questions,
)
from compofa.search.export import Deployment
from compofa.search.measures import MEASURES, Bound, accurate_enough, measure, within_bound
from compofa.search.output import (
    Column,
    as_json,
    columns,
    infeasible_line,
    show,
    title,
    write_results,
)
from compofa.search.request import SearchRequest, find_candidates
from compofa.supernet.export.formats import Dtype, Format
from compofa.supernet.graph import LARGEST_RESOLUTION, SMALLEST_RESOLUTION

DEFAULT_TOP = 5

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def main() -> None:
    """The entry point of `compofa-search`."""
    run_command(app)


@app.command()
def search_command(
    table: Annotated[
        list[Path],
        typer.Option(help="Latency table, or folder of block tables; may repeat."),
    ],
    latency: Annotated[
        list[str] | None,
        typer.Option(
            help="Limit in ms, as in 25, 15,20,25 or 15-50:5; with several tables, one for each.",
            show_default=False,
        ),
    ] = None,
    accuracy: Annotated[
        Path | None,
        typer.Option(help="Accuracy table, or OFA's acc_predictor.pth.", show_default=False),
    ] = None,
    space: Annotated[
        str | None,
        typer.Option(help="Space, by name or YAML file; by default the tables'."),
    ] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Cells of this batch size.")] = None,
    resolutions: Annotated[
        str | None, typer.Option(help="Cells of these, such as 160,224 or 160-224:16.")
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(
            min=1,
            help=f"Most results: by default {DEFAULT_TOP}, one per limit where there are several, "
            "all of the front.",
        ),
    ] = None,
    max_macs: Annotated[str | None, typer.Option(help="Most MACs per image, as in 250M.")] = None,
    max_params: Annotated[str | None, typer.Option(help="Most parameters, as in 5M.")] = None,
    max_size: Annotated[str | None, typer.Option(help="Most bytes of weights, as in 20MB.")] = None,
    max_memory: Annotated[
        str | None, typer.Option(help="Most bytes of activations held at once, as in 8MB.")
    ] = None,
    at_most: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=NUMBER",
            help="Upper bound on a table's own column; may repeat.",
            show_default=False,
        ),
    ] = None,
    min_top1: Annotated[str | None, typer.Option(help="Least accuracy, as in 75%.")] = None,
    minimise: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Least of this instead of most accuracy: macs, params, size, memory, or a "
            "table's own column.",
        ),
    ] = None,
    risk: Annotated[
        str | None,
        typer.Option(help="Most probability that the latency exceeds its limit, as in 5%."),
    ] = None,
    each: Annotated[bool, typer.Option("--each", help="One subnet per table and limit.")] = False,
    family: Annotated[
        int | None,
        typer.Option(
            min=1, max=20, help="This many subnets that together serve all tables and limits."
        ),
    ] = None,
    like: Annotated[
        list[Path] | None,
        typer.Option(
            help="Table of another device, to predict from what --table lacks; may repeat.",
            show_default=False,
        ),
    ] = None,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Measure the finalists on their devices, answer from that."),
    ] = False,
    inventory: Inventory = Path("devices.yaml"),
    max_time: Annotated[
        str | None, typer.Option(help="Budget of --verify: 90s, 10m or 2h.")
    ] = None,
    pause: Annotated[
        bool,
        typer.Option("--pause/--no-pause", help="With --verify: wait while a device is busy."),
    ] = True,
    predict: Annotated[
        bool,
        typer.Option("--predict", help="Search the whole space, by a model of the table's cells."),
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of a search too large to be exact.")] = 0,
    plot: Annotated[Path | None, typer.Option(help="Draw to this .html or .png file.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the results to this CSV file.")] = None,
    export: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write the winners there, with --checkpoint's weights."),
    ] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="The weights of --export.")] = None,
    format_: Annotated[Format, typer.Option("--format", help="Of --export.")] = Format.ONNX,
    dtype: Annotated[Dtype, typer.Option(help="Of --export.")] = Dtype.FLOAT32,
    calibration: Annotated[Path | None, typer.Option(help="Images for --export of int8.")] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Data set to take the winners' own batch norm statistics from."),
    ] = None,
    json_: Json = False,
) -> None:
    """Find the most accurate subnets within latency limits, or the Pareto front without limits."""
    limits = [parse_limits(text) for text in latency or ()]
    alone = each or family is not None
    asked = (device_questions if alone else questions)(limits, len(table))
    if plot is not None:
        check_plot(plot)
    objective = None if minimise is None else measure(minimise)
    if objective is not None and (predict or family is not None):
        raise UserError("--minimise looks at listed cells: not with --predict or --family")
    deployment = _deployment(export, checkpoint, format_, dtype, calibration, data)
    if verify and (not asked or family is not None or like or objective is not None):
        raise UserError("--verify is for --latency limits, without --family, --like or --minimise")
    if predict and like:
        raise UserError("--predict searches the whole space, --like the cells of other tables")
    sizes = None
    if resolutions is not None:
        sizes = parse_sizes(resolutions, "resolutions", SMALLEST_RESOLUTION, LARGEST_RESOLUTION)
    amounts = {"macs": max_macs, "params": max_params, "size": max_size, "memory": max_memory}
    request = SearchRequest(
        tables=table,
        accuracy=accuracy,
        space=space,
        batch_size=batch_size,
        resolutions=sizes,
        like=like or (),
        predict=predict,
        questions=asked,
        constraints=_bounds(amounts, at_most or ()),
        risk=None if risk is None else parse_share(risk, "risk", 0, 1),
        seed=seed,
    )
    narrowings: list[Narrowing] = [
        partial(within_bound, bound=bound) for bound in request.constraints
    ]
    if min_top1 is not None:
        least = parse_share(min_top1, "min-top1", 0, 1)
        narrowings.append(partial(accurate_enough, top1=least))
    candidates, reason = _narrowed(request, narrowings)
    for message in candidates.notes:
        note(f"note: {message}")
    if reason is not None:
        _say_no(candidates, Answer((), ()), [reason], json_)
    if verify:
        seconds = math.inf if max_time is None else parse_duration(max_time, "max-time")
        patience_s = PATIENCE_S if pause else 0.0
        found = _verified(candidates, request, narrowings, inventory, seconds, patience_s)
        candidates = found.candidates or candidates
    elif family is not None:
        found = _family(candidates, asked, family, request.risk)
    else:
        if top is None and asked:
            top = DEFAULT_TOP if len(asked) == 1 else 1
        answer = ask(candidates, asked, top, request.risk, objective)
        found = _Found(answer, title(candidates, asked), columns(candidates, answer), {})
    if found.answer.results:
        _write(candidates, found.answer, out, plot)
    written = [path for path in (out, plot) if path is not None]
    if found.answer.results and deployment is not None:
        written += deployment.write(_winners(found.answer), candidates.space)
    if found.answer.results and not json_:
        _show(candidates, found, written)
    reasons = [infeasible_line(candidates, each) for each in found.answer.infeasible]
    if reasons:
        _say_no(candidates, found.answer, reasons, json_, found.extra)
    if json_:
        files = {} if deployment is None else {"written": [str(path) for path in written]}
        print_json(as_json(candidates, found.answer) | dict(found.extra) | files)


def _deployment(
    folder: Path | None,
    checkpoint: Path | None,
    format_: Format,
    dtype: Dtype,
    calibration: Path | None,
    data: Path | None,
) -> Deployment | None:
    """What --export asks for."""
    if folder is None:
        if checkpoint is not None:
            raise UserError("--checkpoint holds the weights of --export DIR, which is missing")
        if data is not None:
            raise UserError("--data is for the weights of --export DIR, which is missing")
        return None
    if checkpoint is None:
        raise UserError(
            "--export needs --checkpoint: a winner without its weights is of no use",
            hint="compofa-export writes subnets with random weights, for timing",
        )
    return Deployment(folder, checkpoint, format_, dtype, calibration, data)


def _winners(answer: Answer) -> list[Result]:
    """The best of each question, or all of a front or family."""
    best: dict[tuple[float | None, ...], Result] = {}
    for each in answer.results:
        if each.limit_ms is not None:
            best.setdefault(each.limit_ms, each)
    return list(best.values()) or list(answer.results)


Narrowing = Callable[[Candidates], tuple[Candidates, str | None]]
"""Leaves the candidates that keep within a bound, or says why there is none."""


def _narrowed(
    request: SearchRequest, narrowings: Sequence[Narrowing]
) -> tuple[Candidates, str | None]:
    """The candidates of the request, or why there is none."""
    candidates = find_candidates(request)
    for narrow in narrowings:
        candidates, reason = narrow(candidates)
        if reason is not None:
            return candidates, reason
    return candidates, None


@dataclass(frozen=True)
class _Found:
    """An answer, how to show it, and what JSON has beside it.

    Attributes:
        candidates: where they are others than before.
    """

    answer: Answer
    heading: str
    columns: Sequence[Column]
    extra: Mapping[str, object]
    candidates: Candidates | None = None


def _verified(
    candidates: Candidates,
    request: SearchRequest,
    narrowings: Sequence[Narrowing],
    inventory: Path,
    seconds: float,
    patience_s: float,
) -> _Found:
    """The answer after the finalists have been measured."""
    from compofa.search.verification.measure_finalists import FinalistMeasurement, devices_of
    from compofa.search.verification.verify import verify

    measuring = FinalistMeasurement(
        devices_of(candidates, inventory),
        [table.path for table in candidates.tables],
        lambda: _narrowed(request, narrowings)[0],
        time.monotonic() + seconds,
        patience_s,
    )
    done = verify(candidates, request.questions, measuring, request.risk)
    answer, after = done.answer, done.candidates
    note(done.sentence())
    shown = [
        *columns(after, answer),
        Column(
            "before",
            False,
            [
                "" if each.before is None or not each.changed else each.before.name
                for each in done.questions
                if each.after is not None
            ],
        ),
    ]
    heading = title(after, request.questions)
    return _Found(answer, heading, shown, {"verification": done.as_json()}, after)


def _family(
    candidates: Candidates, asked: Sequence[Limits], count: int, risk: float | None
) -> _Found:
    from compofa.search.family.family import find_family
    from compofa.search.family.family_output import (
        family_answer,
        family_columns,
        family_json,
        family_title,
    )

    found = find_family(candidates, asked, count, risk)
    answer = family_answer(candidates, found)
    shown = [*columns(candidates, answer), *family_columns(candidates, found)]
    extra = {"family": family_json(candidates, found)}
    return _Found(answer, family_title(candidates, found), shown, extra)


def _bounds(amounts: Mapping[str, str | None], columns: Sequence[str]) -> list[Bound]:
    """The upper bounds that --max-NAME and --at-most ask for."""
    found = [
        Bound(MEASURES[name], parse_amount(text, f"max-{name}"))
        for name, text in amounts.items()
        if text is not None
    ]
    return found + [parse_bound(text) for text in columns]


def _write(candidates: Candidates, answer: Answer, out: Path | None, plot: Path | None) -> None:
    if out is not None:
        write_results(out, candidates, answer)
    if plot is not None:
        from compofa.search.plot.plot import write_plot

        write_plot(plot, candidates, answer)


def _show(candidates: Candidates, found: _Found, written: Sequence[Path]) -> None:
    show(found.heading, found.columns)
    print(printable(f"accuracy: {candidates.accuracy}"))
    for path in written:
        print(printable(f"written: {path}"))


def _say_no(
    candidates: Candidates,
    answer: Answer,
    reasons: list[str],
    json_: bool,
    extra: Mapping[str, object] | None = None,
) -> NoReturn:
    """Ends the command with exit code 1, after what there is to print."""
    if json_:
        print_json(as_json(candidates, answer) | dict(extra or {}))
    leave(printable("; ".join(reasons)), ExitCode.NO)
