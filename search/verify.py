"""Verification: the finalists of a search are measured again until the winner is sure.

Most latencies of a table are predicted, and a winner is chosen for looking fast: of many candidates
near a limit, those whose error is in their favour come out on top. So the most accurate candidates
that may meet the limit are measured, the table is made anew, which moves the predictions as well,
and the question is asked again, until its answer is a cell that was measured for it. Measured cells
near a limit have errors too, so the answer is measured on until its interval leaves the limit out.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from compofa.profiler.table import Cell
from compofa.search.answer import Answer, Infeasible, Limits, Result, ask, costs_at, finite, result
from compofa.search.candidates import Candidates
from compofa.search.exact import nearest, ranking
from compofa.search.uncertainty import chance

PROMISING = 0.1
"""A candidate is a finalist if it meets its limits with at least this probability."""

AT_ONCE = 4
"""Finalists of a question that are measured together."""

MOST_REPEATS = 5
"""How often a winner is measured again while its interval holds its limit. Of several cells near a
limit, the one that noise made look fast wins: only more measurements tell."""

EQUAL = 0.01
"""A latency known to this share of itself, up and down, that holds the limit is equal to it."""

MOST_ROUNDS = 40

Finalists = Mapping[Cell, tuple[Limits, ...]]
"""Cells to measure, each with the limits of the questions that it may answer."""


@dataclass(frozen=True)
class Verified:
    """What became of one question.

    Attributes:
        limit_ms: one per table; infinite where it asks nothing.
        before: the answer that the table gave.
        after: the answer after measuring; None where nothing that was measured meets the limits.
        sure: whether no candidate is left that is more accurate and promising, but not measured,
            and the answer is told apart from its limit, or equal to it.
    """

    limit_ms: Limits
    before: Result | None
    after: Result | None
    sure: bool

    @property
    def changed(self) -> bool:
        """Whether measuring led to another subnet."""
        return _name(self.before) != _name(self.after)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "limit_ms": finite(self.limit_ms),
            "before": None if self.before is None else asdict(self.before),
            "after": None if self.after is None else asdict(self.after),
            "changed": self.changed,
            "sure": self.sure,
        }


@dataclass(frozen=True)
class Verification:
    """All questions, verified.

    Attributes:
        candidates: with the tables that were made anew.
        measured: the cells that were measured.
    """

    candidates: Candidates
    questions: tuple[Verified, ...]
    measured: frozenset[Cell]
    rounds: int

    def sentence(self) -> str:
        """What came of it, for people."""
        moved = sum(each.changed for each in self.questions)
        unsure = sum(not each.sure for each in self.questions)
        found = (
            f"verified: {len(self.measured)} cells measured in {self.rounds} rounds; "
            f"{moved} of {len(self.questions)} answers changed"
        )
        return found + (f"; {unsure} not sure yet: the same command goes on" if unsure else "")

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "rounds": self.rounds,
            "measured": [asdict(cell) for cell in sorted(self.measured, key=_order)],
            "questions": [each.as_json() for each in self.questions],
        }

    @property
    def answer(self) -> Answer:
        """The verified answers; a question that nothing meets names what comes nearest."""
        known = _only(self.candidates, self.measured)
        pool = known if len(known) else self.candidates
        cost = np.nan_to_num(pool.latency_ms, nan=np.inf)
        return Answer(
            tuple(each.after for each in self.questions if each.after is not None),
            tuple(
                Infeasible(finite(limits), result(pool, nearest(cost, limits), limits))
                for limits in (each.limit_ms for each in self.questions if each.after is None)
            ),
        )


def verify(
    candidates: Candidates,
    questions: Sequence[Limits],
    measure: Callable[[Candidates, Finalists], Candidates],
    risk: float | None = None,
) -> Verification:
    """Measures finalists until each question's winner has been measured, or rounds run out.

    Args:
        candidates: what the tables say so far.
        questions: at least one.
        measure: measures cells of the candidates on every table's device, until they are told apart
            from their limits or cannot be, and returns the candidates with that in their tables.
        risk: as in `answer.ask`.
    """
    before = [_best(candidates, asked, risk) for asked in questions]
    tries: Counter[Cell] = Counter()
    measured: frozenset[Cell] = frozenset()
    rounds = 0
    while rounds < MOST_ROUNDS:
        wanted = _next(candidates, questions, tries, measured, risk)
        if not wanted:
            break
        candidates = measure(candidates, wanted)
        tries.update(wanted.keys())
        measured = _measured(candidates, tries.keys())
        rounds += 1
    return Verification(
        candidates,
        tuple(
            _verified(candidates, asked, first, measured, risk)
            for asked, first in zip(questions, before, strict=True)
        ),
        measured,
        rounds,
    )


def _next(
    candidates: Candidates,
    questions: Sequence[Limits],
    tries: Mapping[Cell, int],
    measured: frozenset[Cell],
    risk: float | None,
) -> Finalists:
    """What to measure: finalists that were not tried yet, or else winners near their limit."""
    wanted: defaultdict[Cell, tuple[Limits, ...]] = defaultdict(tuple)
    for asked in questions:
        for cell in finalists(candidates, asked, measured, risk):
            # What was tried and is not measured has failed, or there was no time for it.
            if cell not in tries:
                wanted[cell] += (asked,)
    if wanted:
        return wanted
    for asked in questions:
        winner = _winner(candidates, asked, measured, risk)
        if winner is not None and not _settled(winner, asked):
            cell = Cell(winner.space, winner.subnet, winner.resolution, winner.batch_size)
            if tries[cell] <= MOST_REPEATS:
                wanted[cell] += (asked,)
    return wanted


def _verified(
    candidates: Candidates,
    asked: Limits,
    before: Result | None,
    measured: frozenset[Cell],
    risk: float | None,
) -> Verified:
    winner = _winner(candidates, asked, measured, risk)
    settled = winner is None or _settled(winner, asked)
    left = finalists(candidates, asked, measured, risk)
    return Verified(asked, before, winner, settled and not left)


def finalists(
    candidates: Candidates,
    asked: Limits,
    measured: frozenset[Cell],
    risk: float | None = None,
) -> list[Cell]:
    """The next cells to measure for a question: promising, and more accurate than what is sure.

    None where the most accurate candidate that meets the limits is among `measured`, or where no
    candidate is promising.
    """
    cost = costs_at(candidates, risk)
    found: list[Cell] = []
    for i in ranking(candidates.top1, candidates.latency_ms).tolist():
        cell = candidates.cells[i]
        if cell in measured:
            if (cost[i] <= np.array(asked)).all():
                break
        elif _chance(candidates, i, asked) >= PROMISING:
            found.append(cell)
            if len(found) == AT_ONCE:
                break
    return found


def told_apart(ms: float, low: float, high: float, limits: Iterable[float]) -> bool:
    """Whether an interval leaves out all limits, or is narrow enough to be equal to them."""
    equal = (high - low) / 2 <= EQUAL * ms
    return equal or not any(low <= limit <= high for limit in limits)


def _settled(winner: Result, asked: Limits) -> bool:
    """Whether it is told apart from its limits wherever it has an interval."""
    intervals = zip(winner.latency_ms, winner.ci_low_ms, winner.ci_high_ms, asked, strict=True)
    return all(
        low is None or high is None or told_apart(ms, low, high, [limit])
        for ms, low, high, limit in intervals
    )


def _winner(
    candidates: Candidates, asked: Limits, measured: frozenset[Cell], risk: float | None
) -> Result | None:
    """The answer to a question from measured cells alone."""
    known = _only(candidates, measured)
    return _best(known, asked, risk) if len(known) else None


def _chance(candidates: Candidates, index: int, asked: Limits) -> float:
    """The probability that a candidate meets all limits; 0 or 1 without an interval."""
    found = 1.0
    for rows, limit in zip(candidates.rows, asked, strict=True):
        row = rows[index]
        if row.latency_ms is None or math.isinf(limit):
            continue
        known = chance(row.latency_ms, row.ci_low_ms, row.ci_high_ms, row.confidence, limit)
        found *= float(row.latency_ms <= limit) if known is None else known
    return found


def _measured(candidates: Candidates, tried: Collection[Cell]) -> frozenset[Cell]:
    """The cells that were tried and have a measured row in some table."""
    rows = zip(*candidates.rows, strict=True)
    return frozenset(
        cell
        for cell, here in zip(candidates.cells, rows, strict=True)
        if cell in tried and any(row.source == "measured" for row in here)
    )


def _best(candidates: Candidates, asked: Limits, risk: float | None) -> Result | None:
    results = ask(candidates, [asked], top=1, risk=risk).results
    return results[0] if results else None


def _only(candidates: Candidates, cells: frozenset[Cell]) -> Candidates:
    return candidates.keep(np.array([cell in cells for cell in candidates.cells], dtype=np.bool_))


def _name(found: Result | None) -> tuple[str, int, int] | None:
    return None if found is None else (found.subnet, found.resolution, found.batch_size)


def _order(cell: Cell) -> tuple[int, str, int]:
    return cell.resolution, cell.subnet, cell.batch_size
