"""A table with its evidence: the meta file and the journal, if they lie beside it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from compofa.common.errors import UserError
from compofa.profiler.results.analysis import Analysis, analyse
from compofa.profiler.results.journal import (
    Header,
    JournalLine,
    PlanLine,
    journal_path,
    of_kind,
    read_journal,
)
from compofa.profiler.results.meta import Meta, meta_path, read_meta
from compofa.profiler.results.table import SetUp, Table, read_table
from compofa.profiler.settings import CONFIDENCE

LARGEST_JOURNAL = 500_000_000
"""Bytes; a larger journal is refused."""


@dataclass(frozen=True)
class Journalled:
    """What a journal says: its lines, the plan that held last, and their analysis."""

    header: Header
    lines: tuple[JournalLine, ...]
    plan: PlanLine | None
    analysis: Analysis


@dataclass(frozen=True)
class Evidence:
    """A table and what is known about how it came to be.

    Attributes:
        missing: sentences that say which file is missing, and what cannot be shown without it.
    """

    path: Path
    table: Table
    meta: Meta | None
    journal: Journalled | None
    missing: tuple[str, ...]


def load_evidence(path: Path, most_measured: int | None = None) -> Evidence:
    """Reads the table at `path`, and its meta file and journal if they are there.

    Args:
        path: the table.
        most_measured: if given, only rows that were measured are read, and at most so many.

    Raises:
        UserError: one of them is damaged, or they are not of one set-up.
    """
    table = read_table(path, predicted=most_measured is None, most_rows=most_measured)
    meta, journal = None, None
    missing = []
    if meta_path(path).exists():
        meta = read_meta(meta_path(path))
        _check_same(table.setup, meta.setup, meta_path(path))
    else:
        missing.append(
            f"{meta_path(path).name} is not beside the table, so facts about the device, the "
            "protocol and the check of additivity are missing."
        )
    if journal_path(path).exists():
        journal = _read_journal(journal_path(path))
        _check_same(table.setup, journal.header.setup, journal_path(path))
    else:
        missing.append(
            f"{journal_path(path).name} is not beside the table, so the pictures of drift and of "
            "the scatter between sessions are missing, and it is not known which cells were held "
            "out."
        )
    return Evidence(path, table, meta, journal, tuple(missing))


def _read_journal(path: Path) -> Journalled:
    # It is held in memory as objects, several times its size.
    if path.stat().st_size > LARGEST_JOURNAL:
        raise UserError(f"the journal is larger than {LARGEST_JOURNAL // 1_000_000} MB", path=path)
    header, lines = read_journal(path)
    plans = of_kind(lines, PlanLine)
    plan = plans[-1] if plans else None
    confidence = float(plan.protocol.get("confidence", CONFIDENCE)) if plan else CONFIDENCE
    return Journalled(header, tuple(lines), plan, analyse(lines, confidence))


def _check_same(table: SetUp, other: SetUp, path: Path) -> None:
    """Refuses files that lie beside the table but are not about it."""
    said, wanted = asdict(other), asdict(table)
    for name, value in wanted.items():
        if said[name] != value:
            raise UserError(
                f"the file is of another set-up than the table beside it: {name} is "
                f"{said[name]!r} here and {value!r} in the table",
                path=path,
                hint="move one of the two to another folder",
            )
