"""The reference model over time: how fast the device was at each moment of a profile."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from compofa.profiler.results.journal import JournalLine, Pause, SessionLine, Timing, of_kind
from compofa.profiler.statistics.drift import ReferencePoint, drift_factors
from compofa.profiler.statistics.runs.location import condense

MOST_POINTS = 500
"""Points in the picture; beyond that, neighbours of a session become their median."""

JOINED = 1 / 200
"""Pauses nearer to each other than this share of the whole are drawn as one."""


@dataclass(frozen=True)
class Moment:
    """The reference model at one moment.

    Attributes:
        minutes: of measuring time, the gaps between sessions left out.
        percent: raw latency above its usual level.
        corrected_percent: by how much the latencies measured then were reduced for drift.
    """

    session: int
    minutes: float
    latency_ms: float
    percent: float
    corrected_percent: float


@dataclass(frozen=True)
class Span:
    """A stretch of measuring time, in minutes."""

    start: float
    end: float


@dataclass(frozen=True)
class Stop(Span):
    """Pauses one right after another, with the first one's reasons."""

    count: int
    reasons: str


@dataclass(frozen=True)
class Timeline:
    """The reference model over a whole profile.

    Attributes:
        sessions: number and stretch of each.
        per_point: how many timings a moment stands for.
        level_ms: the median latency over the undisturbed sessions: 0 %.
    """

    moments: tuple[Moment, ...]
    sessions: tuple[tuple[int, Span], ...]
    stops: tuple[Stop, ...]
    per_point: int
    level_ms: float


def timeline(lines: Sequence[JournalLine], slope: float) -> Timeline | None:
    """The timeline of a journal; None where the reference model was never timed.

    Args:
        lines: of the journal.
        slope: share of the reference's passing deviations that was taken off (`Analysis.slope`).

    Raises:
        UserError: the journal's times make no sense, as `drift_factors`.
    """
    timings = of_kind(lines, Timing)
    reference = [timing for timing in timings if timing.cell is None]
    if not reference:
        return None
    points = [ReferencePoint(t.session, t.at_s, condense(t.ns)) for t in reference]
    drift = drift_factors(points)
    level = float(np.median([p.latency for p in points if p.session in drift.level_sessions]))
    sessions = _side_by_side(timings)
    per_point = -(-len(points) // MOST_POINTS)
    moments = [
        Moment(
            session=p.session,
            minutes=sessions[p.session].start + p.time_s / 60,
            latency_ms=p.latency / 1e6,
            percent=100 * (p.latency / level - 1),
            corrected_percent=100
            * (
                drift.regime_factors[p.session]
                * math.exp(slope * drift.deviation(p.session, p.time_s))
                - 1
            ),
        )
        for p in points
    ]
    return Timeline(
        _thinned(moments, per_point),
        tuple(sessions.items()),
        _stops(lines, sessions),
        per_point,
        level / 1e6,
    )


def _side_by_side(timings: Sequence[Timing]) -> dict[int, Span]:
    """Where each session lies when they follow one another without gaps."""
    lengths: dict[int, float] = {}
    for timing in timings:
        lengths[timing.session] = max(lengths.get(timing.session, 0.0), timing.at_s / 60)
    spans, end = {}, 0.0
    for session in sorted(lengths):
        spans[session] = Span(end, end + lengths[session])
        end += lengths[session]
    return spans


def _thinned(moments: Sequence[Moment], per_point: int) -> tuple[Moment, ...]:
    if per_point == 1:
        return tuple(moments)
    thinned = []
    for session in dict.fromkeys(moment.session for moment in moments):
        own = [moment for moment in moments if moment.session == session]
        for start in range(0, len(own), per_point):
            thinned.append(_median(own[start : start + per_point]))
    return tuple(thinned)


def _median(some: Sequence[Moment]) -> Moment:
    columns = ("minutes", "latency_ms", "percent", "corrected_percent")
    values = [float(np.median([getattr(m, name) for m in some])) for name in columns]
    return Moment(some[0].session, *values)


def _stops(lines: Sequence[JournalLine], sessions: dict[int, Span]) -> tuple[Stop, ...]:
    """Pauses on the axis of measuring time; a journal knows the moment at which each ended."""
    starts = {line.session: _moment(line.started_at) for line in of_kind(lines, SessionLine)}
    joined = JOINED * max((span.end for span in sessions.values()), default=0.0)
    stops: list[Stop] = []
    for pause in of_kind(lines, Pause):
        span, start = sessions.get(pause.session), starts.get(pause.session)
        ended = _moment(pause.at)
        if span is None or start is None or ended is None:
            continue
        end = min(max(span.start, span.start + (ended - start) / 60), span.end)
        begin = max(span.start, end - pause.seconds / 60)
        if stops and begin - stops[-1].end <= joined:
            last = stops.pop()
            stops.append(Stop(last.start, max(last.end, end), last.count + 1, last.reasons))
        else:
            stops.append(Stop(begin, end, 1, "; ".join(pause.reasons)))
    return tuple(stops)


def _moment(text: str) -> float | None:
    """Seconds since the epoch of an ISO 8601 time; None where it is none."""
    try:
        seconds = datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) else None
