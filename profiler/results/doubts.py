"""Why a cell's latency is not to be trusted, however narrow its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from compofa.profiler.results.journal import Timing
from compofa.profiler.results.speeds import TwoSpeeds, split_cells, suspects_speeds
from compofa.profiler.results.table import Cell
from compofa.profiler.statistics.drift import Drift
from compofa.profiler.statistics.runs.warmup import TOLERANCE, lasting, mean_gain, trend

BETWEEN = "sessions run at two speeds, and the latency lies between them"
COLD = "the device takes longer to warm up than its runs lasted"
SPLIT = "its loads run at two speeds, and the latency lies between them"
UNRESOLVED = "sessions may run at two speeds, and are too few to tell"
WARMING = "its runs were still getting faster when they were timed"


def find_doubts(
    by_cell: Mapping[Cell, Sequence[Timing]],
    tick: int,
    values: Mapping[Cell | None, Mapping[int, float]],
    drift: Drift | None,
    speeds: Sequence[TwoSpeeds],
) -> dict[Cell, str]:
    """The cells that are in doubt, and why; only `UNRESOLVED` can go away with more sessions.

    Args:
        by_cell: the timings of each cell that count.
        tick: of the device's clock.
        values: per cell and session, corrected for drift; None is the reference model.
        drift: what the reference model shows; None where it was not timed.
        speeds: what was found of two speeds.
    """
    doubts = dict.fromkeys(split_cells(values, speeds), SPLIT)
    if any(each.of == "sessions but not the reference" for each in speeds):
        doubts |= dict.fromkeys(by_cell, BETWEEN)
    elif drift is not None and suspects_speeds(values, drift):
        doubts = dict.fromkeys(by_cell, UNRESOLVED) | doubts
    return doubts | _warming(by_cell, tick)


def _warming(by_cell: Mapping[Cell, Sequence[Timing]], tick: int) -> dict[Cell, str]:
    """Cells that were timed while they still warmed up, and how that shows."""
    trends = {cell: [trend(v.ns, tick) for v in visits] for cell, visits in by_cell.items()}
    everywhere = lasting([each for rows in trends.values() for each in rows])
    doubts = {}
    for cell, visits in by_cell.items():
        if not all(visit.warm for visit in visits):
            doubts[cell] = COLD
        # On a device that warms up everywhere, one cell's gain needs no proof of its own.
        elif lasting(trends[cell]) or (everywhere and mean_gain(trends[cell]) > TOLERANCE):
            doubts[cell] = WARMING
    return doubts
