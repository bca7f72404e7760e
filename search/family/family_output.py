"""Shows a family as text for people and as JSON for programs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from compofa.search.answer import Answer, Infeasible, Limits, finite, result
from compofa.search.candidates import Candidates
from compofa.search.exact import nearest
from compofa.search.family.family import Served, SubnetFamily
from compofa.search.output import Column


def family_answer(candidates: Candidates, family: SubnetFamily) -> Answer:
    """The members as results, and the questions that no candidate can answer."""
    cost = np.nan_to_num(candidates.latency_ms, nan=np.inf)
    impossible = [each.limit_ms for each in family.served if not each.best]
    return Answer(
        tuple(result(candidates, int(member), None) for member in family.members),
        tuple(
            Infeasible(finite(limits), result(candidates, nearest(cost, limits), limits))
            for limits in impossible
        ),
    )


def family_title(candidates: Candidates, family: SubnetFamily) -> str:
    """The heading: how many members serve how many limits, and with which loss."""
    possible = [each for each in family.served if each.best]
    unserved = sum(each.member is None for each in possible)
    left = f", {unserved} of them without a {candidates.noun}" if unserved else ""
    devices = ", ".join(table.device for table in candidates.tables)
    metric = candidates.metric
    return (
        f"Family of {len(family.members)} from {candidates.compared:,} cells of "
        f"{candidates.space.name} for {len(possible)} limits on {devices}{left}: "
        f"{metric.shown(family.loss)} {'points of accuracy' if metric.is_share else metric.name} "
        "below the best for each"
    )


def family_columns(candidates: Candidates, family: SubnetFamily) -> list[Column]:
    """Columns with the limits that each member serves, one column per table."""
    columns = []
    for i, table in enumerate(candidates.tables):
        spans = [
            _span([each.limit_ms[i] for each in family.served if each.member == member])
            for member in range(len(family.members))
        ]
        columns.append(Column(f"limits on {table.device}", False, spans))
    return columns


def _span(limits: Sequence[float]) -> str:
    """The range of the finite limits, such as `15 to 25 ms`."""
    known = sorted(limit for limit in limits if math.isfinite(limit))
    if not known:
        return "none"
    ends = f"{known[0]:g}" if known[0] == known[-1] else f"{known[0]:g} to {known[-1]:g}"
    return f"{ends} ms"


def family_json(candidates: Candidates, family: SubnetFamily) -> dict[str, Any]:
    """The object `family` of `--json`: the loss, and each question with its member's position."""
    return {"loss": family.loss, "served": [_served(candidates, each) for each in family.served]}


def _served(candidates: Candidates, served: Served) -> dict[str, Any]:
    table = _table(served.limit_ms)
    return {
        "device": candidates.tables[table].device,
        "limit_ms": served.limit_ms[table],
        "member": served.member,
        "top1": served.top1 if served.member is not None else None,
        "best_top1": served.best or None,
    }


def _table(limits: Limits) -> int:
    """The table of a question that has a limit for one table only."""
    return next(i for i, limit in enumerate(limits) if math.isfinite(limit))
