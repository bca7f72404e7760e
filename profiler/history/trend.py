"""How the latency of each subnet changed over a history, and whether the code or the device did it.

A change of the networks or of the code shows in their latency beside that of the reference model. A
change of the device shows in the reference model itself, which no commit touches, or in the
fingerprint: another runtime, another operating system. What happens when the fingerprint changes
is put down to that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

import numpy as np

from compofa.common.arrays import FloatArray
from compofa.profiler.comparison.sides import unalike
from compofa.profiler.history.history_folder import Entry, Profile
from compofa.profiler.results.table import Cell
from compofa.profiler.statistics.device_change import STEEPEST
from compofa.profiler.statistics.lasting_changes import LastingChange, find_lasting_changes

K = TypeVar("K")

SAME_SERIES = ("device", "runtime", "accelerator", "threads", "dtype")
"""Of the set-up: profiles that differ in one of these are different histories."""

FEW = 8
"""With fewer entries it cannot be seen how far cells covary with the reference model."""

FALSE_ALARMS = 0.05
"""The probability that a history in which nothing changed shows a change of any cell; that of a
change of the reference model is as large again."""


class Cause(Enum):
    """What a change is put down to."""

    CODE = "code"
    DEVICE = "device"
    SETUP = "set-up"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Moved:
    """A cell that went to another level; `cell` None is the reference model."""

    cell: Cell | None
    ratio: float


@dataclass(frozen=True)
class Event:
    """All that changed at one entry for one cause.

    Attributes:
        position: of the first entry after the change.
        moved: the cells, those first that moved most.
        facts: of the fingerprint, name -> (before, after).
    """

    position: int
    cause: Cause
    moved: tuple[Moved, ...]
    facts: Mapping[str, tuple[Any, Any]]


@dataclass(frozen=True)
class Trend:
    """One set-up's history of n entries.

    Attributes:
        latency_ms: of each cell, shape (n,), NaN where it was not measured.
        reference_ms: of the reference model, shape (n,), NaN where it is not known.
        relative: whether cells are judged relative to it: it is known everywhere.
        slope: the share of the reference's changes that cells covary with, see `_slope`.
        beside_reference: log latency of each cell less that share, if `relative`; shape (n,).
    """

    name: str
    entries: tuple[Entry, ...]
    latency_ms: Mapping[Cell, FloatArray]
    reference_ms: FloatArray
    relative: bool
    slope: float
    beside_reference: Mapping[Cell, FloatArray]
    events: tuple[Event, ...]

    def change(self, cell: Cell) -> float:
        """Last over first latency of a cell, relative to the reference model if that is known."""
        logs = self.beside_reference[cell]
        known = logs[np.isfinite(logs)]
        return float(np.exp(known[-1] - known[0]))


def find_trends(profiles: Sequence[Profile], min_effect: float) -> list[Trend]:
    """A trend for each set-up, in the order in which they first appear."""
    groups: dict[tuple[Any, ...], list[Profile]] = {}
    for profile in profiles:
        key = tuple(getattr(profile.entry.setup, name) for name in SAME_SERIES)
        groups.setdefault(key, []).append(profile)
    return [_trend(key, group, min_effect) for key, group in groups.items()]


def _trend(key: tuple[Any, ...], profiles: Sequence[Profile], min_effect: float) -> Trend:
    entries = tuple(profile.entry for profile in profiles)
    latency_ms: dict[Cell, FloatArray] = {}
    for position, profile in enumerate(profiles):
        for row in profile.table.rows:
            if row.source == "measured" and row.latency_ms is not None:
                empty = np.full(len(profiles), np.nan)
                latency_ms.setdefault(row.cell, empty)[position] = row.latency_ms
    reference = np.array([np.nan if e.reference_ms is None else e.reference_ms for e in entries])
    relative = bool(np.isfinite(reference).all())
    slope = _slope(latency_ms, reference) if relative else 0.0
    explained = slope * np.log(reference) if relative else 0.0
    beside = {cell: np.log(ms) - explained for cell, ms in latency_ms.items()}
    device, runtime, accelerator, threads, dtype = key
    threads_said = f"{threads} threads" if threads != 1 else "1 thread"
    return Trend(
        name=f"{device} ({', '.join(filter(None, (runtime, accelerator, threads_said, dtype)))})",
        entries=entries,
        latency_ms=latency_ms,
        reference_ms=reference,
        relative=relative,
        slope=slope,
        beside_reference=beside,
        events=_events(entries, beside, reference, relative, min_effect),
    )


def _slope(latency_ms: Mapping[Cell, FloatArray], reference_ms: FloatArray) -> float:
    """How far cells covary with the reference, 0 to `STEEPEST`; 1 with fewer than `FEW` entries.

    Least absolute deviations from one entry to the next, which is a weighted median (Bloomfield and
    Steiger, Least Absolute Deviations, 1983): a change of the networks is one deviation among
    many and does not count, however large it is.
    """
    if reference_ms.size < FEW or not latency_ms:
        return 1.0
    steps = np.diff(np.log(np.array(list(latency_ms.values()))), axis=1)
    known = np.isfinite(steps).any(axis=0)
    moved = np.nanmean(steps[:, known], axis=0)
    reference = np.diff(np.log(reference_ms))[known]
    # Where the reference did not move, it says nothing about how far cells covary with it.
    moved, reference = moved[reference != 0], reference[reference != 0]
    if not reference.size:
        return 1.0
    slopes, weights = moved / reference, np.abs(reference)
    order = np.argsort(slopes)
    middle = int(np.searchsorted(np.cumsum(weights[order]), weights.sum() / 2))
    return float(np.clip(slopes[order[middle]], 0.0, STEEPEST))


def _events(
    entries: Sequence[Entry],
    series: Mapping[Cell, FloatArray],
    reference: FloatArray,
    relative: bool,
    min_effect: float,
) -> tuple[Event, ...]:
    """What changed, in order of time."""
    facts = _changed_facts(entries)
    moved: dict[tuple[int, Cause], list[Moved]] = {
        (position, Cause.SETUP): [] for position in facts
    }
    for cell, steps in _steps(series, min_effect).items():
        for step in steps:
            # Beside the reference a device does not show: what is left is the code, unless the
            # set-up changed at the same entry, which explains it first.
            cause = Cause.CODE if relative else Cause.UNKNOWN
            cause = Cause.SETUP if step.start in facts else cause
            moved.setdefault((step.start, cause), []).append(Moved(cell, step.ratio))
    for step in _steps({None: np.log(reference)}, min_effect)[None]:
        cause = Cause.SETUP if step.start in facts else Cause.DEVICE
        moved.setdefault((step.start, cause), []).append(Moved(None, step.ratio))
    return tuple(
        Event(
            position,
            cause,
            tuple(sorted(cells, key=lambda each: -abs(np.log(each.ratio)))),
            facts.get(position, {}) if cause is Cause.SETUP else {},
        )
        for (position, cause), cells in sorted(
            moved.items(), key=lambda item: (item[0][0], item[0][1].value)
        )
    )


def _steps(series: Mapping[K, FloatArray], min_effect: float) -> dict[K, list[LastingChange]]:
    """Steps of each series, at positions among all entries; NaN is skipped."""
    known = {name: np.flatnonzero(np.isfinite(logs)) for name, logs in series.items()}
    changes = find_lasting_changes(
        [series[name][known[name]] for name in series], FALSE_ALARMS, min_effect
    )
    return {
        name: [LastingChange(int(known[name][step.start]), step.ratio) for step in steps]
        for name, steps in zip(series, changes, strict=True)
    }


def _changed_facts(entries: Sequence[Entry]) -> dict[int, dict[str, tuple[Any, Any]]]:
    """For each entry whose fingerprint differs from the one before: what, before and after."""
    changed = {}
    for position in range(1, len(entries)):
        before, after = entries[position - 1].facts, entries[position].facts
        different = unalike(before, after)
        if different:
            changed[position] = different
    return changed
