"""compofa-report: pages about tables, and `compare`, which gives the verdict for CI.

It is part of search/ and not of profiler/ because the verdict on the Pareto front needs accuracies.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from compofa.common.console import note, run_command
from compofa.common.errors import ExitCode, UserError
from compofa.common.option_values import parse_duration, parse_share
from compofa.profiler.commands.history_command import app as history_app
from compofa.profiler.commands.html_command import app
from compofa.profiler.commands.options import Json
from compofa.profiler.settings import MIN_EFFECT, MIN_EFFECT_IN_TURNS
from compofa.search.commands import compare_help as options
from compofa.search.commands.compare_in_turns import (
    InTurnsOptions,
    check_sides,
    compare_in_turns,
)

if TYPE_CHECKING:
    from compofa.profiler.comparison.changes import Changes
    from compofa.profiler.comparison.front import FrontChange
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
    outputs = _reports(
        {"markdown": markdown, "comment": comment, "html": html, "junit": junit, "csv": csv,
         "benchmark-action": benchmark_action, "bencher": bencher},
        formats or (),
    )  # fmt: skip
    again = ConfirmOptions(inventory, models or [], parse_duration(max_time, "max-time"), pause)
    compared = CompareOptions(
        _least(min_effect, in_turns=bool(device)), parse_share(confidence, "confidence", 0.5, 1),
        allow_different or [], accuracy, space, again if confirm else None,
        tuple(map(_gate, gates or ())),
    )  # fmt: skip
    in_turns = InTurnsOptions(
        device or [], inventory, force, fresh, journals, input_shape or [], input_data,
        compared.min_effect, compared.confidence, again.seconds, pause,
    )  # fmt: skip
    check_sides(base, new, in_turns, compared.for_tables)
    if device:
        report = compare_in_turns(base, new, in_turns)
    else:
        report = _compare_devices(base, new or base, compared)
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


@dataclass(frozen=True)
class ConfirmOptions:
    """How --confirm measures again.

    Attributes:
        inventory: the file that describes the devices.
        models: folders with model files.
        seconds: the most time to spend on each device.
        pause: whether to wait while a device is busy or hot.
    """

    inventory: Path
    models: Sequence[Path]
    seconds: float
    pause: bool


@dataclass(frozen=True)
class CompareOptions:
    """How tables are compared.

    Attributes:
        min_effect: the smallest change that counts, as a fraction of the latency.
        confidence: the probability that nothing is falsely called slower or faster, over all
            devices.
        allowed: the facts in which the set-ups may differ.
        accuracy, space: those for the Pareto front, as given on the command line.
        confirm: how to measure again; None if nothing is measured again.
        gates: on columns besides latency.
    """

    min_effect: float
    confidence: float
    allowed: Sequence[str]
    accuracy: Path | None
    space: str | None
    confirm: ConfirmOptions | None
    gates: tuple[Gate, ...]

    @property
    def for_tables(self) -> dict[str, object]:
        """What is given of the options that are about tables alone."""
        return {
            "--accuracy": self.accuracy,
            "--space": self.space,
            "--confirm": self.confirm,
            "--allow-different": self.allowed,
            "--gate": self.gates,
        }


def _named_file(text: str) -> tuple[str, Path]:
    """Parses the value of `--format NAME=FILE`."""
    name, _, file = text.partition("=")
    if not name or not file:
        raise UserError(f"--format {text[:60]!r} names no file", hint="as in junit=junit.xml")
    return name, Path(file)


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


def _compare_devices(base: Path, new: Path, options: CompareOptions) -> Report:
    """Compares the tables of every device.

    The permitted probability of a false alarm is divided by the number of devices (Bonferroni).
    """
    from compofa.profiler.comparison.changes import compare_tables
    from compofa.profiler.comparison.gates import check_gates
    from compofa.profiler.comparison.pairs import find_pairs
    from compofa.profiler.comparison.sides import load_side
    from compofa.profiler.comparison.verdict import Compared, Report

    pairs = find_pairs(base, new)
    each_confidence = 1 - (1 - options.confidence) / len(pairs.paths)
    devices = []
    for before, after in pairs.paths:
        changes = compare_tables(
            load_side(before),
            load_side(after),
            min_effect=options.min_effect,
            confidence=each_confidence,
            allowed=options.allowed,
        )
        gates = check_gates(changes.base, changes.new, options.gates)
        # These come first, so that an error in gates or accuracies costs no measuring.
        front = _front(changes, options)
        if options.confirm is not None:
            confirmed = _confirmed(changes, options.space, options.confirm)
            if confirmed is not changes and front is not None:
                front = _front(confirmed, options)
            changes = confirmed
        devices.append(Compared(changes, front, gates))
    return Report(tuple(devices), pairs.only_base, pairs.only_new)


def _confirmed(changes: Changes, space: str | None, options: ConfirmOptions) -> Changes:
    """Measures the cells that may be slower again, on the device that both tables name."""
    from compofa.profiler.comparison.confirm import ModelSources, confirm
    from compofa.profiler.inventory import find_device
    from compofa.profiler.measurement.device_access import TimeLimits
    from compofa.profiler.measurement.device_monitor import PATIENCE_S
    from compofa.profiler.measurement.handshake import as_measured
    from compofa.profiler.measurement.progress import Display
    from compofa.search.candidates import Latencies, is_collection
    from compofa.supernet.spaces import get_space

    setup = changes.new.table.setup
    name = space or changes.cells[0].cell.space
    if is_collection(Latencies(changes.new.path, changes.new.table), name):
        raise UserError(
            "--confirm measures subnets again, and these tables are about model files",
            hint="compofa-report compare BASE.onnx NEW.onnx --device NAME compares the files",
        )
    with Display(setup.device) as display:
        return confirm(
            changes,
            as_measured(find_device(options.inventory, setup.device), setup),
            ModelSources(get_space(name), options.models),
            display,
            limits=TimeLimits(
                time.monotonic() + options.seconds, PATIENCE_S if options.pause else 0.0
            ),
        )


def _exit_code(report: Report) -> ExitCode:
    from compofa.profiler.statistics.compare import Verdict

    codes = {Verdict.SLOWER: ExitCode.NO, Verdict.CANNOT_TELL: ExitCode.PARTIAL}
    return codes.get(report.verdict, ExitCode.DONE)


def _front(changes: Changes, options: CompareOptions) -> FrontChange | None:
    """How the Pareto front changed; None, with a note to the user, if no accuracies are known."""
    import numpy as np

    from compofa.search.accuracy.accuracy import load_accuracy
    from compofa.search.candidates import Latencies, common_space, join
    from compofa.search.front_change import front_change
    from compofa.supernet.spaces import get_space

    sides = [Latencies(side.path, side.table) for side in (changes.base, changes.new)]
    try:
        chosen = None if options.space is None else get_space(options.space)
        common = common_space(sides, chosen)
        source = load_accuracy(options.accuracy, common)
        before, after = (join([side], common, source) for side in sides)
    except UserError as error:
        # A user who gave accuracies or a space wants a verdict on the front. Without them it is
        # an addition that the comparison can do without.
        if options.accuracy is not None or options.space is not None:
            raise
        note(f"no verdict on the Pareto front: {error.message}")
        return None
    # A cell that the new table lacks has not become slower, so it must not count as lost accuracy.
    # A cell whose measurement fails now does count as lost.
    known = {*after.cells, *changes.broken}
    before = before.keep(np.array([cell in known for cell in before.cells]))
    if not len(before):
        note("no verdict on the Pareto front: the tables have no cell with an accuracy in common")
        return None
    device = 1.0 if changes.device is None else changes.device.ratio
    return front_change(before, after, device, changes.min_effect, changes.confidence)
