"""Pictures of how good predictions are, as Vega-Lite specifications with their data inside."""

from __future__ import annotations

from collections.abc import Sequence

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
from compofa.profiler.report.judgement import Judged
from compofa.profiler.report.style import Spec

INSIDE, OUTSIDE = "inside its interval", "outside"


def measured_against_predicted(cells: Sequence[Judged]) -> Spec:
    """Held-out cells: predicted and measured latency with both intervals, and the diagonal."""
    lows = [min(each.predicted_low_ms, each.measured_ms) for each in cells]
    highs = [max(each.predicted_high_ms, each.measured_ms) for each in cells]
    ends = [short(min(lows)), short(max(highs))]
    corners = [{"at": end} for end in ends]
    x = axis("predicted", "predicted latency (ms)", domain=ends)
    y = axis("measured", "measured latency (ms)", domain=ends)
    diagonal: Spec = {
        "data": {"values": corners},
        "mark": {"type": "line", "style": "faint", "strokeDash": [5, 4]},
        "encoding": {"x": {**x, "field": "at"}, "y": {**y, "field": "at"}},
    }
    predicted = {"x": {**x, "field": "low"}, "x2": {"field": "high"}, "y": y}
    measured = {"y": {**y, "field": "least"}, "y2": {"field": "most"}, "x": x}
    layers = [
        diagonal,
        {"mark": _whisker(), "encoding": {**predicted, "color": kind_colour(INSIDE, OUTSIDE)}},
        {"mark": _whisker(), "encoding": {**measured, "color": kind_colour(INSIDE, OUTSIDE)}},
        dots({"x": x, "y": y}, kind_colour(INSIDE, OUTSIDE), _judged_tooltip()),
    ]
    return chart(layers, [{**_judged(each), **_whiskers(each)} for each in cells])


def residuals(cells: Sequence[Judged]) -> Spec:
    """Errors of predictions in percent against latency, with the band that intervals promise."""
    x = axis("predicted", "predicted latency (ms)")
    y = axis("error", "error of the prediction (%)")
    layers: list[Spec] = [
        {
            "mark": {"type": "area", "style": "soft", "opacity": 0.35},
            "encoding": {"x": x, "y": {**y, "field": "from"}, "y2": {"field": "to"}},
        },
        zero_line(),
        dots({"x": x, "y": y}, kind_colour(INSIDE, OUTSIDE), _judged_tooltip()),
    ]
    return chart(layers, [{**_judged(each), **_band(each)} for each in cells])


def _judged(each: Judged) -> Spec:
    return {
        **named(each.cell),
        "predicted": short(each.predicted_ms),
        "low": short(each.predicted_low_ms),
        "high": short(each.predicted_high_ms),
        "measured": short(each.measured_ms),
        "error": short(each.error_percent),
        "kind": INSIDE if each.inside else OUTSIDE,
    }


def _whiskers(each: Judged) -> Spec:
    """The measurement's interval; no length where it has none."""
    return {
        "least": short(each.low_ms or each.measured_ms),
        "most": short(each.high_ms or each.measured_ms),
    }


def _band(each: Judged) -> Spec:
    """Errors in percent at which the measurement would be at the ends of its interval."""
    return {
        "from": short(100 * (each.predicted_ms / each.predicted_high_ms - 1)),
        "to": short(100 * (each.predicted_ms / each.predicted_low_ms - 1)),
    }


def _judged_tooltip() -> list[Spec]:
    return [
        *cell_tooltip(),
        hover("predicted", "predicted (ms)", ".3f"),
        hover("low", "from (ms)", ".3f"),
        hover("high", "to (ms)", ".3f"),
        hover("measured", "measured (ms)", ".3f"),
        hover("error", "error (%)", "+.1f"),
    ]


def _whisker() -> Spec:
    return {"type": "rule", "opacity": 0.45, "clip": True}
