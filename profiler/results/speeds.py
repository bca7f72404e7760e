"""Devices that run at two speeds: what changes, how often, and to which speed estimates refer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from compofa.profiler.results.journal import Timing
from compofa.profiler.results.table import Cell
from compofa.profiler.statistics.change_points import SLOWER, regimes, suspects_regimes
from compofa.profiler.statistics.drift import Drift
from compofa.profiler.statistics.runs.modes import find_common_modes
from compofa.profiler.statistics.two_way import fit_two_way

FEW_CELLS = 4
"""With fewer cells, what they have in common cannot be told from what a single one does."""

Changing = Literal["sessions", "sessions but not the reference", "loads", "runs"]


@dataclass(frozen=True)
class TwoSpeeds:
    """Two speeds that were seen.

    Attributes:
        of: what is at one speed or the other: whole sessions, whole sessions of all models but the
            reference model, single loads of a model, or single runs.
        slower: by which fraction the slower ones are slower.
        slow, total: how many were slow, of how many.
    """

    of: Changing
    slower: float
    slow: int
    total: int

    @property
    def sentence(self) -> str:
        """One sentence: what was seen, and which speed the latencies are of."""
        seen = f"{self.slow} of {self.total}"
        by = f"{self.slower:.1%} slower"
        return {
            "sessions": f"two speeds: {seen} sessions ran {by}; latencies are of the faster ones",
            "sessions but not the reference": f"two speeds: in {seen} sessions all networks but "
            f"the reference model ran {by}; latencies lie between the two",
            "loads": f"two speeds: {seen} loads of a model ran {by} than others of the same model, "
            "as when memory is laid out differently; latencies of such models lie between the two",
            "runs": f"two speeds: {seen} runs were {by} than the others of their session, as on "
            "cores of different kinds; latencies are of the faster runs",
        }[self.of]


def find_speeds(
    timings: Sequence[Timing], values: Mapping[Cell | None, Mapping[int, float]], drift: Drift
) -> tuple[TwoSpeeds, ...]:
    """What the timings of a journal show of two speeds; usually nothing.

    Args:
        timings: that count.
        values: per cell and session, corrected for drift; None is the reference model.
        drift: what the reference model shows.
    """
    speeds = [_of_sessions(drift), _of_cells(values), _of_loads(values), _of_runs(timings)]
    return tuple(each for each in speeds if each is not None)


def _of_sessions(drift: Drift) -> TwoSpeeds | None:
    slow = [math.log(f) for s, f in drift.regime_factors.items() if s not in drift.level_sessions]
    return _speeds("sessions", slow, len(drift.regime_factors))


def _of_cells(values: Mapping[Cell | None, Mapping[int, float]]) -> TwoSpeeds | None:
    """Two speeds of all cells but not of the reference, whose own changes are corrected already."""
    apart = _apart(values)
    if not apart:
        return None
    numbers = regimes(apart)
    fast = [math.log(x) for x, number in zip(apart, numbers, strict=True) if number == 0]
    level = sum(fast) / len(fast)
    slow = [math.log(x) - level for x, number in zip(apart, numbers, strict=True) if number]
    return _speeds("sessions but not the reference", slow, len(apart))


def suspects_speeds(values: Mapping[Cell | None, Mapping[int, float]], drift: Drift) -> bool:
    """Whether sessions may run at two speeds, be it only of the cells, and are too few to tell."""
    if drift.suspected:
        return True
    apart = _apart(values)
    return bool(apart) and suspects_regimes(apart)


def _apart(values: Mapping[Cell | None, Mapping[int, float]]) -> list[float]:
    """How slow cells are in each session beside the reference; empty where too few tell."""
    cells = {cell: row for cell, row in values.items() if cell is not None}
    if len(cells) < FEW_CELLS or None not in values:
        return []
    fit = fit_two_way(values)
    effects = dict(zip(fit.sessions, fit.effects.tolist(), strict=True))
    reference = values[None]
    shared = [s for s in effects if s in reference]
    mean = sum(math.log(reference[s]) for s in shared) / max(len(shared), 1)
    apart = [math.exp(effects[s] - math.log(reference[s]) + mean) for s in shared]
    return apart if len(apart) >= FEW_CELLS else []


def _speeds(of: Changing, slow: Sequence[float], total: int) -> TwoSpeeds | None:
    if not slow:
        return None
    slower = math.expm1(sum(slow) / len(slow))
    return TwoSpeeds(of, slower, len(slow), total) if slower > SLOWER else None


def _of_loads(values: Mapping[Cell | None, Mapping[int, float]]) -> TwoSpeeds | None:
    cells = {cell: row for cell, row in values.items() if cell is not None}
    total = sum(map(len, cells.values()))
    if len(cells) < FEW_CELLS:
        return None
    modes = find_common_modes(_alike(values).values())
    if modes is None:
        return None
    return TwoSpeeds("loads", modes.slow / modes.fast - 1, round(modes.slow_share * total), total)


def split_cells(
    values: Mapping[Cell | None, Mapping[int, float]], speeds: Sequence[TwoSpeeds]
) -> list[Cell]:
    """The cells that were seen at both speeds, where single loads run at two."""
    slower = next((each.slower for each in speeds if each.of == "loads"), None)
    if slower is None:
        return []
    alike = _alike(values)
    return [cell for cell, row in alike.items() if max(row) > min(row) * (1 + slower / 2)]


def _alike(values: Mapping[Cell | None, Mapping[int, float]]) -> dict[Cell, list[float]]:
    """Latencies of each cell without what sessions do to all cells."""
    cells = {cell: row for cell, row in values.items() if cell is not None}
    fit = fit_two_way(values)
    effects = dict(zip(fit.sessions, fit.effects.tolist(), strict=True))
    return {
        cell: [ms / math.exp(effects[s]) for s, ms in row.items()] for cell, row in cells.items()
    }


def _of_runs(timings: Sequence[Timing]) -> TwoSpeeds | None:
    # Runs of 0 ns come from a coarse clock, which says nothing about single runs.
    visits = [timing.ns for timing in timings if timing.cell is not None and min(timing.ns) > 0]
    total = sum(map(len, visits))
    modes = find_common_modes(visits)
    if modes is None:
        return None
    return TwoSpeeds("runs", modes.slow / modes.fast - 1, round(modes.slow_share * total), total)
