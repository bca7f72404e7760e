"""A comparison as Markdown for GitHub: the verdict first, changed cells, the rest folded away.

A job's summary holds at most 1 MiB, a comment 65,536 characters; what does not fit is counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from compofa.profiler.comparison.changes import CellChange, Changes
from compofa.profiler.comparison.words import (
    cell_name,
    changed,
    headline,
    interval,
    percent,
    remarks,
)
from compofa.profiler.statistics.compare import Verdict

SUMMARY_BYTES = 1_000_000
COMMENT_BYTES = 64_000

SIGNS = {
    Verdict.SLOWER: "🔴",
    Verdict.FASTER: "🟢",
    Verdict.SAME: "⚪",
    Verdict.CANNOT_TELL: "🟡",
}

HEADER = "| cell | base ms | new ms | change | interval | verdict |\n|---|--:|--:|--:|---|---|\n"


def write_markdown(changes: Changes, front: Sequence[str] = (), limit: int = SUMMARY_BYTES) -> str:
    """The report, of at most `limit` bytes.

    Args:
        changes: what to report.
        front: sentences on what the changes mean for the Pareto front.
        limit: of the platform that shows it.
    """
    device = escape(changes.new.table.setup.device)
    parts = [
        f"## {SIGNS[changes.verdict]} {escape(headline(changes))}\n",
        f"\nLatency on **{device}**, `{_code(str(changes.base.path))}` against "
        f"`{_code(str(changes.new.path))}`.\n\n",
        *(f"- {escape(each)}\n" for each in (*front, *remarks(changes))),
    ]
    if changes.broken:
        names = ", ".join(escape(cell_name(cell)) for cell in changes.broken[:20])
        more = f" and {len(changes.broken) - 20:,} more" if len(changes.broken) > 20 else ""
        parts.append(f"- Can no longer be measured: {names}{more}\n")
    text = "".join(parts)
    left = limit - len(text.encode()) - 2000
    shown = changed(changes)
    if shown:
        table, left = _table(shown, left)
        text += f"\n### Changed cells\n\n{table}"
    seen = {each.cell for each in shown}
    others = [each for each in changes.cells if each.cell not in seen]
    if others:
        table, left = _table(others, left)
        summary = f"<summary>The other {len(others):,} cells</summary>"
        text += f"\n<details>{summary}\n\n{table}\n</details>\n"
    return text


def _table(cells: Sequence[CellChange], limit: int) -> tuple[str, int]:
    """As many rows as fit into `limit` bytes, and what is left of it."""
    text, left, count = HEADER, limit - len(HEADER), 0
    for line in map(_row, cells):
        size = len(line.encode())
        if size > left:
            text += f"\n{len(cells) - count:,} more cells are left out here.\n"
            break
        text, left, count = text + line, left - size, count + 1
    return text, left


def _row(change: CellChange) -> str:
    ratio = change.ratio
    return (
        f"| {escape(cell_name(change.cell))} | {change.base_ms:.3f} | {change.new_ms:.3f} "
        f"| {percent(ratio.value)} | {interval(ratio)} "
        f"| {SIGNS[ratio.verdict]} {ratio.verdict.value} |\n"
    )


def escape(text: str) -> str:
    """Text from a table as text: neither Markdown nor HTML nor a mention of somebody."""
    return re.sub(r"[<>&@|`\[\]*\\~]", lambda found: f"&#{ord(found[0])};", text)


def _code(text: str) -> str:
    return text.replace("`", "'").replace("\n", " ")


def lines(changes: Changes) -> Iterator[str]:
    """The verdict and the changed cells as plain text, for a terminal."""
    yield headline(changes)
    yield from remarks(changes)
    for each in changed(changes)[:20]:
        yield (
            f"{each.ratio.verdict.value:<12}{cell_name(each.cell):<24}{each.base_ms:>9.3f} ms -> "
            f"{each.new_ms:.3f} ms  {percent(each.ratio.value)} ({interval(each.ratio)})"
        )
    if len(changed(changes)) > 20:
        yield f"... and {len(changed(changes)) - 20:,} more"
