"""A comparison as Markdown for GitHub: the verdict first, changed cells, the rest folded away.

A job's summary holds at most 1 MiB, a comment 65,536 characters; what does not fit is counted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from compofa.common.console import printable
from compofa.common.errors import file_error
from compofa.profiler.comparison.changes import CellChange
from compofa.profiler.comparison.report_format import ReportFormat
from compofa.profiler.comparison.sentences import device_headline, headline, remarks
from compofa.profiler.comparison.verdict import Compared, Report
from compofa.profiler.comparison.wording import cell_name, changed, digits_of, interval, percent
from compofa.profiler.statistics.compare import Verdict

SUMMARY_BYTES = 1_000_000
COMMENT_BYTES = 64_000

AROUND_TABLES = 400
"""Bytes kept for what stands around a device's two tables: headings, and what was left out."""

SIGNS = {
    Verdict.SLOWER: "🔴",
    Verdict.FASTER: "🟢",
    Verdict.SAME: "⚪",
    Verdict.CANNOT_TELL: "🟡",
}

HEADER = "| cell | base ms | new ms | change | interval | verdict |\n|---|--:|--:|--:|---|---|\n"

LONGEST_LINE = 500
"""Characters of one sentence: some quote what a device says of itself."""


def render_markdown(report: Report, limit: int = SUMMARY_BYTES) -> str:
    """The report, of at most `limit` bytes."""
    title = f"## {SIGNS[report.verdict]} {_line(headline(report))}\n"
    alone, room = len(report.devices) == 1, limit // 2 // len(report.devices)
    heads = [_head(each, alone, room) for each in report.devices]
    left = limit - sum(len(part.encode()) for part in (title, *heads))
    text = title
    for number, (each, head) in enumerate(zip(report.devices, heads, strict=True)):
        # What one device does not need is there for those after it.
        room = left // (len(heads) - number)
        if room < AROUND_TABLES:
            tables = "\nIts cells are left out here.\n"
        else:
            tables = _tables(each, room - AROUND_TABLES)
        text, left = text + head + tables, left - len(tables.encode())
    return text


def _head(compared: Compared, alone: bool, limit: int) -> str:
    """What is said before the tables of a device: as many sentences as fit into `limit` bytes."""
    changes, device = compared.changes, _line(compared.device)
    heading = "" if alone else f"\n### {SIGNS[compared.verdict]} {device}\n"
    said = [] if alone else [device_headline(compared)]
    files = f"{_line(str(changes.new.path))} against {_line(str(changes.base.path))}"
    text = f"{heading}\nLatency on **{device}**, {files}.\n\n"
    for each in (*said, *remarks(compared)):
        line = f"- {_line(each)}\n"
        if len((text + line).encode()) > limit:
            break
        text += line
    return text


def _tables(compared: Compared, left: int) -> str:
    changes = compared.changes
    shown, digits = changed(changes), digits_of(changes)
    seen = {each.cell for each in shown}
    others = [each for each in changes.cells if each.cell not in seen]
    text = ""
    if shown:
        table, left = _table(shown, left, digits)
        title = "Changed cells" if changes.side_by_side is None else "Models"
        text += f"\n**{title}**\n\n{table}"
    if others:
        table, _ = _table(others, left, digits)
        summary = f"<summary>The other {len(others):,} cells</summary>"
        text += f"\n<details>{summary}\n\n{table}\n</details>\n"
    return text


def _table(cells: Sequence[CellChange], limit: int, digits: int) -> tuple[str, int]:
    """As many rows as fit into `limit` bytes, and what is left of it."""
    rows, left = [], limit - len(HEADER)
    for each in cells:
        line = _row(each, digits)
        size = len(line.encode())
        if size > left:
            break
        rows.append(line)
        left -= size
    rest = len(cells) - len(rows)
    said = f"\n{rest:,} more cells are left out here.\n" if rest else ""
    return (HEADER if rows else "") + "".join(rows) + said, left


def _row(change: CellChange, digits: int) -> str:
    ratio = change.ratio
    return (
        f"| {escape(cell_name(change.cell))} | {change.base_ms:.3f} | {change.new_ms:.3f} "
        f"| {percent(ratio.value, digits)} | {interval(ratio, digits)} "
        f"| {SIGNS[ratio.verdict]} {ratio.verdict.value} |\n"
    )


def _line(text: str) -> str:
    """`text`, escaped and not too long."""
    return escape(text if len(text) <= LONGEST_LINE else f"{text[:LONGEST_LINE]}...")


def escape(text: str) -> str:
    """Text from a file as text: neither Markdown nor HTML, no link and no mention of somebody.

    GitHub looks for mentions and numbers of issues after it has resolved entities, so a space of no
    width stands behind their first character.
    """
    marked = re.sub(r"[#$&*/:<>@\[\]\\_`|~]|(?<=[wW])\.", _entity, printable(text))
    return re.sub(r"(&#(?:64|35);)", r"\1&#8203;", marked)


def _entity(match: re.Match[str]) -> str:
    return f"&#{ord(match[0])};"


def render_comment(report: Report) -> str:
    """The report, short enough for a comment."""
    return render_markdown(report, COMMENT_BYTES)


class SummaryFormat(ReportFormat):
    """A job's summary, to which several steps may add: a file is appended to, never replaced."""

    def write(self, report: Report, path: Path) -> None:
        """Appends the report, within what the summary may hold in all."""
        room = max(SUMMARY_BYTES - (path.stat().st_size if path.is_file() else 0), 0)
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(render_markdown(report, room))
        except OSError as error:
            raise file_error(error, path, "cannot write the report") from None


MARKDOWN = SummaryFormat(render_markdown, (".md", ".txt"))
COMMENT = ReportFormat(render_comment, (".md", ".txt"))
