"""One side of a comparison: a table with its journal, and whether two sides may be compared."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from compofa.profiler.report.evidence import load_evidence
from compofa.profiler.statistics.interval import LogMeans
from compofa.profiler.statistics.student import student_quantile
from compofa.profiler.table import Cell, Row, Table
from compofa.supernet.errors import UserError

UNCHECKED = ("device",)
"""Of the set-up: a name is whatever somebody calls the device; its fingerprint tells it apart."""

FOLLOWS = {"runtime_version": ("runtime_sha256",), "runtime": ("runtime_sha256",)}
"""What differs anyway once a difference is allowed."""

MOST_UNALIKE = 5
"""Differences that a message names."""


@dataclass(frozen=True)
class Side:
    """A table, and what its journal says.

    Attributes:
        facts: the set-up and the device's fingerprint, by name.
        values: milliseconds of each cell in each session, corrected for drift; None is the
            reference model. None without a journal.
        level: the undisturbed sessions.
    """

    path: Path
    table: Table
    facts: Mapping[str, Any]
    values: Mapping[Cell | None, Mapping[int, float]] | None
    level: Collection[int] | None

    def measured(self) -> dict[Cell, Row]:
        """The rows that were measured and did not fail."""
        return {
            row.cell: row
            for row in self.table.rows
            if row.source == "measured" and row.latency_ms is not None
        }

    def failed(self) -> set[Cell]:
        """The cells that could not be measured."""
        return {row.cell for row in self.table.rows if row.status == "failed"}


def load_side(path: Path) -> Side:
    """Reads a table, and the journal and meta file beside it if they are there.

    Raises:
        UserError: one of them is damaged, or they are not of one set-up.
    """
    evidence = load_evidence(path)
    facts: dict[str, Any] = asdict(evidence.table.setup)
    for name in UNCHECKED:
        del facts[name]
    if evidence.journal is None:
        return Side(path, evidence.table, facts, None, None)
    facts |= evidence.journal.header.fingerprint
    analysis = evidence.journal.analysis
    return Side(path, evidence.table, facts, analysis.values, analysis.level_sessions)


def check_comparable(base: Side, new: Side, allowed: Collection[str]) -> dict[str, tuple[Any, Any]]:
    """The differences between two set-ups, all of them `allowed`.

    Raises:
        UserError: some are not; the message names them.
    """
    known = [name for name in base.facts if name in new.facts]
    unknown = sorted(set(allowed) - {*base.facts, *new.facts})
    if unknown:
        raise UserError(
            f"--allow-different {unknown[0]}: tables have no such fact",
            hint=f"one of {', '.join(sorted(known))}",
        )
    unalike = {
        name: (base.facts[name], new.facts[name])
        for name in known
        if base.facts[name] != new.facts[name]
    }
    excused = {*allowed, *(name for each in allowed for name in FOLLOWS.get(each, ()))}
    wrong = [name for name in unalike if name not in excused]
    if wrong:
        named = [f"{name} is {unalike[name][0]!r} and {unalike[name][1]!r}" for name in wrong]
        listed = "; ".join(named[:MOST_UNALIKE]) + ("; ..." if len(named) > MOST_UNALIKE else "")
        raise UserError(
            f"{base.path} and {new.path} are of different set-ups: {listed}",
            hint=f"if that is the point, --allow-different {wrong[0]}",
        )
    return unalike


def interval_means(rows: list[Row]) -> LogMeans:
    """Means of rows without a journal, their errors read off their intervals.

    An interval holds the error of the session effect as well, which all cells share; taken as each
    cell's own, it makes verdicts over several cells more careful than they need be.
    """
    counts = np.array([max(row.n_sessions, 1) for row in rows], dtype=np.float64)
    freedom = counts - 1
    widths = np.array([_half_width(row) for row in rows])
    confidence = np.array([row.confidence for row in rows])
    reach = np.array(
        [
            student_quantile((1 + level) / 2, np.array([max(d, 1.0)]))[0]
            for level, d in zip(confidence, freedom, strict=True)
        ]
    )
    return LogMeans(
        means=np.log([row.latency_ms or math.nan for row in rows]),
        own_variance=(widths / reach) ** 2,
        own_freedom=np.maximum(freedom, 1.0),
        shared_variance=0.0,
        shared_freedom=math.inf,
        counts=counts,
    )


def _half_width(row: Row) -> float:
    if not row.ci_low_ms or row.ci_high_ms is None:
        return math.inf
    return math.log(row.ci_high_ms / row.ci_low_ms) / 2
