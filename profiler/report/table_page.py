"""The page about tables: how fast, and how sure."""

from __future__ import annotations

from collections.abc import Sequence

from compofa.profiler.report.offline import offline_page, page_part
from compofa.profiler.report.section import Section


def render_page(sections: Sequence[Section]) -> str:
    """The page of one or several tables."""
    names = [section.title for section in sections]
    charts = {
        f"chart-{number}-{figure.name}": figure.spec
        for number, section in enumerate(sections)
        for figure in section.figures
    }
    return offline_page(
        page_part(__package__, "page.html"),
        charts,
        title=f"Latency tables: {', '.join(names[:3])}{' and others' if len(names) > 3 else ''}",
        sections=sections,
    )
