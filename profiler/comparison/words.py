"""What a comparison says, in words that every report shares."""

from __future__ import annotations

from compofa.profiler.comparison.changes import CellChange, Changes
from compofa.profiler.statistics.compare import Ratio, Verdict
from compofa.profiler.table import Cell

HEADLINES = {
    Verdict.SLOWER: "Slower",
    Verdict.FASTER: "Faster",
    Verdict.SAME: "Nothing became slower",
    Verdict.CANNOT_TELL: "Cannot tell",
}


def headline(changes: Changes) -> str:
    """The verdict and its main reason, in one line."""
    verdict = changes.verdict
    slower, faster = changes.of(Verdict.SLOWER), changes.of(Verdict.FASTER)
    parts = []
    if changes.broken:
        parts.append(f"{_count(len(changes.broken), 'cell')} can no longer be measured")
    if slower:
        worst = slower[0]
        parts.append(
            f"{len(slower)} of {_count(len(changes.cells), 'cell')} slower, most of all "
            f"{cell_name(worst.cell)}, {percent(worst.ratio.value)}"
        )
    if verdict is Verdict.SLOWER and not parts:
        parts.append(f"all cells together, {percent(changes.overall.value)}")
    if verdict is Verdict.FASTER:
        parts.append(f"{len(faster)} of {_count(len(changes.cells), 'cell')} faster")
    if verdict is Verdict.CANNOT_TELL:
        parts.append(
            f"{_count(len(changes.suspects), 'cell')} may be slower by more than {_share(changes)}"
            if changes.suspects
            else f"all cells together are {percent(changes.overall.value)}, give or take too much"
        )
    if verdict is Verdict.SAME:
        parts.append(f"{_count(len(changes.cells), 'cell')} compared")
    return f"{HEADLINES[verdict]}: {'; '.join(parts)}"


def remarks(changes: Changes) -> list[str]:
    """What a reader should know beside the verdict, one sentence each."""
    found = [
        f"All cells together: {percent(changes.overall.value)} ({interval(changes.overall)}).",
        f"Changes below {_share(changes)} do not count; the chance of any false alarm is at most "
        f"{1 - changes.confidence:.0%}.",
    ]
    if changes.device is not None:
        found.append(
            f"The reference model went {percent(changes.device)}: that is the device, and is taken "
            "off every cell."
        )
    elif not changes.differences:
        found.append("Without journals, a device that is slower as a whole cannot be told.")
    for name, (before, after) in changes.differences.items():
        found.append(f"Allowed to differ: {name}, {before} in the base and {after} now.")
    if changes.missing:
        found.append(f"{_count(len(changes.missing), 'cell')} of the base were not measured now.")
    if changes.added:
        found.append(f"{_count(len(changes.added), 'cell')} are new.")
    return found


def cell_name(cell: Cell) -> str:
    """A cell as reports name it."""
    batch = f", batch {cell.batch_size}" if cell.batch_size > 1 else ""
    return f"{cell.subnet} at {cell.resolution}{batch}"


def percent(ratio: float) -> str:
    """A ratio as a signed change: 1.05 is +5.0 %."""
    return f"{100 * (ratio - 1):+.1f} %"


def interval(ratio: Ratio) -> str:
    """The ends of a ratio's interval."""
    return f"{percent(ratio.low)} to {percent(ratio.high)}"


def changed(changes: Changes) -> tuple[CellChange, ...]:
    """The cells that a reader wants to see first: slower, suspect, faster."""
    return (*changes.of(Verdict.SLOWER), *changes.suspects, *changes.of(Verdict.FASTER))


def _share(changes: Changes) -> str:
    return f"{100 * changes.min_effect:g} %"


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}" + ("" if number == 1 else "s")
