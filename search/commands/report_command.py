"""compofa-report: pages about tables, and `compare`, the verdict for CI.

It stands in this room because the verdict on the Pareto front needs accuracies.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from compofa.common.console import note, print_json, printable, run_command
from compofa.common.errors import ExitCode, UserError, file_error
from compofa.common.files import write_atomically
from compofa.common.option_values import parse_duration, parse_share
from compofa.profiler.commands.history_command import app as history_app
from compofa.profiler.commands.html_command import app
from compofa.profiler.commands.options import Inventory, Json

if TYPE_CHECKING:
    from compofa.profiler.comparison.changes import Changes
    from compofa.profiler.comparison.front import FrontChange
    from compofa.profiler.comparison.verdict import Report

app.add_typer(history_app, name="history")


def main() -> None:
    """The entry point of `compofa-report`."""
    run_command(app)


@app.command("compare")
def compare_command(
    base: Annotated[
        Path, typer.Argument(metavar="BASE", help="The table to compare with, or a folder of them.")
    ],
    new: Annotated[
        Path, typer.Argument(metavar="NEW", help="The table to judge, or a folder of them.")
    ],
    min_effect: Annotated[str, typer.Option(help="Smallest change that counts.")] = "3%",
    confidence: Annotated[
        str, typer.Option(help="That nothing is falsely called slower or faster.")
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
    confirm: Annotated[
        bool, typer.Option("--confirm", help="Measure the suspects again, both sides together.")
    ] = False,
    models: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            help="Model files for --confirm, of compofa-profile --keep-models; may repeat.",
            show_default=False,
        ),
    ] = None,
    inventory: Inventory = Path("devices.yaml"),
    max_time: Annotated[str, typer.Option(help="Budget of --confirm on each device.")] = "10m",
    pause: Annotated[
        bool, typer.Option("--pause/--no-pause", help="Wait while the device is busy or hot.")
    ] = True,
    html: Annotated[Path | None, typer.Option(help="A page that people look at.")] = None,
    junit: Annotated[Path | None, typer.Option(help="JUnit XML.")] = None,
    csv: Annotated[Path | None, typer.Option(help="One row per cell.")] = None,
    benchmark_action: Annotated[
        Path | None, typer.Option(help="customSmallerIsBetter of github-action-benchmark.")
    ] = None,
    bencher: Annotated[Path | None, typer.Option(help="Bencher Metric Format.")] = None,
    json_: Json = False,
) -> None:
    """Say whether anything became slower: exit code 0 no, 1 yes, 3 cannot tell."""
    from compofa.profiler.comparison.formats.comparison_page import comparison_page
    from compofa.profiler.comparison.formats.exchange import (
        as_json,
        write_bencher,
        write_benchmark_action,
        write_csv,
    )
    from compofa.profiler.comparison.formats.junit import write_junit
    from compofa.profiler.comparison.formats.markdown import COMMENT_BYTES, write_markdown
    from compofa.profiler.comparison.formats.screen import screen_lines

    seconds = parse_duration(max_time, "max-time")
    report = _compared(
        base,
        new,
        parse_share(min_effect, "min-effect", 0, 1),
        parse_share(confidence, "confidence", 0.5, 1),
        allow_different or [],
        (lambda found: _confirmed(found, inventory, models or [], space, seconds, pause))
        if confirm
        else lambda found: found,
        lambda changes: _front(changes, accuracy, space),
    )
    outputs: list[tuple[Path | None, Callable[[Report], str]]] = [
        (comment, lambda found: write_markdown(found, COMMENT_BYTES)),
        (html, comparison_page),
        (junit, write_junit),
        (csv, write_csv),
        (benchmark_action, write_benchmark_action),
        (bencher, write_bencher),
    ]
    for path, write in outputs:
        if path is not None:
            write_atomically(path, write(report), "the report")
    if markdown is not None:
        _append_markdown(markdown, report)
    if json_:
        print_json(as_json(report))
    else:
        for line in screen_lines(report):
            print(printable(line))
    raise typer.Exit(_exit_code(report))


def _compared(
    base: Path,
    new: Path,
    min_effect: float,
    confidence: float,
    allowed: list[str],
    confirm: Callable[[Changes], Changes],
    front: Callable[[Changes], FrontChange | None],
) -> Report:
    """Compares every device; what false alarms are permitted is shared out among them."""
    from compofa.profiler.comparison.changes import compare_tables
    from compofa.profiler.comparison.pairs import find_pairs
    from compofa.profiler.comparison.sides import load_side
    from compofa.profiler.comparison.verdict import Compared, Report

    pairs = find_pairs(base, new)
    each_confidence = 1 - (1 - confidence) / len(pairs.paths)
    devices = []
    for before, after in pairs.paths:
        found = compare_tables(
            load_side(before),
            load_side(after),
            min_effect=min_effect,
            confidence=each_confidence,
            allowed=allowed,
        )
        # First, so that what is wrong with accuracies is told before minutes are spent.
        change = front(found)
        changes = confirm(found)
        if changes is not found and change is not None:
            change = front(changes)
        devices.append(Compared(changes, change))
    return Report(tuple(devices), pairs.only_base, pairs.only_new)


def _confirmed(
    changes: Changes,
    inventory: Path,
    models: list[Path],
    space: str | None,
    seconds: float,
    pause: bool,
) -> Changes:
    """The suspects measured again on the device that both tables name."""
    from compofa.profiler.comparison.confirm import confirm
    from compofa.profiler.inventory import find_device
    from compofa.profiler.measurement.device_monitor import PATIENCE_S
    from compofa.profiler.measurement.handshake import as_measured
    from compofa.profiler.measurement.progress import Display
    from compofa.supernet.space import get_space

    setup = changes.new.table.setup
    name = space or changes.cells[0].cell.space
    with Display(setup.device) as display:
        return confirm(
            changes,
            as_measured(find_device(inventory, setup.device), setup),
            get_space(name),
            models,
            display,
            until=time.monotonic() + seconds,
            patience_s=PATIENCE_S if pause else 0.0,
        )


def _append_markdown(path: Path, report: Report) -> None:
    """Adds the report to a job's summary, within what the summary may hold in all."""
    from compofa.profiler.comparison.formats.markdown import SUMMARY_BYTES, write_markdown

    room = max(SUMMARY_BYTES - (path.stat().st_size if path.is_file() else 0), 0)
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(write_markdown(report, room))
    except OSError as error:
        raise file_error(error, path, "cannot write the report") from None


