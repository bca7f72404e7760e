"""What charts are made of: axes, tooltips, layers.

Colours come from the page's theme (`style`), widths from the page. Names from files appear as data
only, never in an expression.
"""

from __future__ import annotations

from compofa.profiler.report.style import Spec
from compofa.profiler.results.table import Cell


def chart(layers: list[Spec], values: list[Spec], height: int = 320) -> Spec:
    """Layers over common data, as wide as the page has room."""
    return {
        "width": "container",
        "height": height,
        "autosize": {"type": "fit", "contains": "padding"},
        "data": {"values": values},
        "layer": layers,
    }


def axis(field: str, title: str, **scale: object) -> Spec:
    """A quantitative axis that need not start at zero, unless `scale` says otherwise."""
    scales = {"zero": False, "nice": True, **scale}
    return {"field": field, "type": "quantitative", "title": title, "scale": scales}


def kind_colour(usual: str, other: str) -> Spec:
    """Colour by the field `kind`, the second of which is to be noticed."""
    return {
        "field": "kind",
        "type": "nominal",
        "scale": {"domain": [usual, other]},
        "legend": {"title": None, "symbolType": "circle", "symbolStrokeWidth": 0},
    }


def dots(position: Spec, kind: Spec, tooltip: list[Spec], size: int = 60) -> Spec:
    """A layer of dots; `size` is their area in square pixels."""
    mark = {"type": "circle", "size": size, "opacity": 0.8}
    return {"mark": mark, "encoding": {**position, "color": kind, "tooltip": tooltip}}


def zero_line() -> Spec:
    """A dashed line at zero."""
    return {
        "data": {"values": [{"zero": 0}]},
        "mark": {"type": "rule", "style": "faint", "strokeDash": [5, 4]},
        "encoding": {"y": {"field": "zero", "type": "quantitative"}},
    }


def named(cell: Cell) -> Spec:
    """What every point of a cell carries."""
    return {"subnet": cell.subnet, "resolution": cell.resolution, "batch": cell.batch_size}


def cell_tooltip() -> list[Spec]:
    """What hovering says of a cell."""
    return [
        hover("subnet", "subnet"),
        hover("resolution", "resolution"),
        hover("batch", "batch size"),
    ]


def hover(field: str, title: str, form: str | None = None) -> Spec:
    """One line of a tooltip; `form` is a D3 number format."""
    return {"field": field, "title": title} | (
        {"type": "quantitative", "format": form} if form else {"type": "nominal"}
    )


def short(value: float, digits: int = 5) -> float:
    """`value` with as many digits as a picture can show: pages stay small."""
    return float(f"{value:.{digits}g}")
