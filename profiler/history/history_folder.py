"""An append-only folder of tables, one for each profile of a commit.

A folder and not a database: every entry is two files that are written once, the table as it was and
a small JSON file with what else is known of it. So two CI jobs can add at the same time without a
lock, git, rsync and artifact stores carry a history as it is, and every other command reads its
tables. The name of an entry holds the hash of its table: adding the same twice changes nothing.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from compofa.common.console import printable
from compofa.common.errors import UserError, file_error
from compofa.common.files import read_bounded, sha256, write_atomically
from compofa.profiler.comparison.sides import load_side
from compofa.profiler.results.journal_lines import check_schema
from compofa.profiler.results.table import SetUp, Table, read_table
from compofa.profiler.statistics.interval import estimate_cells

SCHEMA = 1

LARGEST_ENTRY, LARGEST_TABLE = 1_000_000, 200_000_000
"""Bytes of an entry's JSON file, and of its table; larger ones are refused."""

MOST_ENTRIES = 10_000

COMMIT = r"[0-9A-Za-z][0-9A-Za-z._+-]{0,99}"
"""A hash, or a tag or version without slashes: it becomes part of file names."""


def _utc(moment: datetime) -> datetime:
    """`moment` in UTC; without a zone it is that already.

    Raises:
        ValueError: in UTC it would be before the first year, or after the last.
    """
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("the time is beyond the calendar") from None


class Entry(BaseModel):
    """One profile of one commit.

    Attributes:
        at: ISO 8601, UTC: what the history is ordered by.
        facts: the set-up and the device's fingerprint.
        reference_ms: of the reference model; None where no journal lay beside the table.
        table: the file name of the table in the folder.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    commit: str = Field(pattern=f"^{COMMIT}$")
    at: Annotated[datetime, AfterValidator(_utc)]
    setup: SetUp
    facts: dict[str, Any]
    reference_ms: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    table: str = Field(pattern=r"^[0-9A-Za-z._+-]+\.csv$")


@dataclass(frozen=True)
class Profile:
    """An entry with its table."""

    entry: Entry
    table: Table


def add_entry(folder: Path, table: Path, commit: str, at: str | None = None) -> tuple[Entry, bool]:
    """Adds a table, and what its journal and meta file say, to the history in `folder`.

    Args:
        folder: is made if need be.
        table: the latency table.
        commit: that was profiled.
        at: when, in ISO 8601; when its last cell was measured by default.

    Returns:
        The entry, and whether it is new.

    Raises:
        UserError: the table, the commit or the time is not valid, or nothing can be written.
    """
    if not re.fullmatch(COMMIT, commit):
        raise UserError(f"--commit {commit!r} is not a hash or a tag", hint="as in 3f2a91c or v1.2")
    side = load_side(table)
    if not table.is_file():
        raise UserError("a history keeps a copy of the table, so it cannot be a pipe", path=table)
    moment = _moment(at or max((row.measured_at for row in side.table.rows), default=""))
    reference = None
    if side.values is not None and None in side.values:
        reference = estimate_cells(side.values, level_sessions=side.level)[None].value
    content = read_bounded(table, LARGEST_TABLE)
    stem = f"{moment:%Y%m%dT%H%M%SZ}-{commit[:12]}-{sha256(content)[:12]}"
    entry = Entry(
        commit=commit,
        at=moment,
        setup=side.table.setup,
        facts=dict(side.facts),
        reference_ms=reference,
        table=f"{stem}.csv",
    )
    place = folder / f"{stem}.json"
    # The name holds the hash of the table: the same table is added once, however often it is given.
    if place.exists():
        return entry, False
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise file_error(error, folder, "cannot make the history") from None
    # The JSON file comes last: an entry is there once it is complete.
    write_atomically(folder / entry.table, content, "the history")
    record = {"schema": SCHEMA, **entry.model_dump(mode="json"), "setup": asdict(entry.setup)}
    write_atomically(place, json.dumps(record, indent=1) + "\n", "the history")
    return entry, True


def read_history(folder: Path) -> list[Profile]:
    """All entries of a history in order of time, then of commit.

    Raises:
        UserError: there is none, or an entry or its table is damaged.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".json")
    except OSError as error:
        raise file_error(error, folder, "cannot read the history") from None
    if not paths:
        raise UserError(
            "the history is empty",
            path=folder,
            hint="add a table with `compofa-report history add`",
        )
    if len(paths) > MOST_ENTRIES:
        raise UserError(f"the history has more than {MOST_ENTRIES:,} entries", path=folder)
    entries = [_entry(path) for path in paths]
    entries.sort(key=lambda entry: (entry.at, entry.commit))
    return [Profile(entry, read_table(folder / entry.table)) for entry in entries]


def _entry(path: Path) -> Entry:
    raw = read_bounded(path, LARGEST_ENTRY)
    try:
        data = json.loads(raw)
    except (ValueError, RecursionError):
        raise UserError("the entry is not JSON", path=path) from None
    try:
        check_schema(data.get("schema") if isinstance(data, dict) else None, SCHEMA)
        return Entry.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        message = printable(f"the entry is damaged: {place}: {first['msg']}")
        raise UserError(message[:300], path=path) from None
    except ValueError as error:
        raise UserError(f"not an entry of a history: {error}", path=path) from None


def _moment(text: str) -> datetime:
    try:
        return _utc(datetime.fromisoformat(text))
    except ValueError:
        unknown = "the table does not say when it was made"
        message = f"{text[:60]!r} is not a time in ISO 8601" if text else unknown
        raise UserError(message, hint="give it as in --time 2026-01-31T12:00:00Z") from None