def _exit_code(report: Report) -> ExitCode:
    from compofa.profiler.statistics.compare import Verdict

    codes = {Verdict.SLOWER: ExitCode.NO, Verdict.CANNOT_TELL: ExitCode.PARTIAL}
    return codes.get(report.verdict, ExitCode.DONE)


def _front(changes: Changes, accuracy: Path | None, space: str | None) -> FrontChange | None:
    """What it means for the front; None, with a note, where no accuracies are known."""
    import numpy as np

    from compofa.search.accuracy.accuracy import load_accuracy
    from compofa.search.candidates import Latencies, common_space, join
    from compofa.search.front_change import front_change
    from compofa.supernet.space import get_space

    sides = [Latencies(side.path, side.table) for side in (changes.base, changes.new)]
    try:
        common = common_space(sides, None if space is None else get_space(space))
        source = load_accuracy(accuracy, common)
        before, after = (join([side], common, source) for side in sides)
    except UserError as error:
        if accuracy is not None or space is not None:
            raise
        note(f"no verdict on the Pareto front: {error.message}")
        return None
    # What was not measured now has not become slower; what can no longer be measured is lost.
    known = {*after.cells, *changes.broken}
    before = before.keep(np.array([cell in known for cell in before.cells]))
    if not len(before):
        note("no verdict on the Pareto front: the tables have no cell with an accuracy in common")
        return None
    device = 1.0 if changes.device is None else changes.device.ratio
    return front_change(before, after, device, changes.min_effect, changes.confidence)
