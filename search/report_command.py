"""compofa-report: pages about tables, and `compare`, the verdict for CI.

It stands in this room because the verdict on the Pareto front needs accuracies.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from compofa.profiler.commands.options import Json, parse_share
from compofa.profiler.commands.report import app
from compofa.supernet.console import note, print_json, printable, run_command
from compofa.supernet.errors import ExitCode, UserError
from compofa.supernet.files import write_atomically

if TYPE_CHECKING:
    from compofa.profiler.comparison.changes import Changes
    from compofa.search.front_change import FrontChange


def main() -> None:
    """The entry point of `compofa-report`."""
    run_command(app)


@app.command("compare")
def compare_command(
    base: Annotated[Path, typer.Argument(metavar="BASE.csv", help="The table to compare with.")],
    new: Annotated[Path, typer.Argument(metavar="NEW.csv", help="The table to judge.")],
    min_effect: Annotated[str, typer.Option(help="Smallest change that counts.")] = "3%",
    confidence: Annotated[
        str, typer.Option(help="That no cell is falsely called slower or faster.")
    ] = "0.95",
    allow_different: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FACT",
            help="A difference that is the point, such as runtime_version; may repeat.",
            show_default=False,
        ),
    ] = None,
    accuracy: Annotated[
        Path | None, typer.Option(help="Accuracies for the Pareto front; as compofa-search.")
    ] = None,
    space: Annotated[
        str | None, typer.Option(help="Space file, where the space is one's own.")
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="Markdown for a job's summary, appended to the file.")
    ] = None,
    comment: Annotated[
        Path | None, typer.Option(help="Markdown short enough for a comment.")
    ] = None,
    junit: Annotated[Path | None, typer.Option(help="JUnit XML.")] = None,
    csv: Annotated[Path | None, typer.Option(help="One row per cell.")] = None,
    benchmark_action: Annotated[
        Path | None, typer.Option(help="customSmallerIsBetter of github-action-benchmark.")
    ] = None,
    bencher: Annotated[Path | None, typer.Option(help="Bencher Metric Format.")] = None,
    json_: Json = False,
) -> None:
    """Say whether anything became slower: exit code 0 no, 1 yes, 3 cannot tell."""
    from compofa.profiler.comparison.changes import compare_tables
    from compofa.profiler.comparison.exchange import (
        as_json,
        write_bencher,
        write_benchmark_action,
        write_csv,
    )
    from compofa.profiler.comparison.junit import write_junit
    from compofa.profiler.comparison.markdown import COMMENT_BYTES, lines, write_markdown
    from compofa.profiler.comparison.sides import load_side

    changes = compare_tables(
        load_side(base),
        load_side(new),
        min_effect=parse_share(min_effect, "min-effect", 0, 1),
        confidence=parse_share(confidence, "confidence", 0.5, 1),
        allowed=allow_different or (),
    )
    front = _front(changes, accuracy, space)
    said = [] if front is None else front.sentences()
    outputs: list[tuple[Path | None, Callable[[Changes], str]]] = [
        (comment, lambda found: write_markdown(found, said, COMMENT_BYTES)),
        (junit, write_junit),
        (csv, write_csv),
        (benchmark_action, write_benchmark_action),
        (bencher, write_bencher),
    ]
    for path, write in outputs:
        if path is not None:
            write_atomically(path, write(changes), "the report")
    if markdown is not None:
        # Appended, as several reports may go to one summary.
        before = markdown.read_text(encoding="utf-8") if markdown.exists() else ""
        write_atomically(markdown, before + write_markdown(changes, said), "the report")
    if json_:
        print_json(as_json(changes, None if front is None else front.as_json()))
    else:
        for line in (*lines(changes), *said):
            print(printable(line))
    raise typer.Exit(_exit_code(changes, front))


def _exit_code(changes: Changes, front: FrontChange | None) -> ExitCode:
    from compofa.profiler.statistics.compare import Verdict

    if changes.verdict is Verdict.SLOWER or (front is not None and front.falls):
        return ExitCode.NO
    return ExitCode.PARTIAL if changes.verdict is Verdict.CANNOT_TELL else ExitCode.DONE


def _front(changes: Changes, accuracy: Path | None, space: str | None) -> FrontChange | None:
    """What it means for the front; None, with a note, where no accuracies are known."""
    from compofa.search.accuracy import load_accuracy
    from compofa.search.candidates import Latencies, common_space, join
    from compofa.search.front_change import front_change
    from compofa.supernet.space import get_space

    sides = [Latencies(side.path, side.table) for side in (changes.base, changes.new)]
    try:
        common = common_space(sides, None if space is None else get_space(space))
        source = load_accuracy(accuracy, common)
        before, after = (join([side], common, source) for side in sides)
    except UserError as error:
        if accuracy is not None:
            raise
        note(f"no verdict on the Pareto front: {error}")
        return None
    return front_change(before, after, changes.device or 1.0, changes.min_effect)
