"""The look of charts, in light and in dark: Vega-Lite configurations and their colours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Spec = dict[str, Any]
"""A Vega-Lite specification, or a part of one."""


@dataclass(frozen=True)
class Palette:
    """Colours of one theme: text, faint lines, what is usual, and what to look at."""

    text: str
    faint: str
    grid: str
    soft: str
    usual: str
    accent: str


LIGHT = Palette("#222222", "#8a8a8a", "#e8e8e8", "#9db7d5", "#1f4e79", "#d9480f")
DARK = Palette("#e6e6e6", "#8f8f8f", "#383c42", "#4d6d92", "#8fbcec", "#ff8f52")


def chart_config(palette: Palette) -> Spec:
    """The configuration of every chart under `palette`.

    Marks take their colours by style: ``usual``, ``accent``, ``soft`` (areas), ``faint`` (rules).
    """
    lines = {"labelColor": palette.text, "titleColor": palette.text}
    return {
        "font": "Helvetica, Arial, sans-serif",
        "background": "transparent",
        "aria": False,
        "axis": {
            **lines,
            "labelFontSize": 12,
            "titleFontSize": 13,
            "titleFontWeight": "normal",
            "titlePadding": 8,
            "labelOverlap": "greedy",
            "labelSeparation": 8,
            "gridColor": palette.grid,
            "domainColor": palette.faint,
            "tickColor": palette.faint,
        },
        "legend": {**lines, "labelFontSize": 12, "symbolOpacity": 1, "orient": "bottom"},
        "view": {"stroke": palette.grid},
        "range": {"category": [palette.usual, palette.accent, palette.soft]},
        "style": {
            "usual": {"color": palette.usual},
            "accent": {"color": palette.accent},
            "soft": {"color": palette.soft},
            "faint": {"color": palette.faint},
        },
    }


def themes() -> dict[str, Spec]:
    """The configuration of each theme, by the name that browsers give it."""
    return {"light": chart_config(LIGHT), "dark": chart_config(DARK)}
