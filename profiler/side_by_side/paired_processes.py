"""What fresh processes that measured both sides say of their ratio, and whether that is enough.

Each process gives one log ratio: of the means of the quiet runs of each side. The interval is that
of `sequential`, which stays valid although it is looked at after every process.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from compofa.profiler.results.journal import JournalLine, PlanLine, Timing, of_kind
from compofa.profiler.results.table import Cell
from compofa.profiler.side_by_side.sequential import Budget, interval_at, looks_at
from compofa.profiler.statistics.compare import Ratio, Verdict
from compofa.profiler.statistics.runs.clock import clock_tick, condense_timed
from compofa.profiler.statistics.student import student_quantile

PLAN = "compare"
"""Of journals: the plan that sets time aside for a comparison."""

CLOCK_TIMINGS = 200
"""By which it is judged how fine the clock is."""


@dataclass(frozen=True)
class PairedProcess:
    """One process that measured both sides, or one of each side, one after the other.

    Attributes:
        base_ms, new_ms: quiet latency of each side.
        end_s: how long all that belongs together had been measured when it ended.
        runs: timed, of both sides.
    """

    base_ms: float
    new_ms: float
    end_s: float
    runs: int = 0

    @property
    def log_ratio(self) -> float:
        """Of new over base."""
        return math.log(self.new_ms / self.base_ms)


@dataclass(frozen=True)
class Condensed:
    """A session and one of its cells: quiet latency, when it was done, and how many runs it had."""

    ms: float
    at_s: float
    runs: int


def condensed_sessions(
    lines: Sequence[JournalLine], cells: Sequence[Cell]
) -> dict[int, dict[Cell, Condensed]]:
    """What each session of a journal measured of `cells`, in the order of the sessions."""
    wanted = set(cells)
    timings = [each for each in of_kind(lines, Timing) if each.cell in wanted]
    tick = clock_tick([timing.ns for timing in timings[:CLOCK_TIMINGS]])
    loads: dict[int, dict[Cell, list[Timing]]] = defaultdict(lambda: defaultdict(list))
    for timing in timings:
        assert timing.cell is not None
        loads[timing.session][timing.cell].append(timing)
    return {
        session: {cell: _condensed(each, tick) for cell, each in by_cell.items()}
        for session, by_cell in loads.items()
    }


def _condensed(loads: Sequence[Timing], tick: int) -> Condensed:
    """The quiet part of all runs of one model in one session, whichever load they were of.

    Of all together, not load by load: where another program disturbs some loads from beginning to
    end, or one lies badly in memory, the quiet part is made of the others.
    """
    ns = [each for load in loads for each in load.ns]
    return Condensed(
        ms=condense_timed(ns, tick) / 1e6,
        at_s=max(load.at_s for load in loads),
        runs=len(ns),
    )


def paired_processes(
    sessions: Mapping[int, Mapping[Cell, Condensed]], base: Cell, new: Cell
) -> list[PairedProcess]:
    """The sessions that measured both cells; those that measured others take their time as well."""
    processes, end_s = [], 0.0
    for cells in sessions.values():
        end_s += max(each.at_s for each in cells.values())
        if base in cells and new in cells:
            runs = cells[base].runs + cells[new].runs
            processes.append(PairedProcess(cells[base].ms, cells[new].ms, end_s, runs))
    return processes


def paired_sessions(
    base: Mapping[int, Mapping[Cell, Condensed]],
    new: Mapping[int, Mapping[Cell, Condensed]],
    sides: tuple[Cell, Cell],
) -> list[PairedProcess]:
    """Sessions of two set-ups, the first of each together, the second of each, and so on.

    Args:
        base, new: what each set-up measured.
        sides: the cell of each of them.
    """
    processes, end_s = [], 0.0
    for before, after in zip(base.values(), new.values(), strict=False):
        end_s += sum(max(each.at_s for each in cells.values()) for cells in (before, after))
        if sides[0] in before and sides[1] in after:
            ours = before[sides[0]], after[sides[1]]
            runs = sum(each.runs for each in ours)
            processes.append(PairedProcess(ours[0].ms, ours[1].ms, end_s, runs))
    return processes


def budgets_of(lines: Sequence[JournalLine], cells: Sequence[Cell]) -> list[Budget]:
    """The time that was set aside for comparing `cells`, by the plans of a journal."""
    wanted = set(cells)
    budgets: list[Budget] = []
    done: dict[int, float] = {}
    for line in lines:
        if isinstance(line, Timing) and line.cell in wanted:
            done[line.session] = max(line.at_s, done.get(line.session, 0.0))
        elif isinstance(line, PlanLine) and line.plan == PLAN and wanted <= set(line.cells):
            budgets.append(Budget(sum(done.values()), float(line.protocol["max_time_s"])))
    return budgets


def judge(
    processes: Sequence[PairedProcess],
    budgets: Sequence[Budget],
    min_effect: float,
    confidence: float,
) -> Ratio:
    """The ratio of new over base, its interval, and what can be said.

    Slower or faster if the interval lies wholly beyond the smallest effect, the same if it lies
    wholly within, else it cannot be told (yet).

    Args:
        processes: in the order in which they were measured.
        budgets: of time, the first set before anything was measured.
        min_effect: the smallest change that counts, as a fraction; 0 if any does.
        confidence: of the interval at whatever moment one stops.
    """
    logs = [process.log_ratio for process in processes]
    looks = looks_at([each.end_s for each in processes], budgets, confidence)
    mean, low, high = interval_at(logs, looks)
    scatter = statistics.stdev(logs) if len(logs) > 1 else math.nan
    size = mean / scatter if scatter > 0 else math.nan
    ends = (math.exp(end) if math.isfinite(end) else math.inf for end in (low, high))
    low_ratio, high_ratio = ends if math.isfinite(high) else (0.0, math.inf)
    verdict = verdict_of(low_ratio, high_ratio, min_effect)
    return Ratio(math.exp(mean), low_ratio, high_ratio, size, verdict)


def verdict_of(low: float, high: float, min_effect: float) -> Verdict:
    """What an interval of a ratio says; see `judge`."""
    if low > 1 + min_effect:
        return Verdict.SLOWER
    if high * (1 + min_effect) < 1:
        return Verdict.FASTER
    if min_effect > 0 and low * (1 + min_effect) >= 1 and high <= 1 + min_effect:
        return Verdict.SAME
    return Verdict.CANNOT_TELL


def used_up(processes: Sequence[PairedProcess], budgets: Sequence[Budget]) -> bool:
    """Whether the last budget leaves no time for another process."""
    return bool(processes) and budgets[-1].used(processes[-1].end_s, len(processes)) >= 1


def latency_interval(values_ms: Sequence[float], confidence: float) -> tuple[float, float, float]:
    """Geometric mean of one side over processes, and the ends of its Student t interval, in ms."""
    logs = np.log(values_ms)
    mean = float(logs.mean())
    if logs.size < 2:
        return math.exp(mean), 0.0, math.inf
    reach = float(student_quantile((1 + confidence) / 2, np.array(logs.size - 1.0)))
    half = reach * float(logs.std(ddof=1)) / math.sqrt(logs.size)
    return math.exp(mean), math.exp(mean - half), math.exp(mean + half)
