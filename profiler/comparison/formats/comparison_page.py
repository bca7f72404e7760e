"""A comparison as a page: the verdict, each device with its front, and all cells to search.

The cells travel as JSON, a row each, and the page's script shows as many as a person looks at.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from compofa.profiler.comparison.changes import CellChange, Changes
from compofa.profiler.comparison.formats import comparison_charts as charts
from compofa.profiler.comparison.report_format import ReportFormat
from compofa.profiler.comparison.sentences import device_headline, headline, remarks
from compofa.profiler.comparison.verdict import Compared, Report
from compofa.profiler.comparison.wording import digits_of
from compofa.profiler.report.chart_parts import short
from compofa.profiler.report.offline import offline_page, page_part
from compofa.profiler.report.section import Figure
from compofa.profiler.statistics.compare import Verdict

GRADES = {
    Verdict.SLOWER: "poor",
    Verdict.FASTER: "good",
    Verdict.SAME: "good",
    Verdict.CANNOT_TELL: "fair",
}
"""Of a verdict, as the style sheet knows them."""

VERDICTS = tuple(Verdict)
"""The order in which rows refer to them."""


@dataclass(frozen=True)
class DevicePanel:
    """What the page says of one device."""

    title: str
    verdict: str
    grade: str
    headline: str
    files: str
    remarks: tuple[str, ...]
    figures: tuple[Figure, ...]


def render_comparison_page(report: Report) -> str:
    """The page."""
    panels = [_panel(each) for each in report.devices]
    drawn = {
        f"chart-{number}-{figure.name}": figure.spec
        for number, panel in enumerate(panels)
        for figure in panel.figures
    }
    cells = {
        "devices": [panel.title for panel in panels],
        "verdicts": [verdict.value for verdict in VERDICTS],
        "digits": max(digits_of(compared.changes) for compared in report.devices),
        "rows": [
            _row(number, change)
            for number, compared in enumerate(report.devices)
            for change in compared.changes.cells
        ],
    }
    return offline_page(
        page_part(__package__, "page.html"),
        drawn,
        [page_part(__package__, "cells.js")],
        {"cells": cells},
        title=f"Latency compared: {headline(report)}",
        headline=headline(report),
        only_base=report.only_base,
        only_new=report.only_new,
        panels=panels,
        verdicts=[verdict.value for verdict in VERDICTS],
    )


def _panel(compared: Compared) -> DevicePanel:
    changes = compared.changes
    figures = []
    if compared.front is not None:
        figures.append(
            Figure(
                "front",
                "The Pareto front before and after",
                "Accuracy against latency: the fronts of the base and of the new table as steps.",
                "The best accuracy within each latency, measured or predicted. If the device "
                "itself is known to have changed, that change is taken off. "
                "Where the line of the new table lies lower, less accuracy is left within the same "
                "limit; the sentences above say whether that is more than noise.",
                charts.fronts(compared.front),
                narrow=True,
            )
        )
    if changes.side_by_side is not None and changes.cells:
        figures.append(
            Figure(
                "ratios",
                "How each model changed",
                "The change of latency of each model with its interval.",
                "The dot is the estimate, the line its interval. Changes within the two dashed "
                "lines do not count.",
                charts.ratios(changes),
                narrow=True,
            )
        )
    elif changes.cells:
        figures.append(_moves(changes))
    return DevicePanel(
        title=compared.device,
        verdict=compared.verdict.value,
        grade=GRADES[compared.verdict],
        headline=device_headline(compared),
        files=f"{changes.new.path} against {changes.base.path}",
        remarks=tuple(remarks(compared)),
        figures=tuple(figures),
    )


def _moves(changes: Changes) -> Figure:
    return Figure(
        "moves",
        "How the cells moved",
        "Histogram of the change of latency of all cells, by verdict.",
        "Each bar counts the cells whose latency changed by so much. If nothing changed, there "
        "is one hump around zero. A single hump elsewhere is a change that all cells share; a "
        "second hump is a change of some cells.",
        charts.moves(changes),
        narrow=True,
    )


def _row(device: int, change: CellChange) -> list[Any]:
    """As cells.js reads it; ends of an interval that are not known are null."""
    cell, ratio = change.cell, change.ratio
    known = math.isfinite(ratio.high)
    return [
        device, cell.subnet, cell.resolution, cell.batch_size,
        short(change.base_ms), short(change.new_ms), _percent(ratio.value),
        _percent(ratio.low) if known else None, _percent(ratio.high) if known else None,
        VERDICTS.index(ratio.verdict),
    ]  # fmt: skip


def _percent(ratio: float) -> float:
    return round(100 * (ratio - 1), 2)


HTML = ReportFormat(render_comparison_page, (".html", ".htm"))
