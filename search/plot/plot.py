"""Draws accuracy against latency: all cells, the Pareto front, and the chosen subnets.

Below, the chosen subnets are drawn unit by unit. Pointing at a subnet in one panel marks it in all.
For a device of the CompOFA paper, its published points are drawn too. The HTML page and the PNG are
made from the same Vega-Lite specification; the page contains its scripts and needs no network.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from compofa.common.arrays import IntArray
from compofa.common.files import write_atomically
from compofa.profiler.models.collection.collection import Collection
from compofa.profiler.report.style import Spec
from compofa.search.answer import Answer, Result
from compofa.search.candidates import Candidates
from compofa.search.exact import front, ranking
from compofa.search.plot.drawing import Drawn, drawing
from compofa.search.plot.published import published_for

MOST_POINTS = 5000
"""The most cells drawn per panel. Of more, every k-th is drawn, and the front and the chosen ones.
"""

MOST_LABELS = 6
"""The most chosen subnets that have a label. All show their names when the pointer is on them."""

KINDS = {
    "cell": "#9db7d5",
    "Pareto front": "#1f4e79",
    "chosen": "#d9480f",
    "full network": "#2b8a3e",
    "OFA (published)": "#868e96",
    "CompOFA (published)": "#9c36b5",
    "CompOFA elastic (published)": "#d477e8",
}
"""The kinds of points, and their colours."""

CELL, FRONT, CHOSEN, FULL = list(KINDS)[:4]

POINTED_AT = "pointed_at"
"""The selection of the subnet that the pointer is on."""

NO_EDITOR = {"source": False, "compiled": False, "editor": False}
"""The page's menu only saves pictures. Vega's online editor would send the data to a web site."""

LESS_THAN = "\ue000"
"""Stands for "<" while a specification is put into a page. No table can contain this character."""


def write_plot(path: Path, candidates: Candidates, answer: Answer) -> None:
    """Draws the candidates and the answer into a file: a page if it ends in .html, else a PNG.

    Raises:
        UserError: the file cannot be written.
    """
    import vl_convert

    spec = plot_spec(candidates, answer)
    content: bytes | str
    if path.suffix.lower() == ".html":
        content = _page(vl_convert.vegalite_to_html(_guarded(spec), bundle=True, renderer="svg"))
    else:
        content = vl_convert.vegalite_to_png(spec, scale=2)
    write_atomically(path, content, "the plot")


def _guarded(spec: Spec) -> str:
    """`spec` as JSON that cannot end the script element around it.

    Names in tables may contain "</script>".
    """
    return json.dumps(spec, ensure_ascii=False).replace("<", LESS_THAN)


def _page(html: str) -> str:
    page = html.replace(LESS_THAN, "\\u003c")
    return page.replace("<title>Chart</title>", "<title>Accuracy against latency</title>", 1)


def plot_spec(candidates: Candidates, answer: Answer) -> Spec:
    """The Vega-Lite specification of the plot, with one panel per table."""
    tables = range(len(candidates.tables))
    panels = [_panel(candidates, answer, table) for table in tables]
    drawn = _drawn(candidates, answer)
    parts: list[Spec] = [{"hconcat": panels}]
    if drawn and not isinstance(candidates.space, Collection):
        width = sum(panel["width"] for panel in panels) + 60 * (len(panels) - 1)
        parts.append(drawing(candidates.space, drawn, min(width, 760), "subnet_"))
    views = [*(f"panel_{table}" for table in tables), *(f"subnet_{i}" for i in range(len(drawn)))]
    pointing = {"type": "point", "fields": ["subnet", "resolution"], "on": "pointerover"}
    subtitle = [
        f"{len(candidates):,} cells of {candidates.space.name}",
        f"Accuracy: {candidates.accuracy}",
    ]
    if any(published_for(table.device) for table in candidates.tables):
        subtitle.append("Published points: accuracy on ImageNet's validation set, not predicted")
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "title": {
            "text": "Accuracy against latency",
            "subtitle": subtitle,
            "anchor": "start",
            "offset": 16,
        },
        "background": "white",
        "usermeta": {"embedOptions": {"actions": {"export": True, **NO_EDITOR}}},
        "padding": 16,
        "params": [{"name": POINTED_AT, "select": pointing, "views": views}],
        "vconcat": parts,
        "spacing": 30,
        "resolve": {"scale": {"color": "independent"}},
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
                "labelLimit": 0,
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
    cells = _points(candidates, table, _thinned(len(candidates)), CELL)
    edge = _points(candidates, table, members, FRONT)
    marked = _points(candidates, table, chosen, CHOSEN)
    full = _points(candidates, table, _full_network(candidates), FULL)
    published = _published(candidates.tables[table].device)
    shown = {point["kind"] for point in (*cells, *edge, *marked, *full, *published)}
    known = [name for name in KINDS if name in shown]
    kind = {
        "field": "kind",
        "type": "nominal",
        "scale": {"domain": known, "range": [KINDS[name] for name in known]},
        "legend": {"title": None, "columns": 4},
    }
    position = {
        "x": _axis("latency_ms", f"Latency on {candidates.tables[table].device} (ms)"),
        "y": _axis("top1_percent", _accuracy_title(candidates)),
    }
    dots = {**position, "color": kind, "tooltip": _tooltip(candidates)}
    layers: list[Spec] = [
        {
            "name": f"panel_{table}",
            "data": {"values": cells},
            "mark": _dot(28, 0.55),
            "encoding": dots,
        },
        {
            "data": {"values": edge},
            "mark": {"type": "line", "interpolate": "step-after", "strokeWidth": 2},
            "encoding": {**position, "color": kind},
        },
        {"data": {"values": edge}, "mark": _dot(45, 1), "encoding": dots},
        {"data": {"values": full}, "mark": _mark("square", 130), "encoding": dots},
        _ring([*cells, *edge, *marked], position),
    ]
    if published:
        layers.append({"data": {"values": published}, "mark": _cross(), "encoding": dots})
    if marked:
        layers.append(_limit_rules(answer, table))
        layers.append({"data": {"values": marked}, "mark": _mark("diamond", 220), "encoding": dots})
        layers += _labels(marked[:MOST_LABELS], position)
    return {"width": 620 if len(candidates.tables) == 1 else 480, "height": 420, "layer": layers}


def _accuracy_title(candidates: Candidates) -> str:
    if not candidates.metric.is_share:
        return candidates.top1_name
    return "Predicted top-1 (%)" if candidates.predicted else "Top-1 accuracy (%)"


def _chosen(candidates: Candidates, answer: Answer) -> IntArray:
    """The positions of the candidates that are the best answer to a question."""
    position = {cell: i for i, cell in enumerate(candidates.cells)}
    best: dict[tuple[float | None, ...], Result] = {}
    for result in answer.results:
        if result.limit_ms:
            # For each question, the best result comes first.
            best.setdefault(result.limit_ms, result)
    keys = {(each.subnet, each.resolution, each.batch_size) for each in best.values()}
    here = [
        i for cell, i in position.items() if (cell.subnet, cell.resolution, cell.batch_size) in keys
    ]
    return np.array(here, dtype=np.int64)


def _thinned(n: int) -> IntArray:
    step = -(-n // MOST_POINTS)
    return np.arange(0, n, max(step, 1))


def _points(candidates: Candidates, table: int, which: IntArray, kind: str) -> list[Spec]:
    """The data of some candidates, with the texts that are shown when the pointer is on them."""
    points = []
    for i in which.tolist():
        cell, row = candidates.cells[i], candidates.rows[table][i]
        low, high = row.ci_low_ms, row.ci_high_ms
        interval = "none" if low is None or high is None else f"{low:.3f} to {high:.3f} ms"
        points.append(
            {
                "kind": kind,
                "subnet": cell.subnet,
                "resolution": cell.resolution,
                "batch_size": cell.batch_size,
                "top1_percent": _percent(candidates, i),
                "latency_ms": float(candidates.latency_ms[i, table]),
                "interval": interval,
                "basis": row.source if row.status == "ok" else f"{row.source}, {row.status}",
            }
        )
    return points


def _percent(candidates: Candidates, index: int) -> float:
    """An accuracy as the axis has it: in percent, or in units of the metric."""
    value = float(candidates.top1[index])
    return round(100 * value, 4) if candidates.metric.is_share else value


def _tooltip(candidates: Candidates) -> list[Spec]:
    titles = {
        "subnet": candidates.noun,
        "resolution": "resolution",
        "batch_size": "batch size",
        "top1_percent": f"{candidates.top1_name}{' (%)' if candidates.metric.is_share else ''}",
        "latency_ms": "latency (ms)",
        "interval": "interval",
        "basis": "latency is",
    }
    accuracy = ".2f" if candidates.metric.is_share else ".5~g"
    formats = {"top1_percent": accuracy, "latency_ms": ".3f"}
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


def _mark(shape: str, size: int) -> Spec:
    return {
        "type": "point",
        "shape": shape,
        "filled": True,
        "size": size,
        "opacity": 1,
        "stroke": "white",
        "strokeWidth": 1.5,
    }


def _cross() -> Spec:
    return {"type": "point", "shape": "cross", "filled": True, "size": 80, "opacity": 1}


def _ring(points: list[Spec], position: Spec) -> Spec:
    """A ring around the subnet that the pointer is on, in any panel."""
    return {
        "data": {"values": points},
        "transform": [{"filter": {"param": POINTED_AT, "empty": False}}],
        "mark": {"type": "point", "size": 300, "stroke": KINDS[CHOSEN], "strokeWidth": 2.5},
        "encoding": position,
    }


def _full_network(candidates: Candidates) -> IntArray:
    """The position of the largest subnet at its highest resolution; empty if not a candidate."""
    if isinstance(candidates.space, Collection):
        return np.array([], dtype=np.int64)
    key = candidates.space.key(candidates.space.extreme(True))
    sizes = [cell.resolution for cell in candidates.cells if cell.subnet == key]
    here = [
        i
        for i, cell in enumerate(candidates.cells)
        if cell.subnet == key and cell.resolution == max(sizes)
    ]
    return np.array(here, dtype=np.int64)


def _published(device: str) -> list[Spec]:
    """The points that the CompOFA paper has for this device."""
    return [
        {
            "kind": f"{point.method} (published)",
            "subnet": f"{point.method}, read off the paper's figure",
            "top1_percent": point.top1_percent,
            "latency_ms": point.latency_ms,
            "interval": "none",
            "basis": "published",
        }
        for point in published_for(device)
    ]


def _drawn(candidates: Candidates, answer: Answer) -> list[Drawn]:
    """The chosen subnets, then the full network for comparison; empty if none was chosen."""
    if isinstance(candidates.space, Collection):
        return []
    chosen = [
        Drawn(
            cell.subnet,
            cell.resolution,
            candidates.subnets[cell.subnet],
            f"{cell.subnet} at {cell.resolution}: {100 * candidates.top1[i]:.2f} % "
            f"{candidates.top1_name}, "
            + ", ".join(f"{ms:.2f} ms" for ms in candidates.latency_ms[i]),
        )
        for i in _chosen(candidates, answer)[:MOST_LABELS].tolist()
        for cell in [candidates.cells[i]]
    ]
    if not chosen:
        return []
    full = candidates.space.extreme(True)
    key, size = candidates.space.key(full), max(cell.resolution for cell in candidates.cells)
    return [*chosen, Drawn(key, size, full, f"full network: {key}")]


def _limit_rules(answer: Answer, table: int) -> Spec:
    """A dashed line at each limit that a result meets."""
    limits = dict.fromkeys(each.limit_ms[table] for each in answer.results if each.limit_ms)
    values = [{"limit_ms": limit} for limit in limits if limit is not None]
    return {
        "data": {"values": values},
        "mark": {"type": "rule", "strokeDash": [5, 4], "color": KINDS[CHOSEN], "opacity": 0.7},
        "encoding": {"x": {"field": "limit_ms", "type": "quantitative"}},
    }


def _labels(marked: list[Spec], position: Spec) -> list[Spec]:
    """The names of chosen subnets, below and to the right of their points, off the front's line."""
    values = [{**each, "label": f"{each['subnet']} at {each['resolution']}"} for each in marked]
    text = {"type": "text", "align": "left", "dx": 10, "dy": 14, "fontSize": 13}
    halo = {"stroke": "white", "strokeWidth": 4, "strokeOpacity": 0.8}
    return [
        {
            "data": {"values": values},
            "mark": {**text, "fontWeight": "bold", **paint},
            "encoding": {**position, "text": {"field": "label"}},
        }
        for paint in (halo, {"color": KINDS[CHOSEN]})
    ]
