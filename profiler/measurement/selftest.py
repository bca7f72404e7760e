"""A/A tests of a set-up: how noisy it is, what it can see, and whether it cries wolf."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from compofa.common.errors import UserError
from compofa.profiler.measurement.plan import Plan
from compofa.profiler.results.analysis import analyse
from compofa.profiler.results.journal import JournalLine, SessionLine, Timing, of_kind
from compofa.profiler.results.table import Cell
from compofa.profiler.statistics.compare import Verdict, compare, smallest_change
from compofa.profiler.statistics.variance_components import VarianceComponents
from compofa.supernet.space import Space

SPLITS = 200
"""Ways to deal the sessions out to two sides; each is one A/A comparison."""


@dataclass(frozen=True)
class Selftest:
    """What an A/A test says.

    Attributes:
        noise: standard deviations between sessions, between loads and between runs.
        sessions, cells: that it rests on.
        seconds_per_cell: of one cell in one session, all in.
        false_alarms: share of A/A comparisons that called any cell slower or faster.
        comparisons: how many those were.
    """

    noise: VarianceComponents
    sessions: int
    cells: int
    seconds_per_cell: float
    false_alarms: float
    comparisons: int

    def smallest_change(self, minutes: float, cells: int) -> float | None:
        """The smallest slow-down, as a fraction, that comparing `cells` cells can see in `minutes`.

        The time is shared by both sides; None where it does not reach for two sessions each.
        """
        sessions = int(minutes * 60 / (2 * cells * self.seconds_per_cell))
        return smallest_change(self.noise, sessions, cells) if sessions >= 2 else None


def selftest_plan(space: Space, resolutions: Sequence[int], cells: int, seed: int) -> Plan:
    """Cells drawn at random, all of them measured and none predicted."""
    rng = np.random.default_rng(seed)
    chosen: dict[Cell, None] = {}
    for _ in range(100 * cells):
        if len(chosen) == cells:
            break
        key = space.key(space.sample(rng))
        chosen[Cell(space.name, key, int(rng.choice(resolutions)), 1)] = None
    return Plan("selftest", seed, tuple(chosen), tuple(range(len(chosen))), ())


def run_selftest(lines: Sequence[JournalLine], seed: int = 0) -> Selftest:
    """Judges a journal of undisturbed sessions on one set-up.

    The sessions are dealt out to two sides in random halves, again and again: no difference is
    real, so every verdict other than "same" and "cannot tell" is a false alarm.

    Raises:
        UserError: fewer than 4 sessions measured anything.
    """
    analysis = analyse(lines)
    sessions = sorted({s for values in analysis.values.values() for s in values})
    if len(sessions) < 4 or analysis.noise is None:
        raise UserError(f"an A/A test needs at least 4 sessions, not {len(sessions)}")
    rng = np.random.default_rng(seed)
    alarms = 0
    for _ in range(SPLITS):
        shuffled = rng.permutation(sessions)
        half = len(sessions) // 2
        first, second = set(shuffled[:half].tolist()), set(shuffled[half:].tolist())
        compared = compare(_side(analysis.values, first), _side(analysis.values, second))
        verdicts = {ratio.verdict for ratio in compared.cells.values()}
        alarms += bool(verdicts & {Verdict.SLOWER, Verdict.FASTER})
    cells = [cell for cell in analysis.values if cell is not None]
    return Selftest(
        noise=analysis.noise,
        sessions=len(sessions),
        cells=len(cells),
        seconds_per_cell=_seconds_per_cell(lines),
        false_alarms=alarms / SPLITS,
        comparisons=SPLITS,
    )


def _side(
    values: Mapping[Cell | None, Mapping[int, float]], sessions: set[int]
) -> dict[Cell | None, dict[int, float]]:
    """The part of `values` that belongs to `sessions`; cells none of them measured are left out."""
    side = {
        cell: {session: ms for session, ms in by_session.items() if session in sessions}
        for cell, by_session in values.items()
    }
    return {cell: by_session for cell, by_session in side.items() if by_session}


def _seconds_per_cell(lines: Sequence[JournalLine]) -> float:
    """Mean time of a cell in a session, its share of the reference and of the start included."""
    ends: dict[int, float] = {}
    for timing in of_kind(lines, Timing):
        ends[timing.session] = max(ends.get(timing.session, 0.0), timing.at_s)
    cells = sum(timing.cell is not None for timing in of_kind(lines, Timing))
    starts = {line.session for line in of_kind(lines, SessionLine)}
    return sum(ends[session] for session in starts if session in ends) / max(cells, 1)
