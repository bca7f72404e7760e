"""Accuracy against latency as a picture: every cell, the Pareto front, and what was chosen.

One Vega-Lite specification is both the HTML page, which carries its scripts inside and needs no
network, and the PNG.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from compofa.search.accuracy import IntArray
from compofa.search.answer import Answer, Result
from compofa.search.candidates import Candidates
from compofa.search.exact import front, ranking
from compofa.supernet.files import write_atomically

MOST_POINTS = 5000
"""Cells drawn per panel; beyond that a regular part of them, with the front and the chosen."""

MOST_LABELS = 6
"""Chosen subnets that are labelled in the picture; all are on hover."""

KINDS = ("cell", "Pareto front", "chosen")
COLOURS = ("#9db7d5", "#1f4e79", "#d9480f")

NO_EDITOR = {"source": False, "compiled": False, "editor": False}
"""The page's menu saves pictures only: the editor that it could open is a web site."""

LESS_THAN = "\ue000"
"""Stands for "<" while a specification passes into a page: no table can hold this character."""

Spec = dict[str, Any]


def write_plot(path: Path, candidates: Candidates, answer: Answer) -> None:
    """Draws the search to `path`: a page if it ends in .html, else a PNG.

    Raises:
        UserError: the file cannot be written.
    """
    import vl_convert

    spec = plot_spec(candidates, answer)
    content: bytes | str
    if path.suffix.lower() == ".html":
        content = _page(vl_convert.vegalite_to_html(_guarded(spec), bundle=True))
    else:
        content = vl_convert.vegalite_to_png(spec, scale=2)
    write_atomically(path, content, "the plot")


def _guarded(spec: Spec) -> str:
    """`spec` as JSON that cannot end the script it will stand in: names come from files."""
    return json.dumps(spec, ensure_ascii=False).replace("<", LESS_THAN)


def _page(html: str) -> str:
    page = html.replace(LESS_THAN, "\\u003c")
    return page.replace("<title>Chart</title>", "<title>Accuracy against latency</title>", 1)


def plot_spec(candidates: Candidates, answer: Answer) -> Spec:
    """The Vega-Lite specification: one panel per table."""
    panels = [_panel(candidates, answer, table) for table in range(len(candidates.tables))]
    cells = f"{len(candidates):,} cells of {candidates.space.name}"
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "title": {
            "text": "Accuracy against latency",
            "subtitle": [cells, f"Accuracy: {candidates.accuracy}"],
            "anchor": "start",
            "offset": 16,
        },
        "background": "white",
        "usermeta": {"embedOptions": {"actions": {"export": True, **NO_EDITOR}}},
        "padding": 16,
        "hconcat": panels,
        "config": {
            "font": "Helvetica, Arial, sans-serif",
            "title": {"fontSize": 20, "subtitleFontSize": 13, "subtitleColor": "#555"},
            "axis": {
                "labelFontSize": 13,
                "titleFontSize": 14,
                "titleFontWeight": "normal",
                "titlePadding": 10,
                "gridColor": "#e8e8e8",
            },
            "legend": {
                "labelFontSize": 13,
                "symbolSize": 90,
                "symbolOpacity": 1,
                "orient": "bottom",
            },
            "view": {"stroke": "#cccccc"},
        },
    }


def _panel(candidates: Candidates, answer: Answer, table: int) -> Spec:
    """Accuracy against the latencies of one table."""
    latency = candidates.latency_ms[:, table : table + 1]
    members = front(ranking(candidates.top1, latency), latency)
    chosen = _chosen(candidates, answer)
    cells = _points(candidates, table, _thinned(len(candidates)), KINDS[0])
    edge = _points(candidates, table, members, KINDS[1])
    marked = _points(candidates, table, chosen, KINDS[2])
    drawn = KINDS if marked else KINDS[:2]
    kind = {
        "field": "kind",
        "type": "nominal",
        "scale": {"domain": list(drawn), "range": list(COLOURS[: len(drawn)])},
        "legend": {"title": None},
    }
    position = {
        "x": _axis("latency_ms", f"Latency on {candidates.tables[table].device} (ms)"),
        "y": _axis("top1_percent", "ImageNet top-1 accuracy (%)"),
    }
    dots = {**position, "color": kind, "tooltip": _tooltip()}
    layers: list[Spec] = [
        {"data": {"values": cells}, "mark": _dot(28, 0.55), "encoding": dots},
        {
            "data": {"values": edge},
            "mark": {"type": "line", "interpolate": "step-after", "strokeWidth": 2},
            "encoding": {**position, "color": kind},
        },
        {"data": {"values": edge}, "mark": _dot(45, 1), "encoding": dots},
    ]
    if marked:
        layers.append(_limit_rules(answer, table))
        layers.append({"data": {"values": marked}, "mark": _diamond(), "encoding": dots})
        layers += _labels(marked[:MOST_LABELS], position)
    return {"width": 620 if len(candidates.tables) == 1 else 480, "height": 420, "layer": layers}


