"""One side of a comparison: a table with its journal, and whether two sides may be compared."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from compofa.common.console import note
from compofa.common.errors import UserError, file_error
from compofa.profiler.results.evidence import load_evidence
from compofa.profiler.results.journal import Timing, journal_path, of_kind
from compofa.profiler.results.table import Cell, Row, Table
from compofa.profiler.statistics.interval import LogMeans
from compofa.profiler.statistics.student import student_quantile
from compofa.profiler.transports.device_identity import SERIAL, same_serial

UNCHECKED = ("device",)
"""Parts of the set-up that may differ: the fingerprint identifies a device, and not its name."""

FOLLOWS = {
    "runtime_version": ("runtime_sha256",),
    "runtime": ("runtime_sha256", "reference_sha256"),
    "dtype": ("reference_sha256",),
}
"""Facts that differ as a consequence, by the fact whose difference is allowed."""

MOST_ROWS = 100_000
"""Two tables with so many rows are compared in some seconds and 300 MB. Of a larger table only the
measured rows are read, and no more than that: only these are compared."""

MOST_UNALIKE = 5
"""How many differences a message names."""


@dataclass(frozen=True)
class Side:
    """A table, and what its journal says.

    Attributes:
        facts: the set-up, the device's fingerprint and the reference model, by name.
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

    @property
    def sessions(self) -> int:
        """The most sessions that any row rests on."""
        return max((row.n_sessions for row in self.table.rows), default=0)


def load_side(path: Path) -> Side:
    """Reads a table, and the journal and meta file beside it if they are there.

    Raises:
        UserError: one of them is damaged or too large, or they do not belong together.
    """
    large = _rows(path) > MOST_ROWS
    evidence = load_evidence(path, MOST_ROWS if large else None)
    if large:
        note(f"{path}: the table is large, so only its measured rows are read")
    facts: dict[str, Any] = asdict(evidence.table.setup)
    for name in UNCHECKED:
        del facts[name]
    if evidence.journal is None:
        fingerprint = {} if evidence.meta is None else evidence.meta.fingerprint
        return Side(path, evidence.table, facts | fingerprint, None, None)
    facts |= evidence.journal.header.fingerprint
    # Another version of this package may write another reference model: not one to compare by.
    for timing in of_kind(evidence.journal.lines, Timing):
        if timing.cell is None:
            facts["reference_sha256"] = timing.model_sha256
    analysis = evidence.journal.analysis
    side = Side(path, evidence.table, facts, analysis.values, analysis.level_sessions)
    strange = [cell for cell in side.measured() if cell not in analysis.values]
    if strange:
        raise UserError(
            f"the journal does not know {strange[0].subnet} at {strange[0].resolution}, which the "
            "table says was measured",
            path=journal_path(path),
            hint="it belongs to another table: move it to another folder",
        )
    return side


def _rows(path: Path) -> int:
    """How many rows a table has, at most: lines but the first."""
    try:
        # A pipe can be read once only, so all its rows are.
        if path.exists() and not path.is_file():
            return 0
        with path.open("rb") as file:
            return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b"")) - 1
    except OSError as error:
        raise file_error(error, path, "cannot read the table") from None


def check_comparable(base: Side, new: Side, allowed: Collection[str]) -> dict[str, tuple[Any, Any]]:
    """The differences between two set-ups, all of them `allowed`.

    Raises:
        UserError: some are not; the message names them.
    """
    known = [name for name in base.facts if name in new.facts]
    unknown = sorted(set(allowed) - {*base.facts, *new.facts})
    if unknown:
        raise UserError(
            f"--allow-different {unknown[0]}: the tables record nothing of that name",
            hint=f"they record {', '.join(sorted(known))}",
        )
    differences = unalike(base.facts, new.facts)
    # Another version of a runtime has another file: whoever allows one has allowed the other.
    excused = {*allowed, *(name for each in allowed for name in FOLLOWS.get(each, ()))}
    wrong = {name: pair for name, pair in differences.items() if name not in excused}
    if wrong:
        named = [f"{name} is {before!r} and {after!r}" for name, (before, after) in wrong.items()]
        listed = "; ".join(named[:MOST_UNALIKE]) + ("; ..." if len(named) > MOST_UNALIKE else "")
        raise UserError(
            f"{base.path} and {new.path} are of different set-ups: {listed}",
            hint=f"if that is intended, add --allow-different {next(iter(wrong))}",
        )
    return differences


def unalike(base: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What two sets of facts both tell, and differently."""
    different = {
        name: (base[name], new[name]) for name in base if name in new and base[name] != new[name]
    }
    serials = different.get(SERIAL, (None, None))
    # Where there was no key, nobody knows which device it was.
    if None in serials or same_serial(*serials):
        different.pop(SERIAL, None)
    return different


def interval_means(rows: list[Row]) -> LogMeans:
    """Means of rows without a journal, their errors read off their intervals.

    An interval holds the error of the session effect as well, which all cells share; taken as each
    cell's own, it makes verdicts over several cells more careful than they need be.
    """
    counts = np.array([max(row.n_sessions, 1) for row in rows], dtype=np.float64)
    freedom = np.maximum(counts - 1, 1.0)
    widths = np.array([_half_width(row) for row in rows])
    confidence = np.array([row.confidence for row in rows])
    reach = student_quantile((1 + confidence) / 2, freedom)
    return LogMeans(
        means=np.log([row.latency_ms or math.nan for row in rows]),
        own_variance=(widths / reach) ** 2,
        own_freedom=freedom,
        shared_variance=0.0,
        shared_freedom=math.inf,
        counts=counts,
    )


def _half_width(row: Row) -> float:
    if row.ci_low_ms is None or row.ci_high_ms is None or row.ci_low_ms <= 0:
        return math.inf
    return math.log(row.ci_high_ms / row.ci_low_ms) / 2
