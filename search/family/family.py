"""Finds a family of subnets for a fleet: each device and limit uses the member that suits it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compofa.common.arrays import IntArray
from compofa.search.answer import Limits, costs_at
from compofa.search.candidates import Candidates
from compofa.search.exact import first_within, ranking
from compofa.search.family.k_median import choose_family


@dataclass(frozen=True)
class Served:
    """One question and the family member that answers it.

    Attributes:
        limit_ms: the limits in milliseconds, one per table; infinite for a table without one.
        member: the position of the member in the family; None if none meets the limits.
        top1: the member's accuracy as a fraction of one; 0 without a member.
        best: the accuracy of the best candidate of all; 0 if no candidate meets the limits.
    """

    limit_ms: Limits
    member: int | None
    top1: float
    best: float


@dataclass(frozen=True)
class SubnetFamily:
    """Candidates that serve a fleet together.

    Attributes:
        members: the positions of the candidates, most accurate first.
        served: the questions in the order in which they were asked.
        loss: the mean of the best candidate's accuracy minus the member's, as a fraction of one,
            over the questions that any candidate can answer.
    """

    members: IntArray
    served: tuple[Served, ...]
    loss: float


def find_family(
    candidates: Candidates, questions: Sequence[Limits], count: int, risk: float | None = None
) -> SubnetFamily:
    """Finds the at most `count` candidates that answer `questions` with the least loss.

    The result is exact. A question that no member can answer counts as a loss of the whole accuracy
    of the best candidate.

    Args:
        candidates: at least one.
        questions: the limits of each question; at least one.
        count: the most members; there are fewer if more would not reduce the loss.
        risk: as in `answer.ask`.

    Raises:
        UserError: `risk` is given but the latencies have no intervals.
    """
    cost = costs_at(candidates, risk)
    limits = np.array(questions, dtype=np.float64)
    # The family is chosen for all questions together; then each question gets its best member.
    members = choose_family(candidates.top1, cost, limits, count)
    order = ranking(candidates.top1, candidates.latency_ms)
    best = first_within(order, cost, limits)
    mine = first_within(members, cost, limits)
    place = {int(member): i for i, member in enumerate(members)}

    def top1(index: int) -> float:
        return 0.0 if index < 0 else float(candidates.top1[index])

    served = tuple(
        Served(limit, place.get(member), top1(member), top1(first))
        for limit, member, first in zip(questions, mine.tolist(), best.tolist(), strict=True)
    )
    losses = [each.best - each.top1 for each in served if each.best]
    return SubnetFamily(members, served, float(np.mean(losses)) if losses else 0.0)
