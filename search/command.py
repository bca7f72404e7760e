"""compofa-search: which subnet to deploy, given latency tables and limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from compofa.profiler.commands.options import Json, parse_share, parse_sizes
from compofa.search.answer import Answer, Limits, ask
from compofa.search.candidates import Candidates
from compofa.search.measures import MEASURES, Bound, accurate_enough, measure, within_bound
from compofa.search.options import (
    check_plot,
    device_questions,
    parse_amount,
    parse_bound,
    parse_limits,
    questions,
)
from compofa.search.output import (
    Column,
    as_json,
    columns,
    infeasible_line,
    show,
    title,
    write_results,
)
from compofa.search.request import Request, find_candidates
from compofa.supernet.console import leave, note, print_json, printable, run_command
from compofa.supernet.errors import ExitCode, UserError
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
    predict: Annotated[
        bool,
        typer.Option("--predict", help="Search the whole space, by a model of the table's cells."),
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of a search too large to be exact.")] = 0,
    plot: Annotated[Path | None, typer.Option(help="Draw to this .html or .png file.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the results to this CSV file.")] = None,
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
    if predict and like:
        raise UserError("--predict searches the whole space, --like the cells of other tables")
    sizes = None
    if resolutions is not None:
        sizes = parse_sizes(resolutions, "resolutions", SMALLEST_RESOLUTION, LARGEST_RESOLUTION)
    amounts = {"macs": max_macs, "params": max_params, "size": max_size, "memory": max_memory}
    request = Request(
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
    candidates = find_candidates(request)
    for message in candidates.notes:
        note(f"note: {message}")
    narrowings = [partial(within_bound, bound=bound) for bound in request.constraints]
    if min_top1 is not None:
        least = parse_share(min_top1, "min-top1", 0, 1)
        narrowings.append(partial(accurate_enough, top1=least))
    for narrow in narrowings:
        candidates, reason = narrow(candidates)
        if reason is not None:
            _say_no(candidates, Answer((), ()), [reason], json_)
    if family is not None:
        found = _family(candidates, asked, family, request.risk)
    else:
        if top is None and asked:
            top = DEFAULT_TOP if len(asked) == 1 else 1
        answer = ask(candidates, asked, top, request.risk, objective)
        found = _Found(answer, title(candidates, asked), columns(candidates, answer), {})
    if found.answer.results:
        _write(candidates, found.answer, out, plot)
    if found.answer.results and not json_:
        _show(candidates, found, [path for path in (out, plot) if path is not None])
    reasons = [infeasible_line(candidates, each) for each in found.answer.infeasible]
    if reasons:
        _say_no(candidates, found.answer, reasons, json_, found.extra)
    if json_:
        print_json(as_json(candidates, found.answer) | dict(found.extra))


@dataclass(frozen=True)
class _Found:
    """An answer, how to show it, and what JSON has beside it."""

    answer: Answer
    heading: str
    columns: Sequence[Column]
    extra: Mapping[str, object]


def _family(
    candidates: Candidates, asked: Sequence[Limits], count: int, risk: float | None
) -> _Found:
    from compofa.search.family import find_family
    from compofa.search.family_output import (
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
        from compofa.search.plot import write_plot

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