def _chosen(candidates: Candidates, answer: Answer) -> IntArray:
    """The candidates that answer the questions: the best of each."""
    position = {cell: i for i, cell in enumerate(candidates.cells)}
    best: dict[tuple[float | None, ...], Result] = {}
    for found in answer.results:
        if found.limit_ms:
            best.setdefault(found.limit_ms, found)
    keys = {(each.subnet, each.resolution, each.batch_size) for each in best.values()}
    here = [
        i for cell, i in position.items() if (cell.subnet, cell.resolution, cell.batch_size) in keys
    ]
    return np.array(here, dtype=np.int64)


def _thinned(n: int) -> IntArray:
    step = -(-n // MOST_POINTS)
    return np.arange(0, n, max(step, 1))


def _points(candidates: Candidates, table: int, which: IntArray, kind: str) -> list[Spec]:
    """The data of some candidates, with what is shown on hover."""
    found = []
    for i in which.tolist():
        cell, row = candidates.cells[i], candidates.rows[table][i]
        low, high = row.ci_low_ms, row.ci_high_ms
        interval = "none" if low is None or high is None else f"{low:.3f} to {high:.3f} ms"
        found.append(
            {
                "kind": kind,
                "subnet": cell.subnet,
                "resolution": cell.resolution,
                "batch_size": cell.batch_size,
                "top1_percent": round(100 * float(candidates.top1[i]), 4),
                "latency_ms": float(candidates.latency_ms[i, table]),
                "interval": interval,
                "basis": row.source if row.status == "ok" else f"{row.source}, {row.status}",
            }
        )
    return found


def _tooltip() -> list[Spec]:
    titles = {
        "subnet": "subnet",
        "resolution": "resolution",
        "batch_size": "batch size",
        "top1_percent": "top-1 (%)",
        "latency_ms": "latency (ms)",
        "interval": "interval",
        "basis": "latency is",
    }
    formats = {"top1_percent": ".2f", "latency_ms": ".3f"}
    return [
        {"field": field, "title": title}
        | ({"type": "quantitative", "format": formats[field]} if field in formats else {})
        for field, title in titles.items()
    ]


def _axis(field: str, title: str) -> Spec:
    return {
        "field": field,
        "type": "quantitative",
        "title": title,
        "scale": {"zero": False, "nice": True},
    }


def _dot(size: int, opacity: float) -> Spec:
    return {"type": "circle", "size": size, "opacity": opacity}


def _diamond() -> Spec:
    return {
        "type": "point",
        "shape": "diamond",
        "filled": True,
        "size": 220,
        "opacity": 1,
        "stroke": "white",
        "strokeWidth": 1.5,
    }


def _limit_rules(answer: Answer, table: int) -> Spec:
    """A dashed line at each limit that was met."""
    limits = dict.fromkeys(each.limit_ms[table] for each in answer.results if each.limit_ms)
    values = [{"limit_ms": limit} for limit in limits if limit is not None]
    return {
        "data": {"values": values},
        "mark": {"type": "rule", "strokeDash": [5, 4], "color": COLOURS[2], "opacity": 0.7},
        "encoding": {"x": {"field": "limit_ms", "type": "quantitative"}},
    }


def _labels(marked: list[Spec], position: Spec) -> list[Spec]:
    """The names of chosen subnets, below and right of their points: above them is the front."""
    values = [{**each, "label": f"{each['subnet']} at {each['resolution']}"} for each in marked]
    text = {"type": "text", "align": "left", "dx": 10, "dy": 14, "fontSize": 13}
    halo = {"stroke": "white", "strokeWidth": 4, "strokeOpacity": 0.8}
    return [
        {
            "data": {"values": values},
            "mark": {**text, "fontWeight": "bold", **paint},
            "encoding": {**position, "text": {"field": "label"}},
        }
        for paint in (halo, {"color": COLOURS[2]})
    ]
