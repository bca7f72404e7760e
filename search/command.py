"""compofa-search: which subnet to deploy, given latency tables and limits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from compofa.profiler.commands.options import Json, parse_share, parse_sizes
from compofa.search.accuracy import load_accuracy
from compofa.search.answer import Answer, Limits, ask, at_most
from compofa.search.candidates import Candidates, common_space, join, load_latencies
from compofa.search.options import check_plot, parse_amount, parse_limit, questions
from compofa.search.output import as_json, columns, infeasible_line, show, title, write_results
from compofa.supernet.console import leave, note, print_json, printable, run_command
from compofa.supernet.errors import ExitCode
from compofa.supernet.graph import LARGEST_RESOLUTION, SMALLEST_RESOLUTION, Block
from compofa.supernet.space import get_space

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
        typer.Option(help="Limit in ms; with several tables, one for each.", show_default=False),
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
    risk: Annotated[
        str | None,
        typer.Option(help="Most probability that the latency exceeds its limit, as in 5%."),
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw to this .html or .png file.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the results to this CSV file.")] = None,
    json_: Json = False,
) -> None:
    """Find the most accurate subnets within latency limits, or the Pareto front without limits."""
    asked = questions([parse_limit(text) for text in latency or ()], len(table))
    share = None if risk is None else parse_share(risk, "risk", 0, 1)
    limits: list[tuple[str, Callable[[Block], int], int]] = []
    if max_macs is not None:
        limits.append(("MACs", lambda block: block.macs, parse_amount(max_macs, "max-macs")))
    if max_params is not None:
        amount = parse_amount(max_params, "max-params")
        limits.append(("parameters", lambda block: block.params, amount))
    if plot is not None:
        check_plot(plot)
    candidates = _load(table, accuracy, space, batch_size, resolutions)
    for message in candidates.notes:
        note(f"note: {message}")
    for name, cost, most in limits:
        candidates, reason = at_most(candidates, name, cost, most)
        if reason is not None:
            _say_no(candidates, Answer((), ()), [reason], json_)
    if top is None and asked:
        top = DEFAULT_TOP if len(asked) == 1 else 1
    answer = ask(candidates, asked, top, share)
    if answer.results:
        _write(candidates, answer, out, plot)
    reasons = [infeasible_line(candidates, each) for each in answer.infeasible]
    if answer.results and not json_:
        _show(candidates, answer, asked, [path for path in (out, plot) if path is not None])
    if reasons:
        _say_no(candidates, answer, reasons, json_)
    if json_:
        print_json(as_json(candidates, answer))


def _load(
    tables: list[Path],
    accuracy: Path | None,
    space_name: str | None,
    batch_size: int | None,
    resolutions: str | None,
) -> Candidates:
    """Reads what the options name, and joins it."""
    sizes = None
    if resolutions is not None:
        sizes = parse_sizes(resolutions, "resolutions", SMALLEST_RESOLUTION, LARGEST_RESOLUTION)
    chosen = None if space_name is None else get_space(space_name)
    latencies = [load_latencies(path, chosen, sizes) for path in tables]
    space = common_space(latencies, chosen)
    return join(latencies, space, load_accuracy(accuracy, space), batch_size, sizes)


def _write(candidates: Candidates, answer: Answer, out: Path | None, plot: Path | None) -> None:
    if out is not None:
        write_results(out, candidates, answer)
    if plot is not None:
        from compofa.search.plot import write_plot

        write_plot(plot, candidates, answer)


def _show(candidates: Candidates, answer: Answer, asked: list[Limits], written: list[Path]) -> None:
    show(title(candidates, asked), columns(candidates, answer))
    print(printable(f"accuracy: {candidates.accuracy}"))
    for path in written:
        print(printable(f"written: {path}"))


def _say_no(candidates: Candidates, answer: Answer, reasons: list[str], json_: bool) -> NoReturn:
    """Ends the command with exit code 1, after what there is to print."""
    if json_:
        print_json(as_json(candidates, answer))
    leave(printable("; ".join(reasons)), ExitCode.NO)
