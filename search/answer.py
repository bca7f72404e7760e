"""Answers questions about candidates, with results that say all that a person wants to know."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from compofa.common.arrays import FloatArray, IntArray
from compofa.common.errors import UserError
from compofa.common.normal_interval import reaches
from compofa.profiler.models.collection.collection import Collection
from compofa.profiler.results.table import Cell, Row, RowSource, Status
from compofa.search.candidates import Candidates
from compofa.search.exact import first_within, front, nearest, ranking, upper_ms, within
from compofa.search.measures import LatencyMeasure, Measure
from compofa.search.uncertainty import indistinguishable, probability_within
from compofa.supernet.export.dtype import bytes_per_number
from compofa.supernet.graph import graph_blocks

Limits = tuple[float, ...]
"""The limits of one question in milliseconds, one per table; infinite for a table without one."""


@dataclass(frozen=True)
class Result:
    """One subnet to deploy.

    Attributes:
        space, subnet, resolution, batch_size: its cell; `subnet` is a key.
        top1: its accuracy as a fraction of one.
        latency_ms, ci_low_ms, ci_high_ms, source, status: those of its row, one per table.
        limit_ms: the limits that it had to meet, one per table (None for a table without a limit
            in the question); None for a member of the front.
        macs: multiply-accumulates per image; None where not known.
        params: trainable parameters. This and what follows is None for model files of which it is
            not known.
        weight_bytes: the size of the weights in a model file, in the widest dtype of the tables;
            see `Graph.weight_bytes`.
        memory_bytes: the size of the activations that are held at once, per image; see
            `Graph.peak_activation_bytes`.
        extra: the values of the tables' own columns, one mapping per table.
        probability: of the true latency meeting the limit, one per table; None where there is no
            limit or no interval.
        joint_probability: of all limits being met, with errors in different tables taken as
            independent; None where one of them is not known.
        indistinguishable_from: another member of the front, as "KEY at RESOLUTION", that may in
            truth be as accurate and as fast; None if noise leaves no doubt.
    """

    space: str
    subnet: str
    resolution: int
    batch_size: int
    top1: float
    latency_ms: tuple[float, ...]
    ci_low_ms: tuple[float | None, ...]
    ci_high_ms: tuple[float | None, ...]
    source: tuple[RowSource, ...]
    status: tuple[Status, ...]
    limit_ms: tuple[float | None, ...] | None
    macs: int | None
    params: int | None
    weight_bytes: int | None
    memory_bytes: int | None
    extra: tuple[dict[str, float | None], ...]
    probability: tuple[float | None, ...] | None = None
    joint_probability: float | None = None
    indistinguishable_from: str | None = None

    @property
    def cell(self) -> Cell:
        """The cell of a table that this result is."""
        return Cell(self.space, self.subnet, self.resolution, self.batch_size)

    @property
    def name(self) -> str:
        """The result's name for people: KEY at RESOLUTION."""
        return f"{self.subnet} at {self.resolution}"


@dataclass(frozen=True)
class Infeasible:
    """Limits that no candidate meets, and the candidate that comes nearest to them.

    Attributes:
        limit_ms: one per table; None for a table without a limit in the question.
        nearest: the candidate that exceeds the limits by the smallest factor. With one table, it is
            the fastest candidate.
    """

    limit_ms: tuple[float | None, ...]
    nearest: Result


@dataclass(frozen=True)
class Answer:
    """The answer of a search.

    Attributes:
        results: the best first; if several questions were asked, one question after the other.
        infeasible: the questions that no candidate can answer.
        more: how many results `top` left out, for each question or for the front; empty if they
            were not counted.
    """

    results: tuple[Result, ...]
    infeasible: tuple[Infeasible, ...]
    more: tuple[int, ...] = ()


