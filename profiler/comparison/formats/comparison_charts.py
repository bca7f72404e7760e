"""The pictures of a comparison: the front before and after, and how the cells moved."""

from __future__ import annotations

import math
from collections import Counter

from compofa.profiler.comparison.changes import Changes
from compofa.profiler.comparison.front import FrontChange
from compofa.profiler.comparison.wording import cell_name
from compofa.profiler.report.chart_parts import axis, chart, hover, kind_colour, short
from compofa.profiler.report.style import Spec
from compofa.profiler.statistics.compare import Verdict

BASE, NEW = "base", "now"

MOST_RATIOS = 40
"""Models of the picture of ratios, those first that became slowest."""

MOST_BINS = 60
"""Bars of the picture of changes."""

NARROWEST_BIN = 0.5
"""In percent: no comparison is more exact than that."""

KINDS = {Verdict.FASTER: "faster", Verdict.SLOWER: "slower"}
OTHERS = "same, or cannot tell"


def fronts(change: FrontChange) -> Spec:
    """Accuracy within a latency, before and after, as steps."""
    values = [
        {"kind": kind, "latency": short(ms), "top1": short(100 * top1)}
        for kind, points in ((BASE, change.base), (NEW, change.new))
        for ms, top1 in points
    ]
    name = "predicted top-1" if change.predicted else "top-1 accuracy"
    encoding = {
        "x": axis("latency", "latency, ms"),
        "y": axis("top1", f"{name}, %"),
        "color": kind_colour(BASE, NEW),
    }
    tooltip = [
        hover("kind", "front"),
        hover("latency", "latency, ms", ".3f"),
        hover("top1", f"{name}, %", ".2f"),
    ]
    line = {"type": "line", "interpolate": "step-after", "strokeWidth": 2}
    dot = {"type": "circle", "size": 40, "opacity": 1}
    return chart(
        [
            {"mark": line, "encoding": encoding},
            {"mark": dot, "encoding": {**encoding, "tooltip": tooltip}},
        ],
        values,
    )


def moves(changes: Changes) -> Spec:
    """How many cells changed by how much, in percent."""
    percent = [100 * (each.ratio.value - 1) for each in changes.cells]
    width = _bin_width(max(percent) - min(percent))
    counts = Counter(
        (math.floor(value / width), KINDS.get(each.ratio.verdict, OTHERS))
        for value, each in zip(percent, changes.cells, strict=True)
    )
    values = [
        {"kind": kind, "low": short(k * width), "high": short((k + 1) * width), "cells": cells}
        for (k, kind), cells in sorted(counts.items())
    ]
    colour = {
        "field": "kind",
        "type": "nominal",
        "scale": {"domain": ["faster", "slower", OTHERS]},
        "legend": {"title": None, "symbolType": "square"},
    }
    # As wide as the changes that do not count, at least: noise must not look like something.
    least = 200 * changes.min_effect
    ends = [min(-least, *percent), max(least, *percent)]
    encoding = {
        "x": {**axis("low", "change of latency, %", domain=ends), "bin": {"binned": True}},
        "x2": {"field": "high"},
        "y": axis("cells", "cells", zero=True),
        "color": colour,
        "tooltip": [
            hover("kind", "verdict"),
            hover("low", "from, %", "+.1f"),
            hover("high", "to, %", "+.1f"),
            hover("cells", "cells", "d"),
        ],
    }
    return chart([{"mark": {"type": "bar"}, "encoding": encoding}], values)


def ratios(changes: Changes) -> Spec:
    """The change of each cell with its interval, in percent, and what does not count."""
    values = [
        {
            "cell": cell_name(each.cell),
            "kind": KINDS.get(each.ratio.verdict, OTHERS),
            "change": short(100 * (each.ratio.value - 1)),
            "low": short(100 * (each.ratio.low - 1)),
            "high": short(100 * (each.ratio.high - 1)),
        }
        for each in changes.cells[:MOST_RATIOS]
        if math.isfinite(each.ratio.high)
    ]
    least = 100 * changes.min_effect
    reach = [100 * (end - 1) for e in changes.cells for end in (e.ratio.low, e.ratio.high)]
    known = [end for end in reach if math.isfinite(end) and end > -100]
    ends = [min([-1.5 * least, 0.0, *known]), max([1.5 * least, 0.0, *known])]
    colour = {
        "field": "kind",
        "type": "nominal",
        "scale": {"domain": ["faster", "slower", OTHERS]},
        "legend": {"title": None, "symbolType": "circle"},
    }
    where = {"y": {"field": "cell", "type": "nominal", "title": None, "sort": None}}
    encoding = {
        **where,
        "x": axis("change", "change of latency, %", domain=ends),
        "color": colour,
        "tooltip": [
            hover("cell", "model"),
            hover("kind", "verdict"),
            hover("change", "change, %", "+.2f"),
            hover("low", "from, %", "+.2f"),
            hover("high", "to, %", "+.2f"),
        ],
    }
    span = {
        **where,
        "x": axis("low", "change of latency, %", domain=ends),
        "x2": {"field": "high"},
        "color": colour,
    }
    bounds = [
        {
            "mark": {"type": "rule", "strokeDash": [4, 4], "opacity": 0.5},
            "encoding": {"x": {"datum": bound}},
        }
        for bound in (-least, least)
    ]
    return chart(
        [
            *bounds,
            {"mark": {"type": "rule", "strokeWidth": 3}, "encoding": span},
            {"mark": {"type": "circle", "size": 90, "opacity": 1}, "encoding": encoding},
        ],
        values,
    )


def _bin_width(span: float) -> float:
    """In percent: a half, one, two, four and so on, so that there are not too many bars."""
    width = NARROWEST_BIN
    while span / width > MOST_BINS:
        width *= 2
    return width
