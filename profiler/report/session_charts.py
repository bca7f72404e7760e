"""Pictures of what sessions and time do, as Vega-Lite specifications with their data inside."""

from __future__ import annotations

from compofa.profiler.report.chart_parts import (
    axis,
    cell_tooltip,
    chart,
    dots,
    hover,
    kind_colour,
    named,
    short,
    zero_line,
)
from compofa.profiler.report.scatter import Scatter
from compofa.profiler.report.style import Spec
from compofa.profiler.report.timeline import Timeline

SPREAD = 0.38
"""Half the width of a session's column, where sessions are 1 apart."""

GOLDEN = 0.618034
"""Multiples of the golden ratio, modulo 1, fill an interval most evenly."""

MOST_TICKS = 20
"""Sessions labelled on an axis."""

USUAL, OUTLIER = "usual", "outlier"


def drift(line: Timeline) -> Spec:
    """The reference model over time: dots as timed, a line for what latencies were divided by."""
    values = [
        {
            "session": each.session,
            "minutes": short(each.minutes, 6),
            "raw": short(each.percent),
            "corrected": short(each.corrected_percent),
            "ms": short(each.latency_ms),
        }
        for each in line.moments
    ]
    x = axis("minutes", "measuring time (minutes), sessions side by side", nice=False)
    y = axis("raw", "reference model, from its usual latency (%)")
    timed = {"x": x, "y": y, "tooltip": _drift_tooltip()}
    corrected = {"x": x, "y": {**y, "field": "corrected"}, "detail": {"field": "session"}}
    layers = [
        _session_starts(line, x),
        zero_line(),
        {
            "mark": {"type": "circle", "style": "usual", "size": 22, "opacity": 0.75},
            "encoding": timed,
        },
        {"mark": {"type": "line", "style": "accent", "strokeWidth": 2}, "encoding": corrected},
    ]
    return chart(layers + ([_pauses(line, x)] if line.stops else []), values)


def _drift_tooltip() -> list[Spec]:
    return [
        hover("session", "session"),
        hover("minutes", "minutes", ".2f"),
        hover("ms", "reference model (ms)", ".4f"),
        hover("raw", "as timed (%)", "+.1f"),
        hover("corrected", "divided out (%)", "+.1f"),
    ]


def _session_starts(line: Timeline, x: Spec) -> Spec:
    values = [{"start": short(span.start, 6), "session": n} for n, span in line.sessions]
    return {
        "data": {"values": values},
        "mark": {"type": "rule", "style": "faint", "opacity": 0.5},
        "encoding": {"x": {**x, "field": "start"}, "tooltip": [hover("session", "session")]},
    }


def _pauses(line: Timeline, x: Spec) -> Spec:
    values = [
        {
            "start": short(stop.start, 6),
            "end": short(stop.end, 6),
            "count": stop.count,
            "reasons": stop.reasons,
        }
        for stop in line.stops
    ]
    return {
        "data": {"values": values},
        "mark": {"type": "rule", "style": "accent", "strokeWidth": 5, "strokeCap": "round"},
        "encoding": {
            "x": {**x, "field": "start"},
            "x2": {"field": "end"},
            "y": {"value": {"expr": "height - 4"}},
            "tooltip": [hover("count", "disturbances"), hover("reasons", "first reason")],
        },
    }


def session_scatter(spread: Scatter) -> Spec:
    """A column of dots per session, one a cell, over the middle half of the session's cells."""
    numbers = [each.session for each in spread.sessions]
    places = {number: place for place, number in enumerate(numbers)}
    values = [
        {
            **named(each.cell),
            "session": each.session,
            "place": short(places[each.session] + SPREAD * _jitter(i)),
            "off": short(each.percent),
            "kind": OUTLIER if each.outlier else USUAL,
        }
        for i, each in enumerate(spread.shown)
    ]
    x = axis("place", "session", domain=[-0.5, len(numbers) - 0.5], nice=False)
    ticks = list(range(0, len(numbers), -(-len(numbers) // MOST_TICKS)))
    x["axis"] = {"values": ticks, "grid": False, "labelExpr": f"{numbers}[datum.value]"}
    y = axis("off", "from the cell's estimate (%)")
    box, median = _boxes(spread, x, y)
    tooltip = [
        *cell_tooltip(),
        hover("session", "session"),
        hover("off", "from its estimate (%)", "+.1f"),
    ]
    cells = dots({"x": x, "y": y}, kind_colour(USUAL, OUTLIER), tooltip, size=26)
    return chart([box, zero_line(), cells, median], values)


def _boxes(spread: Scatter, x: Spec, y: Spec) -> tuple[Spec, Spec]:
    """Per session, a box around the middle half of its cells, and a bar at their median."""
    values = [
        {
            "session": each.session,
            "left": place - SPREAD,
            "right": place + SPREAD,
            "low": short(each.low),
            "middle": short(each.middle),
            "high": short(each.high),
            "n": each.n,
        }
        for place, each in enumerate(spread.sessions)
    ]
    tooltip = [
        hover("session", "session"),
        hover("n", "cells"),
        hover("middle", "median (%)", "+.1f"),
        hover("low", "a quarter are below (%)", "+.1f"),
        hover("high", "a quarter are above (%)", "+.1f"),
    ]
    wide: Spec = {"x": {**x, "field": "left"}, "x2": {"field": "right"}, "tooltip": tooltip}
    box = {
        "data": {"values": values},
        "mark": {"type": "rect", "style": "soft", "opacity": 0.45},
        "encoding": {**wide, "y": {**y, "field": "low"}, "y2": {"field": "high"}},
    }
    median = {
        "data": {"values": values},
        "mark": {"type": "rule", "style": "usual", "strokeWidth": 3},
        "encoding": {**wide, "y": {**y, "field": "middle"}},
    }
    return box, median


def _jitter(i: int) -> float:
    """Places from -1 to 1 that spread evenly, and are the same for the same data."""
    return i * GOLDEN % 1 * 2 - 1
