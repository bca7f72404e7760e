"""compofa-report: pages about tables, and `compare`, which gives the verdict for CI.

It is part of search/ and not of profiler/ because the verdict on the Pareto front needs accuracies.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from compofa.common.console import run_command
from compofa.common.errors import ExitCode, UserError
from compofa.common.option_values import parse_duration, parse_share
from compofa.profiler.commands.history_command import app as history_app
from compofa.profiler.commands.html_command import app
from compofa.profiler.commands.options import Json
from compofa.profiler.settings import MIN_EFFECT, MIN_EFFECT_IN_TURNS
from compofa.search.commands import compare_help as options

if TYPE_CHECKING:
    from compofa.profiler.comparison.gates import Gate
    from compofa.profiler.comparison.report_format import ReportFormat
    from compofa.profiler.comparison.verdict import Report

__all__ = ["app", "main"]
"""The application is that of `html_command`, with `compare` and `history` added."""

app.add_typer(history_app, name="history")


def main() -> None:
    """The entry point of `compofa-report`."""
    run_command(app)


@app.command("compare")
def compare_command(
    base: options.CompareBaseTable,
    new: options.CompareNewTable = None,
    device: options.CompareDevices = None,
    force: options.CompareForce = False,
    fresh: options.CompareFresh = False,
    journals: options.CompareJournals = Path(),
    input_shape: options.CompareInputShape = None,
    input_data: options.CompareInputData = None,
    min_effect: options.CompareMinEffect = None,
    confidence: options.CompareConfidence = options.DEFAULT_CONFIDENCE,
    gates: options.CompareGates = None,
    allow_different: options.CompareAllowDifferent = None,
    accuracy: options.CompareAccuracy = None,
    space: options.CompareSpace = None,
    confirm: options.CompareConfirm = False,
    models: options.CompareModels = None,
    inventory: options.CompareInventory = Path("devices.yaml"),
    max_time: options.CompareMaxTime = "10m",
    pause: options.ComparePause = True,
    markdown: options.CompareMarkdown = None,
    comment: options.CompareComment = None,
    html: options.CompareHtml = None,
    junit: options.CompareJunit = None,
    csv: options.CompareCsv = None,
    benchmark_action: options.CompareBenchmarkAction = None,
    bencher: options.CompareBencher = None,
    formats: options.CompareFormats = None,
    json_: Json = False,
) -> None:
    """Say whether anything became slower. The exit code is 0 if not, 1 if so, 3 if in doubt.

    Two tables are compared as they are. Two model files are measured on a device, run by run in
    turns: compofa-report compare base.onnx new.onnx --device local
    """
    from compofa.search.commands import compare_in_turns, compare_tables  # help does without

    outputs = _reports(
        {"markdown": markdown, "comment": comment, "html": html, "junit": junit, "csv": csv,
         "benchmark-action": benchmark_action, "bencher": bencher},
        formats or (),
    )  # fmt: skip
    seconds = parse_duration(max_time, "max-time")
    again = compare_tables.ConfirmOptions(inventory, models or [], seconds, pause)
    compared = compare_tables.CompareOptions(
        _least(min_effect, in_turns=bool(device)), parse_share(confidence, "confidence", 0.5, 1),
        allow_different or [], accuracy, space, again if confirm else None, _gates(gates or ()),
    )  # fmt: skip
    in_turns = compare_in_turns.InTurnsOptions(
        device or [], inventory, force, fresh, journals, input_shape or [], input_data,
        compared.min_effect, compared.confidence, seconds, pause,
    )  # fmt: skip
    compare_in_turns.check_sides(base, new, in_turns, compared.for_tables)
    if device:
        report = compare_in_turns.compare_in_turns(base, new, in_turns)
    else:
        report = compare_tables.compare_devices(base, new or base, compared)
    _write(report, outputs, json_)
    raise typer.Exit(_exit_code(report))


def _write(report: Report, outputs: Sequence[tuple[ReportFormat, Path]], json_: bool) -> None:
    """Writes all files, and says on the screen what was found."""
    for report_format, path in outputs:
        report_format.write(report, path)
    (shown,) = _outputs([("json" if json_ else "screen", Path())])
    sys.stdout.write(shown[0].render(report))


def _least(text: str | None, *, in_turns: bool) -> float:
    """The smallest change that counts."""
    if text is None:
        return MIN_EFFECT_IN_TURNS if in_turns else MIN_EFFECT
    # Of models measured in turns one may ask for any change at all: each has to be decided.
    if in_turns and text.strip() in ("0", "0%"):
        return 0.0
    return parse_share(text, "min-effect", 0, 1)


def _named_file(text: str) -> tuple[str, Path]:
    """Parses the value of `--format NAME=FILE`."""
    name, _, file = text.partition("=")
    if not name or not file:
        raise UserError(f"--format {text[:60]!r} names no file", hint="as in junit=junit.xml")
    return name, Path(file)


def _gates(texts: Sequence[str]) -> tuple[Gate, ...]:
    return tuple(map(_gate, texts))


def _gate(text: str) -> Gate:
    """Parses the value of `--gate COLUMN=PERCENT`."""
    from compofa.profiler.comparison.gates import Gate

    column, _, most = text.partition("=")
    if not column or not most:
        raise UserError(f"--gate {text[:60]!r} names no share", hint="as in peak_memory_mb=5%")
    if most.strip() in ("0", "0%"):
        return Gate(column.strip(), 0.0)
    return Gate(column.strip(), parse_share(most, f"gate {column[:40]}", 0, 10))


def _reports(
    named: Mapping[str, Path | None], others: Sequence[str]
) -> list[tuple[ReportFormat, Path]]:
    """Formats and their files, checked first, so that a misspelt format costs no time."""
    files = [(name, path) for name, path in named.items() if path is not None]
    outputs = _outputs([*files, *map(_named_file, others)])
    for report_format, path in outputs:
        report_format.check(path)
    return outputs


def _outputs(files: Sequence[tuple[str, Path]]) -> list[tuple[ReportFormat, Path]]:
    from compofa.profiler.comparison.report_format import find_report_format

    return [(find_report_format(name), path) for name, path in files]


def _exit_code(report: Report) -> ExitCode:
    from compofa.profiler.statistics.compare import Verdict

    codes = {Verdict.SLOWER: ExitCode.NO, Verdict.CANNOT_TELL: ExitCode.PARTIAL}
    return codes.get(report.verdict, ExitCode.DONE)
