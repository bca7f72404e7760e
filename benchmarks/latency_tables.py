"""Stored results of bench_latency_model.py, of an earlier version and of now, as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Results = Mapping[str, Any]
"""What is stored: by part, then by case, then by the number of measured cells."""

HEADINGS = {
    "predict": "From random cells of the device alone",
    "like": "With the table of another device",
    "wrong": "With one measured row of 50 a thousand times too slow",
    "outside": "At resolutions that were not measured",
}

COLUMNS = {
    "mean error, %": ("error", 1.0, ".2f"),
    "worst, %": ("worst_error", 1.0, ".1f"),
    "rank correlation": ("rank", 1.0, ".3f"),
    "coverage, %": ("coverage", 100.0, ".0f"),
    "worst draw, %": ("worst_coverage", 100.0, ".0f"),
    "median width, %": ("width", 1.0, ".1f"),
    "fitted in, s": ("fit_seconds", 1.0, ".2f"),
}
"""Columns of a table: the stored figure, what it is multiplied by, and how it is written."""


def render_tables(before: Results, now: Results) -> str:
    """Every case of both versions side by side, in Markdown: *before -> now*."""
    lines: list[str] = []
    for part, heading in HEADINGS.items():
        lines += [f"### {heading}", "", *_table(before.get(part, {}), now.get(part, {})), ""]
        if part in ("predict", "like"):
            lines += ["Over all of these cases:", "", *_overall(before[part], now[part]), ""]
    lines += ["### Tables that mislead, at 5 cells", "", *_set_aside(now.get("like", {})), ""]
    return "\n".join(lines)


def _table(before: Results, now: Results) -> Iterator[str]:
    yield "| device | cells | " + " | ".join(COLUMNS) + " |"
    yield "|---|---|" + "---|" * len(COLUMNS)
    for case, sizes in now.items():
        for n, figures in sizes.items():
            earlier = before.get(case, {}).get(n, {})
            cells = [_pair(earlier, figures, *column) for column in COLUMNS.values()]
            yield f"| {case} | {n} | " + " | ".join(cells) + " |"


def _pair(before: Results, now: Results, name: str, scale: float, form: str) -> str:
    old, new = (format(scale * each[name], form) if name in each else "-" for each in (before, now))
    return f"{old} -> {new}"


def _overall(before: Results, now: Results) -> Iterator[str]:
    """Means of coverage, worst draws, and how much wider few cells make intervals than 20 do."""
    yield "| cells | mean coverage, % | cases with a draw under 70 % | widths over those at 20 |"
    yield "|---|---|---|---|"
    for n in sorted({n for sizes in now.values() for n in sizes}, key=int):
        both = [_spread(each, n) for each in (before, now)]
        pairs = (" -> ".join(texts) for texts in zip(*both, strict=True))
        yield f"| {n} | " + " | ".join(pairs) + " |"


def _spread(cases: Results, n: str) -> tuple[str, str, str]:
    some = [sizes for sizes in cases.values() if n in sizes and "20" in sizes]
    if not some:
        return "-", "-", "-"
    coverage = sum(sizes[n]["coverage"] for sizes in some) / len(some)
    bad = sum(sizes[n]["worst_coverage"] < 0.7 for sizes in some)
    ratios = sorted(sizes[n]["width"] / sizes["20"]["width"] for sizes in some)
    return (
        f"{100 * coverage:.1f}",
        f"{bad} of {len(some)}",
        f"{ratios[len(ratios) // 2]:.1f}, at most {ratios[-1]:.1f}",
    )


def _set_aside(cases: Results) -> Iterator[str]:
    yield "| device and table | set aside in, % of draws |"
    yield "|---|---|"
    for case, sizes in cases.items():
        if "set_aside" in sizes.get("5", {}):
            yield f"| {case} | {100 * sizes['5']['set_aside']:.0f} |"
