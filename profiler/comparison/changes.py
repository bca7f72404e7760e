"""What changed between two tables, cell by cell and as a whole, with errors controlled."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from compofa.common.errors import UserError
from compofa.profiler.comparison.sides import Side, check_comparable, interval_means
from compofa.profiler.results.table import Cell
from compofa.profiler.settings import CONFIDENCE, MIN_EFFECT
from compofa.profiler.statistics.compare import (
    Comparison,
    Ratio,
    Verdict,
    compare,
    compare_means,
)
from compofa.profiler.statistics.device_change import DeviceChange

REFERENCE = Cell("", "the reference model", 1, 1)
"""The reference model, as a cell among the others."""


@dataclass(frozen=True)
class CellChange:
    """A cell on both sides; `ratio` is new over base."""

    cell: Cell
    base_ms: float
    new_ms: float
    ratio: Ratio


@dataclass(frozen=True)
class Confirmation:
    """What became of the suspects when both sides were measured in the same sessions.

    Attributes:
        measured: cells whose ratio is from there.
        identical: cells whose model file is the same on both sides, so that nothing was measured.
        sessions: that measured them.
    """

    measured: tuple[Cell, ...]
    identical: tuple[Cell, ...]
    sessions: int


@dataclass(frozen=True)
class SideBySide:
    """How two sides were measured in turns.

    Attributes:
        processes: the most that measured a pair; of two set-ups, pairs of them.
        runs: of both sides.
        seconds: that measuring took.
        set_ups: whether the sides are two set-ups, not two versions of a model.
        identical: cells whose two sides are one file.
        measured_identical: whether these were measured all the same.
        differing_outputs: cells whose two sides do not compute the same, and by how much they
            differ, as a share of the largest output.
        failures: cells of which a side could not be measured, and why.
        out_of_time: whether it was time that ended it.
        went_on: whether a part was measured by an earlier call.
    """

    processes: int
    runs: int
    seconds: float
    set_ups: bool = False
    identical: tuple[Cell, ...] = ()
    measured_identical: bool = False
    differing_outputs: tuple[tuple[Cell, float], ...] = ()
    failures: tuple[tuple[Cell, str], ...] = ()
    out_of_time: bool = False
    went_on: bool = False


@dataclass(frozen=True)
class Changes:
    """Two tables compared.

    Attributes:
        cells: those that both sides measured, the one that became slowest first.
        overall: the geometric mean ratio of all cells.
        device: what the reference model, which no change of a network explains, says about the
            device, if cells are compared relative to it; None where they are not.
        broken: cells that the base measured and that fail on the new side.
        missing, added: measured on one side only.
        differences: what else differs, and is allowed to: name -> (base, new).
        confirmation: of the suspects; None where they were not measured again.
        side_by_side: how both sides were measured in turns; None where two tables are compared.
    """

    base: Side
    new: Side
    cells: tuple[CellChange, ...]
    overall: Ratio
    device: DeviceChange | None
    broken: tuple[Cell, ...]
    missing: tuple[Cell, ...]
    added: tuple[Cell, ...]
    differences: dict[str, tuple[Any, Any]]
    min_effect: float
    confidence: float
    confirmation: Confirmation | None = None
    side_by_side: SideBySide | None = None

    def of(self, verdict: Verdict) -> tuple[CellChange, ...]:
        """The cells of that verdict."""
        return tuple(each for each in self.cells if each.ratio.verdict is verdict)

    @property
    def suspects(self) -> tuple[CellChange, ...]:
        """Cells that seem slower by more than the smallest effect, but may not be.

        Where sides were measured in turns, all that are undecided: that was to decide each of them.
        """
        undecided = self.of(Verdict.CANNOT_TELL)
        if self.side_by_side is not None:
            return undecided
        return tuple(each for each in undecided if each.ratio.value > 1 + self.min_effect)

    @property
    def verdict(self) -> Verdict:
        """Slower if a cell is slower or fails, or all together are; else undecided in some cases.

        Undecided if a suspect is left, if the change of all together is, or if cells of the base
        were not measured again: an interrupted profile, or renamed subnets, must not pass.
        """
        if self.broken or self.of(Verdict.SLOWER):
            return Verdict.SLOWER
        if self.side_by_side is not None:
            # Each cell has a verdict of its own, and no device lies between them.
            doubtful = self.missing or self.suspects
            found = Verdict.FASTER if self.of(Verdict.FASTER) else Verdict.SAME
            return Verdict.CANNOT_TELL if doubtful else found
        if self.overall.verdict is Verdict.SLOWER:
            return Verdict.SLOWER
        # A suspect is more than a cell of which little is known: it looks slower.
        if self.suspects or self.missing or self.overall.verdict is Verdict.CANNOT_TELL:
            return Verdict.CANNOT_TELL
        return Verdict.FASTER if self.of(Verdict.FASTER) else Verdict.SAME


def compare_tables(
    base: Side,
    new: Side,
    *,
    min_effect: float = MIN_EFFECT,
    confidence: float = CONFIDENCE,
    allowed: Collection[str] = (),
) -> Changes:
    """Compares the cells that both sides measured.

    With journals on both sides, what the reference model says about the device is taken off, so
    that a device that has become slower as a whole is told from networks that have. Where the
    runtime differs on purpose, the reference would take off the very change that is looked for:
    then ratios are plain.

    Raises:
        UserError: the set-ups differ in something that is not `allowed`, or no cell was measured
            on both sides.
    """
    differences = check_comparable(base, new, allowed)
    before, after = base.measured(), new.measured()
    failed = new.failed()
    shared = [cell for cell in before if cell in after]
    if not shared:
        raise _nothing_shared(base, new)
    compared = _compared(base, new, shared, not differences, min_effect, confidence)
    changes = [
        CellChange(cell, before[cell].latency_ms or 0.0, after[cell].latency_ms or 0.0, ratio)
        for cell, ratio in compared.cells.items()
    ]
    changes.sort(key=lambda each: -each.ratio.value)
    return Changes(
        base=base,
        new=new,
        cells=tuple(changes),
        overall=compared.overall,
        device=compared.device,
        broken=tuple(cell for cell in before if cell in failed),
        missing=tuple(cell for cell in before if cell not in after and cell not in failed),
        added=tuple(cell for cell in after if cell not in before),
        differences=differences,
        min_effect=min_effect,
        confidence=confidence,
    )


def _compared(
    base: Side,
    new: Side,
    shared: Sequence[Cell],
    relative: bool,
    min_effect: float,
    confidence: float,
) -> Comparison[Cell]:
    """Ratios of the `shared` cells."""
    # Without journals of two sessions a side, what cells have in common is not known: then the
    # intervals of the tables have to do.
    if base.values is None or new.values is None or min(base.sessions, new.sessions) < 2:
        before, after = base.measured(), new.measured()
        means = [interval_means([rows[cell] for cell in shared]) for rows in (before, after)]
        return compare_means(shared, *means, confidence=confidence, min_effect=min_effect)
    wanted = {None, *shared}
    sides = [
        {cell or REFERENCE: row for cell, row in values.items() if cell in wanted}
        for values in (base.values, new.values)
    ]
    if not relative:
        for side in sides:
            side.pop(REFERENCE, None)
    return compare(
        *sides,
        confidence=confidence,
        min_effect=min_effect,
        levels=(base.level, new.level),
        relative_to=REFERENCE if relative else None,
    )


def _nothing_shared(base: Side, new: Side) -> UserError:
    """An error that names a cell of each side: subnets may have been renamed."""
    names = []
    for side in (base, new):
        cell = next(iter(side.measured()), None)
        held = "no measured cell" if cell is None else f"{cell.subnet} at {cell.resolution}"
        names.append(f"{side.path} has {held}")
    return UserError(f"no cell was measured in both tables: {', '.join(names)}")
