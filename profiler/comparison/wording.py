"""How cells, ratios and intervals are put into words, the same in every report."""

from __future__ import annotations

import math
from collections.abc import Sequence

from compofa.profiler.comparison.changes import CellChange, Changes
from compofa.profiler.results.table import Cell
from compofa.profiler.statistics.compare import Ratio, Verdict

MOST_NAMED = 5
"""How many cells a sentence names."""


def cell_name(cell: Cell) -> str:
    """A cell as reports name it."""
    batch = f", batch {cell.batch_size}" if cell.batch_size > 1 else ""
    # Of a user's model that takes no images nothing is known but its name.
    size = f" at {cell.resolution}" if cell.resolution else ""
    return f"{cell.subnet}{size}{batch}"


def percent(ratio: float, digits: int = 1) -> str:
    """A ratio as a signed change: 1.05 is +5.0 %."""
    return f"{100 * (ratio - 1):+.{digits}f} %"


def interval(ratio: Ratio, digits: int = 1) -> str:
    """The ends of a ratio's interval."""
    if not math.isfinite(ratio.high):
        return "not known"
    return f"{percent(ratio.low, digits)} to {percent(ratio.high, digits)}"


def digits_of(changes: Changes) -> int:
    """Behind the point of a percentage: what is measured in turns is known more exactly."""
    return 1 if changes.side_by_side is None else 2


def changed(changes: Changes) -> tuple[CellChange, ...]:
    """The cells that a reader wants to see first: slower, suspect, faster.

    Where they were measured in turns, all of them: the reader has asked for each.
    """
    first = (*changes.of(Verdict.SLOWER), *changes.suspects, *changes.of(Verdict.FASTER))
    same = () if changes.side_by_side is None else changes.of(Verdict.SAME)
    return (*first, *same)


def named(cells: Sequence[Cell]) -> str:
    """The first few of them by name, and how many more there are."""
    more = f" and {len(cells) - MOST_NAMED:,} more" if len(cells) > MOST_NAMED else ""
    return "; ".join(map(cell_name, cells[:MOST_NAMED])) + more


def share(fraction: float) -> str:
    """A smallest effect, as in 3 %."""
    return f"{100 * fraction:g} %"
