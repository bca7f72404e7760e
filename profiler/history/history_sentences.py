"""What a history says, as sentences and as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from compofa.profiler.comparison.wording import cell_name, percent
from compofa.profiler.history.history_folder import Entry
from compofa.profiler.history.trend import Cause, Event, Trend
from compofa.profiler.report.remarks import count
from compofa.profiler.results.table import Cell

BLAMED = {
    Cause.CODE: "the code",
    Cause.DEVICE: "the device",
    Cause.SETUP: "the set-up",
    Cause.UNKNOWN: "the code or the device (not every profile has a journal)",
}

MOST_NAMED = 3


def trend_lines(trend: Trend) -> Iterator[str]:
    """A trend as plain text, for a terminal."""
    first, last = trend.entries[0], trend.entries[-1]
    yield (
        f"{trend.name}: {count(len(trend.entries), 'profile')} of "
        f"{count(len(trend.latency_ms), 'cell')}, "
        f"{entry_name(first)} to {entry_name(last)}"
    )
    if not trend.events:
        yield "  no lasting change"
    for event in trend.events:
        yield f"  {entry_name(trend.entries[event.position])}: {event_sentence(event)}"


def entry_name(entry: Entry) -> str:
    """An entry as reports name it: commit and day."""
    return f"{entry.commit[:12]} ({entry.at:%Y-%m-%d})"


def event_sentence(event: Event) -> str:
    """What changed and why."""
    cells = [(each.cell, each.ratio) for each in event.moved if each.cell is not None]
    parts = [f"{name} from {before} to {after}" for name, (before, after) in event.facts.items()]
    parts += [f"the reference model {percent(m.ratio)}" for m in event.moved if m.cell is None]
    parts += _named("slower", [(cell, ratio) for cell, ratio in cells if ratio > 1])
    parts += _named("faster", [(cell, ratio) for cell, ratio in cells if ratio < 1])
    return f"{BLAMED[event.cause]}: {'; '.join(parts)}"


def _named(said: str, cells: Sequence[tuple[Cell, float]]) -> list[str]:
    """A part of a sentence, if there are such cells."""
    if not cells:
        return []
    names = [f"{cell_name(cell)} {percent(ratio)}" for cell, ratio in cells[:MOST_NAMED]]
    more = ", ..." if len(cells) > MOST_NAMED else ""
    return [f"{count(len(cells), 'cell')} {said}: {', '.join(names)}{more}"]


def trend_json(trend: Trend) -> dict[str, Any]:
    """A trend for programs; what is not known is null."""
    return {
        "name": trend.name,
        "relative": trend.relative,
        "slope": trend.slope,
        "entries": [
            {
                "commit": entry.commit,
                "at": entry.at.isoformat(),
                "table": entry.table,
                "reference_ms": entry.reference_ms,
            }
            for entry in trend.entries
        ],
        "cells": [
            {
                **asdict(cell),
                "latency_ms": [None if math.isnan(v) else v for v in values.tolist()],
            }
            for cell, values in trend.latency_ms.items()
        ],
        "events": [
            {
                "position": event.position,
                "commit": trend.entries[event.position].commit,
                "cause": event.cause.value,
                "facts": {name: list(pair) for name, pair in event.facts.items()},
                "moved": [
                    {"cell": None if m.cell is None else asdict(m.cell), "ratio": m.ratio}
                    for m in event.moved
                ],
            }
            for event in trend.events
        ],
    }