def ask(
    candidates: Candidates,
    questions: Sequence[Limits],
    top: int | None = None,
    risk: float | None = None,
    minimise: Sequence[Measure] = (),
    min_top1: float | None = None,
) -> Answer:
    """Finds the most accurate candidates within limits, or the Pareto front without any bounds.

    Limits and `min_top1` bound the candidates, and the objectives choose among those that are left:

    - With one objective, the candidates that have the least of it come first; of equal ones, the
      more accurate.
    - With several objectives, the answer is the front over these alone.
    - Without objectives, the most accurate candidates within the limits come first. If there is
      only `min_top1`, the objective is the latency.
    - Without limits and without `min_top1`, the answer is the front over accuracy, all latencies
      and the objectives, ordered by the first objective if there is one.

    Args:
        candidates: at least one.
        questions: the limits of each question.
        top: the most results per question; None for all.
        risk: the largest probability with which the true latency of a result may exceed a limit,
            according to its interval. If it is None, the latency itself has to meet the limit.
        minimise: the objectives. Candidates for which one of them is not known are left out. The
            latency as an objective counts as one objective per table.
        min_top1: the least accuracy of a result, as a fraction of one.

    Raises:
        UserError: `risk` is given but the latencies have no intervals, or an objective is a column
            that no table has.
    """
    cost = costs_at(candidates, risk)
    objectives = _objectives(candidates, minimise, cost)
    if not questions and min_top1 is None:
        return _front_answer(candidates, cost, objectives, top)
    if not questions and not minimise:
        objectives = cost
    order = ranking(candidates.top1, candidates.latency_ms, objectives)
    order = order[~np.isnan(objectives[order]).any(axis=1)]
    if min_top1 is not None:
        order = order[candidates.top1[order] >= min_top1]
    several = wants_front(len(candidates.tables), questions, minimise, min_top1)
    if top == 1 and len(questions) > 1 and not several:
        # All questions are answered together, since a fleet may ask ten thousand.
        limits = np.array(questions, dtype=np.float64)
        first = first_within(order, cost, limits).tolist()
        return _answer(candidates, cost, questions, [[i] if i >= 0 else [] for i in first], ())
    chosen = []
    for limits_ms in questions or [(math.inf,) * cost.shape[1]]:
        here = within(order, cost, limits_ms) if questions else order
        chosen.append(front(here, objectives[:, 1:]) if several else here)
    shown = [here[:top].tolist() for here in chosen]
    more = tuple(len(here) - len(those) for here, those in zip(chosen, shown, strict=True))
    return _answer(candidates, cost, questions, shown, more)


def wants_front(
    tables: int,
    questions: Sequence[Limits],
    minimise: Sequence[Measure] = (),
    min_top1: float | None = None,
) -> bool:
    """Whether `ask` answers with a front, which has no best member.

    Args:
        tables: the number of tables; the latency counts as one objective per table.
        questions, minimise, min_top1: as in `ask`.
    """
    if not questions and min_top1 is None:
        return True
    if not questions and not minimise:
        return tables > 1
    return sum(tables if isinstance(each, LatencyMeasure) else 1 for each in minimise) > 1


def _objectives(
    candidates: Candidates, minimise: Sequence[Measure], cost: FloatArray
) -> FloatArray:
    """The values to minimise, [n, k]; the latency has one column per table."""
    columns = [
        cost if isinstance(each, LatencyMeasure) else each.of(candidates)[:, None]
        for each in minimise
    ]
    return np.hstack(columns) if columns else np.empty((len(candidates), 0))


def _answer(
    candidates: Candidates,
    cost: FloatArray,
    questions: Sequence[Limits],
    chosen: Sequence[Sequence[int]],
    more: tuple[int, ...],
) -> Answer:
    """Makes an answer of the `chosen` candidates of each question.

    A question without any is infeasible, and the candidate that comes nearest is found for it.
    """
    if not questions:
        return Answer(tuple(result(candidates, i, None) for i in chosen[0]), (), more)
    made: dict[int, Result] = {}

    def answered(index: int, asked: Limits) -> Result:
        # A candidate often answers several questions, and its MACs and sizes take time to compute.
        if index not in made:
            made[index] = result(candidates, index, None)
        return _asked(candidates, made[index], index, asked)

    pairs = list(zip(questions, chosen, strict=True))
    results = [answered(i, asked) for asked, members in pairs for i in members]
    infeasible = []
    for asked, members in pairs:
        if not members:
            closest = nearest(np.nan_to_num(cost, nan=np.inf), asked)
            infeasible.append(Infeasible(finite(asked), answered(closest, asked)))
    return Answer(tuple(results), tuple(infeasible), more)


def _front_answer(
    candidates: Candidates, cost: FloatArray, objectives: FloatArray, top: int | None
) -> Answer:
    """Answers with the front over accuracy, latencies and objectives."""
    costs = np.hstack([cost, objectives])
    order = ranking(candidates.top1, candidates.latency_ms)
    members = front(order[~np.isnan(costs[order]).any(axis=1)], costs)
    results = _front_results(candidates, members)
    if objectives.shape[1]:
        by_first = np.argsort(objectives[members, 0], kind="stable")
        results = tuple(results[i] for i in by_first)
    shown = results[:top]
    return Answer(shown, (), (len(results) - len(shown),))


def finite(limits: Limits) -> tuple[float | None, ...]:
    """`limits` as results show them: None instead of infinity."""
    return tuple(limit if math.isfinite(limit) else None for limit in limits)


