"""A family of subnets for a whole fleet: every device and limit takes the member that suits it."""

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
        limit_ms: one per table; infinite for tables that it is not about.
        member: position among the members; None where none meets the limit.
        top1: the member's accuracy; 0 without one.
        best: the most accurate candidate's; 0 where no candidate meets the limit.
    """

    limit_ms: Limits
    member: int | None
    top1: float
    best: float


@dataclass(frozen=True)
class SubnetFamily:
    """Candidates that serve a fleet together.

    Attributes:
        members: positions of the candidates, most accurate first.
        served: the questions, in their order.
        loss: mean of the best accuracy less the member's, over the questions that any candidate
            can answer.
    """

    members: IntArray
    served: tuple[Served, ...]
    loss: float


def find_family(
    candidates: Candidates, questions: Sequence[Limits], count: int, risk: float | None = None
) -> SubnetFamily:
    """The `count` candidates that answer `questions` with the least loss; exact.

    A question that no member can answer loses the whole accuracy that the best candidate has.

    Args:
        candidates: at least one.
        questions: at least one.
        count: most members; there are fewer where more would add nothing.
        risk: as in `answer.ask`.

    Raises:
        UserError: `risk` is asked of latencies that have no interval.
    """
    cost = costs_at(candidates, risk)
    limits = np.array(questions, dtype=np.float64)
    # The family is chosen for all questions together, and each then takes the member that suits it.
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
