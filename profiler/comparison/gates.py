"""Gates on measured columns besides latency: `--gate peak_memory_mb=5%`.

A gate is about a column that both tables have, the toolkit's or the user's own. A cell is over it
if its value got worse by more than the share, and not by chance: where both tables have an interval
of the value, the nearest ends of the two intervals are that far apart; where they have none, as of
what is counted and not measured, the values are. A cell whose values are that far apart, and whose
intervals are not, is undecided.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from compofa.common.entry_points import load_registered, registered
from compofa.common.errors import UserError
from compofa.profiler.comparison.sides import Side
from compofa.profiler.results.measures import GROUP, MeasureSpec, interval_names
from compofa.profiler.results.table import Cell, Row
from compofa.profiler.statistics.compare import Verdict


@dataclass(frozen=True)
class Gate:
    """A column, and by which share of the base's value it may get worse."""

    column: str
    share: float


@dataclass(frozen=True)
class GatedCell:
    """A cell whose value got worse by more than the share; `ratio` is new over base."""

    cell: Cell
    base: float
    new: float
    ratio: float
    sure: bool


@dataclass(frozen=True)
class GateResult:
    """What became of a gate.

    Attributes:
        compared: how many cells have the value on both sides.
        over: those that are over it, surely or not, the worst first.
    """

    gate: Gate
    compared: int
    over: tuple[GatedCell, ...]

    @property
    def verdict(self) -> Verdict:
        """Slower where a cell is surely over, or whatever got worse that the gate is about."""
        if any(each.sure for each in self.over):
            return Verdict.SLOWER
        return Verdict.CANNOT_TELL if self.over or not self.compared else Verdict.SAME


def check_gates(base: Side, new: Side, gates: Sequence[Gate]) -> tuple[GateResult, ...]:
    """What becomes of each gate.

    Raises:
        UserError: a table has no such column.
    """
    return tuple(_check(base, new, gate) for gate in gates)


def _check(base: Side, new: Side, gate: Gate) -> GateResult:
    for side in (base, new):
        if gate.column not in side.table.extra:
            known = ", ".join(side.table.extra) or "none"
            raise UserError(
                f"--gate {gate.column}: the table has no such column",
                path=side.path,
                hint=f"its measured columns: {known}; compofa-profile --columns adds them",
            )
    before, after = base.measured(), new.measured()
    lower, compared, over = _lower_is_better(gate.column), 0, []
    for cell in before.keys() & after.keys():
        was = _values(base, before[cell], gate.column)
        now = _values(new, after[cell], gate.column)
        if was is None or now is None:
            continue
        compared += 1
        found = _over(cell, was, now, gate.share, lower)
        if found is not None:
            over.append(found)
    over.sort(key=lambda each: (not each.sure, -each.ratio if lower else each.ratio))
    return GateResult(gate, compared, tuple(over))


Known = tuple[float, float, float]
"""A value and the ends of its interval, or itself again."""


def _values(side: Side, row: Row, column: str) -> Known | None:
    told = dict(zip(side.table.extra, row.extra, strict=True))
    value = told[column]
    if value is None or value <= 0:
        return None
    low, high = (told.get(name) for name in interval_names(column))
    return value, value if low is None else low, value if high is None else high


def _over(cell: Cell, base: Known, new: Known, share: float, lower: bool) -> GatedCell | None:
    """The cell, if its value got worse by more than the share."""
    if lower:
        seems, sure = (end > (1 + share) * of for end, of in ((new[0], base[0]), (new[1], base[2])))
    else:
        seems, sure = (end * (1 + share) < of for end, of in ((new[0], base[0]), (new[2], base[1])))
    return GatedCell(cell, base[0], new[0], new[0] / base[0], sure) if seems else None


def _lower_is_better(column: str) -> bool:
    """Of the toolkit's columns and those of installed packages as they say; else it is."""
    if column not in registered(GROUP):
        return True
    return load_registered(GROUP, column, "measured column", MeasureSpec).lower_is_better