def _front_results(candidates: Candidates, members: IntArray) -> tuple[Result, ...]:
    """Results for the members of the front, each with one that it is indistinguishable from."""
    confidence = np.array([[rows[i].confidence for rows in candidates.rows] for i in members])
    width = (candidates.high_ms - candidates.low_ms)[members] / 2
    doubtful = indistinguishable(
        candidates.top1[members],
        candidates.top1_sd[members],
        candidates.latency_ms[members],
        width / reaches(confidence),
    )
    results = []
    for i, other in zip(members, doubtful, strict=True):
        cell = None if other < 0 else candidates.cells[members[other]]
        name = None if cell is None else f"{cell.subnet} at {cell.resolution}"
        results.append(replace(result(candidates, i, None), indistinguishable_from=name))
    return tuple(results)


def result(candidates: Candidates, index: int, limits: Limits | None) -> Result:
    """Candidate `index` as a result; as the answer to a question if `limits` are given."""
    cell, rows = candidates.cells[index], [each[index] for each in candidates.rows]
    costs = _costs(candidates, index)
    plain = Result(
        space=cell.space,
        subnet=cell.subnet,
        resolution=cell.resolution,
        batch_size=cell.batch_size,
        top1=float(candidates.top1[index]),
        latency_ms=tuple(map(float, candidates.latency_ms[index])),
        ci_low_ms=tuple(row.ci_low_ms for row in rows),
        ci_high_ms=tuple(row.ci_high_ms for row in rows),
        source=tuple(row.source for row in rows),
        status=tuple(row.status for row in rows),
        limit_ms=None,
        macs=costs["macs"],
        params=costs["params"],
        weight_bytes=costs["weight_bytes"],
        memory_bytes=costs["memory_bytes"],
        extra=tuple(
            dict(zip(table.table.extra, row.extra, strict=True))
            for table, row in zip(candidates.tables, rows, strict=True)
        ),
    )
    return plain if limits is None else _asked(candidates, plain, index, limits)


def _costs(candidates: Candidates, index: int) -> dict[str, int | None]:
    """What candidate `index` costs besides latency."""
    cell = candidates.cells[index]
    if isinstance(candidates.space, Collection):
        told: dict[str, float] = {}
        for table, rows in zip(candidates.tables, candidates.rows, strict=True):
            columns = zip(table.table.extra, rows[index].extra, strict=True)
            told = {name: value for name, value in columns if value is not None} | told
        macs, params, size = (told.get(name) for name in ("macs", "parameters", "weight_bytes"))
        return {
            "macs": None if macs is None else round(macs / cell.batch_size),
            "params": None if params is None else round(params),
            "weight_bytes": None if size is None else round(size),
            "memory_bytes": None,
        }
    subnet = candidates.subnets[cell.subnet]
    blocks = graph_blocks(candidates.space, subnet, cell.resolution)
    setups = [table.table.setup for table in candidates.tables]
    width = max(bytes_per_number(setup.dtype) for setup in setups)
    return {
        "macs": sum(block.macs for block in blocks),
        "params": sum(block.params for block in blocks),
        "weight_bytes": width * sum(block.folded_params for block in blocks),
        "memory_bytes": width * max(block.peak_activations for block in blocks),
    }


def _asked(candidates: Candidates, plain: Result, index: int, limits: Limits) -> Result:
    """`plain`, the result of candidate `index`, as the answer to a question."""
    asked = finite(limits)
    probabilities = _probabilities([each[index] for each in candidates.rows], asked)
    return replace(
        plain,
        limit_ms=asked,
        probability=probabilities,
        # Errors in different tables are taken as independent, since different devices made them.
        joint_probability=_joint(probabilities, asked),
    )


def _probabilities(rows: Sequence[Row], limits: Sequence[float | None]) -> tuple[float | None, ...]:
    """The probability of meeting the limit, one per table."""
    return tuple(
        None
        if limit is None or row.latency_ms is None
        else probability_within(
            row.latency_ms, row.ci_low_ms, row.ci_high_ms, row.confidence, limit
        )
        for row, limit in zip(rows, limits, strict=True)
    )


def _joint(probabilities: Sequence[float | None], limits: Sequence[float | None]) -> float | None:
    """The probability that all limits are met; None if one of the probabilities is not known."""
    known = [each for each in probabilities if each is not None]
    asked = sum(limit is not None for limit in limits)
    return math.prod(known) if known and len(known) == asked else None


def costs_at(candidates: Candidates, risk: float | None) -> FloatArray:
    """The milliseconds that are compared with limits, [n, t].

    These are the latencies; with `risk`, what the true latencies exceed with that probability.

    Raises:
        UserError: `risk` is given but the latencies have no intervals.
    """
    if risk is None:
        return candidates.latency_ms
    confidence = np.array([[row.confidence for row in rows] for rows in candidates.rows]).T
    cost = upper_ms(candidates.latency_ms, candidates.high_ms, confidence, risk)
    if np.isnan(cost).any(axis=1).all():
        raise UserError("--risk needs latencies with intervals, which these tables do not have")
    return cost
