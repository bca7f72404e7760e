"""A history as one page: what changed when, all cells together over time, and each cell's line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compofa.common.arrays import FloatArray
from compofa.profiler.comparison.wording import cell_name, percent
from compofa.profiler.history.history_sentences import entry_name, event_sentence
from compofa.profiler.history.trend import Cause, Trend
from compofa.profiler.report.chart_parts import axis, chart, hover, kind_colour, short
from compofa.profiler.report.offline import offline_page, page_part
from compofa.profiler.report.remarks import count
from compofa.profiler.report.style import Spec
from compofa.profiler.results.table import Cell

MOST_CELLS = 300
"""Cells of a set-up that have a line, those first that changed most."""

MOST_POINTS = 200
"""Profiles in a cell's line, the latest."""

WIDTH, HEIGHT = 160, 26
"""Of a cell's line, in pixels."""

CELLS, REFERENCE = "all cells together", "the reference model"

GRADES = {
    Cause.CODE: "poor",
    Cause.DEVICE: "fair",
    Cause.SETUP: "fair",
    Cause.UNKNOWN: "fair",
}


@dataclass(frozen=True)
class CellLine:
    """One cell: its latest latency, its change since the first profile, and its points to draw.

    Attributes:
        points: of an SVG polyline.
        marks: the places of its changes, as (x, y).
    """

    name: str
    latest_ms: str
    change: str
    points: str
    marks: tuple[tuple[float, float], ...]
    sentence: str


@dataclass(frozen=True)
class Happened:
    """An event, as the page tells it."""

    entry: str
    cause: str
    grade: str
    sentence: str


@dataclass(frozen=True)
class CellPanel:
    """What the page says of one set-up."""

    title: str
    subtitle: str
    events: tuple[Happened, ...]
    lines: tuple[CellLine, ...]
    left_out: int


def render_history_page(trends: Sequence[Trend]) -> str:
    """The page."""
    return offline_page(
        page_part(__package__, "page.html"),
        {f"chart-{number}": _overview(trend) for number, trend in enumerate(trends)},
        title="Latency over time",
        panels=[_panel(trend) for trend in trends],
        width=WIDTH,
        height=HEIGHT,
    )


def _panel(trend: Trend) -> CellPanel:
    cells = sorted(trend.latency_ms, key=lambda cell: -abs(math.log(trend.change(cell))))
    first, last = trend.entries[0], trend.entries[-1]
    return CellPanel(
        title=trend.name,
        subtitle=f"{count(len(trend.entries), 'profile')}, "
        f"{entry_name(first)} to {entry_name(last)}",
        events=tuple(
            Happened(
                entry_name(trend.entries[event.position]),
                event.cause.value,
                GRADES[event.cause],
                event_sentence(event),
            )
            for event in reversed(trend.events)
        ),
        lines=tuple(_line(trend, cell) for cell in cells[:MOST_CELLS]),
        left_out=max(len(cells) - MOST_CELLS, 0),
    )


def _overview(trend: Trend) -> Spec:
    """The mean cell and the reference model over the profiles, in percent of the first."""
    values = [
        {
            "kind": kind,
            "profile": position + 1,
            "commit": entry_name(trend.entries[position]),
            "percent": short(100 * math.expm1(float(log))),
        }
        for kind, logs in ((CELLS, _mean_cell(trend)), (REFERENCE, np.log(trend.reference_ms)))
        for position, log in enumerate(logs - _first(logs))
        if math.isfinite(log)
    ]
    encoding = {
        "x": {**axis("profile", "profile", nice=False), "axis": {"tickMinStep": 1}},
        "y": axis("percent", "change since the first profile, %"),
        "color": kind_colour(CELLS, REFERENCE),
    }
    tooltip = [
        hover("kind", "of"),
        hover("commit", "commit"),
        hover("percent", "change, %", "+.2f"),
    ]
    return chart(
        [
            {"mark": {"type": "line", "strokeWidth": 2}, "encoding": encoding},
            {
                "mark": {"type": "circle", "size": 50, "opacity": 1},
                "encoding": {**encoding, "tooltip": tooltip},
            },
        ],
        values,
        height=260,
    )


def _mean_cell(trend: Trend) -> FloatArray:
    """The mean step of the cells that neighbouring profiles share, added up: raw log latencies."""
    logs = np.log(np.array(list(trend.latency_ms.values())))
    steps = np.diff(logs, axis=1)
    known = np.isfinite(steps)
    total = np.where(known, steps, 0.0).sum(axis=0)
    mean = np.divide(total, known.sum(axis=0), out=np.zeros_like(total), where=known.any(axis=0))
    return np.concatenate([[0.0], np.cumsum(mean)])


def _first(logs: FloatArray) -> float:
    known = logs[np.isfinite(logs)]
    return float(known[0]) if known.size else 0.0


def _line(trend: Trend, cell: Cell) -> CellLine:
    absolute = trend.latency_ms[cell]
    known = np.flatnonzero(np.isfinite(absolute))[-MOST_POINTS:]
    logs = trend.beside_reference[cell]
    places = dict(zip(known.tolist(), _places(known, logs[known], absolute.size), strict=True))
    changes = [
        (event, moved.ratio)
        for event in trend.events
        for moved in event.moved
        if moved.cell == cell
    ]
    return CellLine(
        name=cell_name(cell),
        latest_ms=f"{absolute[known[-1]]:.3f}",
        change=percent(trend.change(cell)),
        points=" ".join(f"{x:g},{y:g}" for x, y in places.values()),
        marks=tuple(places[event.position] for event, _ in changes if event.position in places),
        sentence="; ".join(
            f"{percent(ratio)} at {entry_name(trend.entries[event.position])}: {event.cause.value}"
            for event, ratio in changes
        ),
    )


def _places(positions: np.ndarray, logs: FloatArray, n: int) -> list[tuple[float, float]]:
    """Where profiles lie in a line's picture, which is at least 10 % high."""
    middle = float(logs.max() + logs.min()) / 2
    span = max(float(np.ptp(logs)), 0.1)
    xs = 3 + (WIDTH - 6) * positions / max(n - 1, 1)
    ys = HEIGHT / 2 - (HEIGHT - 6) * (logs - middle) / span
    return [(round(float(x), 1), round(float(y), 1)) for x, y in zip(xs, ys, strict=True)]
