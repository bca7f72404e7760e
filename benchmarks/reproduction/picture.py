"""The results as a picture: fronts of accuracy against latency, and what training cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reproduction.summary import MEASURES, OWN_FRONT

from compofa.common.files import write_atomically

COLOURS = {
    "progressive": "#868e96",
    OWN_FRONT: "#212529",
    "compound": "#d9480f",
    "deps": "#1f4e79",
}


def write_picture(path: Path, results: dict[str, Any]) -> None:
    import vl_convert

    write_atomically(path, vl_convert.vegalite_to_png(picture(results), scale=2), "the plot")


def picture(results: dict[str, Any]) -> dict[str, Any]:
    """The Vega-Lite specification."""
    settings = results["settings"]
    seeds = "1 seed" if settings["seeds"] == 1 else f"{settings['seeds']} seeds"
    made = f"{settings['images']:,} images, {settings['scale']:g} of the published epochs, {seeds}"
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "title": {
            "text": "Fashion-MNIST, width 0.35",
            "subtitle": [
                f"{made}; vertical lines are 95 % intervals over seeds",
                "The cost of the teacher, which deps does without, is not in it",
            ],
            "anchor": "start",
            "offset": 12,
        },
        "background": "white",
        "padding": 16,
        "hconcat": [_fronts(results["fronts"]), _costs(results)],
        "spacing": 40,
        "config": {
            "axis": {"labelFontSize": 12, "titleFontSize": 13, "titleFontWeight": "normal"},
            "legend": {"labelFontSize": 12, "labelLimit": 0, "orient": "bottom", "columns": 2},
        },
    }


def _colour() -> dict[str, Any]:
    scale = {"domain": list(COLOURS), "range": list(COLOURS.values())}
    return {"field": "name", "type": "nominal", "title": None, "scale": scale}


def _fronts(fronts: dict[str, Any]) -> dict[str, Any]:
    points = [
        {"name": name, "limit": each["limit_ms"]}
        | {key: None if each[key] is None else 100 * each[key] for key in ("mean", "low", "high")}
        for name, front in fronts.items()
        for each in front
    ]
    accuracy = {"type": "quantitative", "scale": {"zero": False}}
    up = {"field": "mean", "title": "test accuracy, %", **accuracy}
    across = {
        "field": "limit",
        "type": "quantitative",
        "title": "latency limit, ms",
        "scale": {"type": "log", "nice": False, "padding": 12},
    }
    return {
        "width": 480,
        "height": 320,
        "data": {"values": points},
        "encoding": {"x": across, "color": _colour()},
        "layer": [
            {"mark": {"type": "line", "point": True}, "encoding": {"y": up}},
            {
                "transform": [{"filter": "datum.low !== null"}],
                "mark": {"type": "rule", "opacity": 0.5},
                "encoding": {"y": {"field": "low", **accuracy}, "y2": {"field": "high"}},
            },
        ],
    }


def _costs(results: dict[str, Any]) -> dict[str, Any]:
    bars = [
        {"name": name, "measure": MEASURES[measure], "share": share}
        for name, cost in results["cost_relative_to_progressive"].items()
        for measure, share in cost.items()
    ]
    return {
        "width": 240,
        "height": 320,
        "data": {"values": bars},
        "mark": "bar",
        "encoding": {
            "x": {
                "field": "measure",
                "type": "nominal",
                "title": None,
                "axis": {"labelAngle": 0, "labelLimit": 90, "labelExpr": "split(datum.label, ' ')"},
            },
            "xOffset": {"field": "name", "sort": list(COLOURS)},
            "y": {"field": "share", "type": "quantitative", "title": "training cost / progressive"},
            "color": _colour(),
        },
    }
