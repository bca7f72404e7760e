"""A comparison on a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from compofa.common.console import printable
from compofa.profiler.comparison.report_format import ReportFormat
from compofa.profiler.comparison.sentences import device_headline, headline, remarks
from compofa.profiler.comparison.verdict import Compared, Report
from compofa.profiler.comparison.wording import cell_name, changed, digits_of, interval, percent

MOST_SHOWN = 20
"""Changed cells of a device on the screen; the files have them all."""


def render_screen(report: Report) -> str:
    """The verdict first, then device by device, without control characters from files."""
    return "".join(f"{printable(line)}\n" for line in _lines(report))


def _lines(report: Report) -> Iterator[str]:
    yield headline(report)
    for name in report.only_new:
        yield f"Not in the base: {name}"
    for each in report.devices:
        if len(report.devices) > 1:
            yield ""
            yield f"{each.device}: {device_headline(each)}"
        yield from remarks(each)
        yield from _cells(each)


def _cells(compared: Compared) -> Iterator[str]:
    shown, digits = changed(compared.changes), digits_of(compared.changes)
    for each in shown[:MOST_SHOWN]:
        yield (
            f"{each.ratio.verdict.value:<12}{cell_name(each.cell):<24}{each.base_ms:>9.3f} ms -> "
            f"{each.new_ms:.3f} ms  {percent(each.ratio.value, digits)} "
            f"({interval(each.ratio, digits)})"
        )
    if len(shown) > MOST_SHOWN:
        yield f"... and {len(shown) - MOST_SHOWN:,} more"


SCREEN = ReportFormat(render_screen)
