"""Shows the result of a verification as text for people and as JSON."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from compofa.profiler.results.table import Cell
from compofa.search.answer import Result, finite
from compofa.search.output import Column
from compofa.search.verification.verify import Verification, Verified


def verification_sentence(done: Verification) -> str:
    """One line that says what was measured and what changed."""
    moved = sum(each.changed for each in done.questions)
    undecided = sum(not each.decided for each in done.questions)
    unsure = sum(each.decided and not each.sure for each in done.questions)
    said = "verification ended early" if undecided else "verified"
    parts = [
        f"{said}: {len(done.measured)} cells measured in {done.rounds} rounds",
        f"{moved} of {len(done.questions)} answers changed",
    ]
    if undecided:
        parts.append(f"{undecided} not decided: run the same command again to continue")
    if unsure:
        parts.append(f"{unsure} not sure yet: run the same command again to continue")
    return "; ".join(parts)


def before_column(done: Verification) -> Column:
    """A column with the subnet that the table gave before, if measuring led to another."""
    answered = [each for each in done.questions if each.after is not None]
    names = [
        "" if not each.changed or each.before is None else each.before.name for each in answered
    ]
    return Column("before", False, names)


def undecided_lines(done: Verification) -> list[str]:
    """Messages about the questions that are not decided, each with the table's own answer."""
    undecided = [each for each in done.questions if not each.decided]
    if not undecided:
        return []
    lines = [_undecided(done, each) for each in undecided]
    if done.updated:
        lines.append(f"the measurements are in {', '.join(map(str, done.updated))}")
    return lines


def _undecided(done: Verification, question: Verified) -> str:
    asked = " and ".join(
        f"{limit:g} ms on {table.device}"
        for table, limit in zip(done.candidates.tables, question.limit_ms, strict=True)
        if math.isfinite(limit)
    )
    if question.table is None:
        return f"not decided within {asked}: nothing in the table meets it so far"
    return f"not decided within {asked}: the table's own answer is {_described(question.table)}"


def _described(answer: Result) -> str:
    latencies = ", ".join(
        f"{ms:.3f} ms ({source})"
        for ms, source in zip(answer.latency_ms, answer.source, strict=True)
    )
    return f"{answer.name}, {latencies}"


def verification_json(done: Verification) -> dict[str, Any]:
    """The object `verification` of `--json`."""
    return {
        "rounds": done.rounds,
        "measured": [asdict(cell) for cell in sorted(done.measured, key=_order)],
        "updated": [str(path) for path in done.updated],
        "questions": [_question_json(each) for each in done.questions],
    }


def _question_json(question: Verified) -> dict[str, Any]:
    return {
        "limit_ms": finite(question.limit_ms),
        "before": _result_json(question.before),
        "after": _result_json(question.after),
        "table": _result_json(question.table),
        "changed": question.changed,
        "decided": question.decided,
        "sure": question.sure,
    }


def _result_json(answer: Result | None) -> dict[str, Any] | None:
    return None if answer is None else asdict(answer)


def _order(cell: Cell) -> tuple[int, str, int]:
    return cell.resolution, cell.subnet, cell.batch_size
