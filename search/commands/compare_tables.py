"""`compofa-report compare` for tables: every device, every column with a gate, and the front."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from compofa.common.console import note
from compofa.common.errors import UserError

if TYPE_CHECKING:
    from compofa.profiler.comparison.changes import Changes
    from compofa.profiler.comparison.front import FrontChange
    from compofa.profiler.comparison.gates import Gate
    from compofa.profiler.comparison.verdict import Report


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


def compare_devices(base: Path, new: Path, options: CompareOptions) -> Report:
    """Compares the tables of every device.

    The permitted probability of a false alarm is divided by the number of devices (Bonferroni).

    Raises:
        UserError: a table is wrong, or the tables and the options do not go together.
        DeviceError: --confirm could not measure.
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
