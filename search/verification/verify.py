"""Measures the finalists of a search until the winner surely keeps its limits.

Most latencies of a table are predicted, and a winner is chosen because it looks fast. Of many
candidates near a limit, those with an error in their favour are therefore chosen too often (the
winner's curse). So the most accurate candidates that may meet the limit are measured, the table is
written again, which changes the predictions as well, and the question is asked again, until its
answer is a cell that was measured. Measured latencies have errors too, with the same effect. So the
winner is measured again until it surely keeps its limit; if that takes too long, the next candidate
takes its place.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from compofa.common.arrays import FloatArray
from compofa.profiler.results.table import Cell, Row
from compofa.profiler.statistics.interval import Estimate
from compofa.search.answer import Answer, Infeasible, Limits, Result, ask, costs_at, finite, result
from compofa.search.candidates import Candidates
from compofa.search.exact import nearest, ranking
from compofa.search.uncertainty import probability_within
from compofa.search.verification.acceptance import PROMISING, surely_keeps

AT_ONCE = 4
"""How many finalists of a question are measured together."""

MOST_REPEATS = 5
"""How often a winner is measured again to find out whether it surely keeps its limit. After that,
the next candidate that surely does is preferred to it."""

MOST_ROUNDS = 40

Finalists = Mapping[Cell, tuple[Limits, ...]]
"""Cells to measure, each with the limits of the questions that it may answer."""


@dataclass(frozen=True)
class Verified:
    """The result of verifying one question.

    Attributes:
        limit_ms: the limits in milliseconds, one per table; infinite for a table without one.
        before: the answer from the table before measuring.
        after: the answer from the measured cells; None if none of them meets the limits.
        table: the answer from the table after measuring, from measured and predicted cells alike.
        sure: whether the answer surely keeps its limits, and no promising and more accurate
            candidate is left that was not measured.
    """

    limit_ms: Limits
    before: Result | None
    after: Result | None
    table: Result | None
    sure: bool

    @property
    def changed(self) -> bool:
        """Whether measuring led to another subnet."""
        return self.decided and _cell(self.before) != _cell(self.after)

    @property
    def decided(self) -> bool:
        """Whether there is an answer, or it is sure that no candidate meets the limits.

        If not, promising candidates are left that were not measured.
        """
        return self.after is not None or self.sure


@dataclass(frozen=True)
class Verification:
    """The result of verifying all questions.

    Attributes:
        candidates: the candidates from the updated tables.
        questions: the results, one per question.
        measured: the cells that were measured.
        rounds: how many rounds of measuring there were.
        updated: the files of the tables that changed.
    """

    candidates: Candidates
    questions: tuple[Verified, ...]
    measured: frozenset[Cell]
    rounds: int
    updated: tuple[Path, ...]

    @property
    def answer(self) -> Answer:
        """The verified answers.

        A question that surely no candidate meets is infeasible. One that is not decided is neither
        among the results nor infeasible.
        """
        cost = np.nan_to_num(self.candidates.latency_ms, nan=np.inf)
        impossible = [each.limit_ms for each in self.questions if each.after is None and each.sure]
        return Answer(
            tuple(each.after for each in self.questions if each.after is not None),
            tuple(
                Infeasible(finite(limits), result(self.candidates, nearest(cost, limits), limits))
                for limits in impossible
            ),
        )


def verify(
    candidates: Candidates,
    questions: Sequence[Limits],
    measure: Callable[[Candidates, Finalists], Candidates],
    risk: float | None = None,
) -> Verification:
    """Measures finalists until each question's winner is accepted, or for `MOST_ROUNDS` rounds.

    Args:
        candidates: the candidates from the tables so far.
        questions: the limits of each question; at least one.
        measure: a function that measures cells on the devices of the tables, until it is decided
            whether they keep their limits or the time for it is over, and returns the candidates
            from the updated tables.
        risk: as in `answer.ask`.

    Raises:
        UserError, DeviceError: those of `measure`.
    """
    before = [_best(candidates, asked, risk) for asked in questions]
    known = _Known(candidates, Counter(), risk)
    rounds = 0
    while rounds < MOST_ROUNDS:
        wanted = known.wanted(questions)
        if not wanted:
            break
        tries = known.tries + Counter(wanted.keys())
        known = _Known(measure(known.candidates, wanted), tries, risk)
        rounds += 1
    return Verification(
        known.candidates,
        tuple(map(known.verified, questions, before)),
        known.measured,
        rounds,
        _updated(candidates, known.candidates),
    )


def _updated(before: Candidates, after: Candidates) -> tuple[Path, ...]:
    """The tables whose rows have changed."""
    pairs = zip(before.tables, before.rows, after.rows, strict=True)
    return tuple(table.path for table, old, new in pairs if old != new)


@dataclass(frozen=True)
class _Known:
    """The candidates after some rounds, and how often each cell was measured."""

    candidates: Candidates
    tries: Counter[Cell]
    risk: float | None

    @cached_property
    def measured(self) -> frozenset[Cell]:
        """The cells that were tried and have a measured row in some table."""
        rows = zip(*self.candidates.rows, strict=True)
        return frozenset(
            cell
            for cell, here in zip(self.candidates.cells, rows, strict=True)
            if cell in self.tries and any(row.source == "measured" for row in here)
        )

    def wanted(self, questions: Sequence[Limits]) -> Finalists:
        """The cells to measure next: finalists not measured yet, or else winners not yet sure."""
        wanted: defaultdict[Cell, tuple[Limits, ...]] = defaultdict(tuple)
        for asked in questions:
            for cell in self.finalists(asked):
                # A cell that was tried and has no measured row has failed, or time was over.
                if cell not in self.tries:
                    wanted[cell] += (asked,)
        if wanted:
            return wanted
        for asked in questions:
            winner = self.winner(asked)
            if winner is not None and not self._given_up(winner) and not self._sure(winner, asked):
                wanted[self.candidates.cells[winner]] += (asked,)
        return wanted

    def finalists(self, asked: Limits) -> list[Cell]:
        """The next cells to measure: promising, and more accurate than the best trusted candidate.

        The list is empty if there are none.
        """
        enough = self._trusted(asked)
        finalists: list[Cell] = []
        for i in self._ranked:
            if i == enough or len(finalists) == AT_ONCE:
                break
            cell = self.candidates.cells[i]
            if cell not in self.measured and self._probability(i, asked) >= PROMISING:
                finalists.append(cell)
        return finalists

    def winner(self, asked: Limits) -> int | None:
        """The most accurate trusted candidate, or else one that seems to meet the limits."""
        trusted = self._trusted(asked)
        return next(self._meeting(asked), None) if trusted is None else trusted

    def verified(self, asked: Limits, before: Result | None) -> Verified:
        """The result of verifying one question."""
        winner = self.winner(asked)
        sure = winner is None or self._sure(winner, asked)
        after = None if winner is None else result(self.candidates, winner, asked)
        table = _best(self.candidates, asked, self.risk)
        return Verified(asked, before, after, table, sure and not self.finalists(asked))

    @cached_property
    def _cost(self) -> FloatArray:
        return costs_at(self.candidates, self.risk)

    @cached_property
    def _ranked(self) -> list[int]:
        order: list[int] = ranking(self.candidates.top1, self.candidates.latency_ms).tolist()
        return order

    @cached_property
    def _ranked_measured(self) -> list[int]:
        return [i for i in self._ranked if self.candidates.cells[i] in self.measured]

    def _meeting(self, asked: Limits) -> Iterator[int]:
        """Measured candidates whose latencies meet the limits, the most accurate first."""
        for i in self._ranked_measured:
            if (self._cost[i] <= asked).all():
                yield i

    def _trusted(self, asked: Limits) -> int | None:
        """The most accurate measured candidate that surely keeps the limits, or still may."""
        good = (i for i in self._meeting(asked) if not self._given_up(i) or self._sure(i, asked))
        return next(good, None)

    def _given_up(self, index: int) -> bool:
        return self.tries[self.candidates.cells[index]] > MOST_REPEATS

    def _estimates(self, index: int, asked: Limits) -> list[tuple[Estimate, float]]:
        """The estimates of a candidate's latencies that have a limit, with these limits."""
        pairs = []
        for rows, limit in zip(self.candidates.rows, asked, strict=True):
            estimate = _estimate(rows[index])
            if estimate is not None and math.isfinite(limit):
                pairs.append((estimate, limit))
        return pairs

    def _sure(self, index: int, asked: Limits) -> bool:
        """Whether a candidate surely keeps its limits, in all tables that give it an interval."""
        return all(surely_keeps(each, limit) for each, limit in self._estimates(index, asked))

    def _probability(self, index: int, asked: Limits) -> float:
        """The probability that a candidate meets all limits; without intervals it is 0 or 1."""
        probability = 1.0
        for rows, limit in zip(self.candidates.rows, asked, strict=True):
            row = rows[index]
            if row.latency_ms is None or math.isinf(limit):
                continue
            known = probability_within(
                row.latency_ms, row.ci_low_ms, row.ci_high_ms, row.confidence, limit
            )
            probability *= float(row.latency_ms <= limit) if known is None else known
        return probability


def _estimate(row: Row) -> Estimate | None:
    """A row's latency with its interval; None without one."""
    if row.latency_ms is None or row.ci_low_ms is None or row.ci_high_ms is None:
        return None
    return Estimate(row.latency_ms, row.ci_low_ms, row.ci_high_ms, row.confidence, row.n_sessions)


def _best(candidates: Candidates, asked: Limits, risk: float | None) -> Result | None:
    results = ask(candidates, [asked], top=1, risk=risk).results
    return results[0] if results else None


def _cell(answer: Result | None) -> Cell | None:
    return None if answer is None else answer.cell
