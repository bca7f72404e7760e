"""What bench_truth.py counted, as the tables and the drawing of docs/statistics.md."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

Results = dict[str, Any]

EARLIER = " °"
"""After the device of a line that has "earlier" in the results: it was counted before the last
changes to the rules, and not again."""

LINE, LEFT, WIDTH, RIGHT, TOP = 17, 430, 380, 200, 44
LOWEST = 0.6
"""Shares held below this are drawn at the left edge."""

CLEAR, INK, GREY, RULE = "#0b6e4f", "#1f2933", "#9aa5b1", "#d9dee3"


@dataclass(frozen=True)
class Held:
    """A line of intervals.

    Attributes:
        promised: share of intervals that are to hold the truth.
        held, error: share that did, of rows with status ok, and its standard error, which knows
            that the rows of a profile err together; None where no row was ok.
        of_all: the same of all rows with an interval.
        ok, marked: how many rows had that status, and another.
    """

    command: str
    device: str
    promised: float
    held: float | None
    error: float
    of_all: float | None
    profiles: int
    ok: int
    marked: int
    largest_error: float | None


def lines_of(results: Results) -> Iterator[Held]:
    """The lines that are about intervals, in their order."""
    for name, found in results.items():
        command, _, device = name.partition(" | ")
        rows = found.get("predicted", found)
        if "held" in rows:
            yield Held(
                command=command,
                device=device + _mark(found),
                promised=0.9 if command == "predict" else 0.95,
                held=rows["held"],
                error=rows["held_error"] or 0.0,
                of_all=rows.get("held_of_all"),
                profiles=rows["profiles"],
                ok=rows["rows_ok"],
                marked=rows["rows_marked"],
                largest_error=rows["largest_bias"],
            )


def render_tables(results: Results, before: Results) -> str:
    """All tables, in Markdown."""
    parts = [
        _of_intervals(results, before),
        _of_profiles_below(results),
        _of_columns(results),
        _of_comparisons(results),
        _of_selftests(results),
        _of_winners(results),
    ]
    return "\n\n".join("\n".join(part) for part in parts if len(part) > 2) + "\n"


def _of_intervals(results: Results, before: Results) -> list[str]:
    lines = [
        "| command | device | profiles | promised | held, of rows `ok` | held, of all rows "
        "| rows not `ok` | largest error of a row `ok` | before |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for each in lines_of(results):
        old = before.get(f"{each.command} | {each.device.removesuffix(EARLIER)}", {})
        old = old.get("predicted", old)
        was = "" if not old else "none ok" if old["held"] is None else _percent(old["held"])
        if old and old["held"] is None and not old["rows_marked"]:
            was = "no table"
        held = (
            "none ok"
            if each.held is None
            else f"{_percent(each.held)} ± {2 * 100 * each.error:.0f} of {each.ok:,}"
        )
        lines.append(
            f"| {each.command} | {each.device} | {each.profiles} | {each.promised:.0%} | {held} | "
            f"{_percent(each.of_all)} | {each.marked:,} | {_percent(each.largest_error)} | {was} |"
        )
    return lines


def _of_profiles_below(results: Results) -> list[str]:
    lines = [
        "| predictions on | profiles of which less than 60 % hold | as their figures say |",
        "|---|--:|--:|",
    ]
    for name, found in results.items():
        if name.startswith("predict | "):
            rows = found["predicted"]
            below, expected = (
                rows[f"profiles_below_60_percent{each}"] for each in ("", "_expected")
            )
            lines.append(
                f"| {name.removeprefix('predict | ')}{_mark(found)} | {below} of "
                f"{rows['profiles']} | {expected:.1f} |"
            )
    return lines


def _of_columns(results: Results) -> list[str]:
    lines = [
        "| device | profiles | `p50_ms` | `mean_ms` | `p90_ms` |",
        "|---|--:|--:|--:|--:|",
    ]
    for name, found in results.items():
        if "columns" in found:
            shares = [
                f"{_percent(each['held'])} ± {200 * each['held_error']:.0f}"
                if (each := found["columns"].get(figure))
                else ""
                for figure in ("p50", "mean", "p90")
            ]
            device = name.partition(" | ")[2] + _mark(found)
            lines.append(f"| {device} | {found['profiles']} | {' | '.join(shares)} |")
    return lines


def _of_comparisons(results: Results) -> list[str]:
    """Lines of equal and of slower networks on the same device stand in one row."""
    lines = [
        "| command | device | comparisons of equals | with a false alarm | of networks 5 % slower, "
        "found | cells of equals left open |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for name, equal in results.items():
        if not name.endswith(", a sixth 0% slower"):
            continue
        command, _, device = name.removesuffix(", a sixth 0% slower").partition(" | ")
        slower = results.get(name.replace("0% slower", "5% slower"), {})
        found = f"{slower['found']} of {slower['slower_cells']}" if slower else ""
        lines.append(
            f"| {command} | {device}{_mark(equal)} "
            f"| {equal['comparisons'] - equal['without_verdict']} "
            f"| {equal['false_alarms']} | {found} | {equal['cannot_tell']} of {equal['cells']} |"
        )
    return lines


def _of_selftests(results: Results) -> list[str]:
    lines = [
        "| `selftest` on | smallest slow-downs that it promises to be found 9 times in 10 "
        "| of networks so much slower, `compare` found | its own A/A alarms |",
        "|---|--:|--:|--:|",
    ]
    for name, found in results.items():
        if name.startswith("selftest | "):
            seen = found["compare_at_the_median"]
            promised = ", ".join(
                "none" if each is None else f"{each:.1%}" for each in found["smallest_change"]
            )
            told = f"{seen['found']} of {seen['slower_cells']}" if seen else ""
            lines.append(
                f"| {name.removeprefix('selftest | ')}{_mark(found)} | {promised} | {told} "
                f"| {_percent(found['false_alarms'])} |"
            )
    return lines


def _of_winners(results: Results) -> list[str]:
    lines = [
        "| `compofa-search --verify` on | winners | said to be sure | keep their limit "
        "| sure, and over it |",
        "|---|--:|--:|--:|--:|",
    ]
    for name, found in results.items():
        if "winners" in found:
            counts = (found[each] for each in ("winners", "sure", "kept", "sure_and_over"))
            device = name.partition(" | ")[2] + _mark(found)
            lines.append(f"| {device} | {' | '.join(map(str, counts))} |")
    return lines


def _mark(found: Results) -> str:
    return EARLIER if found.get("earlier") else ""


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def draw(results: Results, out: Path) -> None:
    """Draws the lines about intervals: a dot for rows that are ok, a ring for all rows."""
    every = list(lines_of(results))
    height = TOP + LINE * len(every) + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + RIGHT}" height="{height}" '
        f'viewBox="0 0 {LEFT + WIDTH + RIGHT} {height}" font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="white"/>',
        _text(10, 16, "share of intervals that hold the true latency: dot, of rows that are ok, "
              "with two standard errors; ring, of all rows", "start", INK),
    ]  # fmt: skip
    for share in (0.6, 0.7, 0.8, 0.9, 0.95, 1.0):
        parts.append(
            f'<line x1="{_x(share):.1f}" x2="{_x(share):.1f}" y1="{TOP - 8}" y2="{height - 24}" '
            f'stroke="{RULE}"/>'
        )
        parts.append(_text(_x(share), TOP - 12, f"{share:.0%}", "middle", INK))
    for i, each in enumerate(every):
        parts += _drawn(each, TOP + LINE * i + LINE / 2)
    out.write_text("\n".join([*parts, "</svg>"]) + "\n", encoding="utf-8")


def _drawn(each: Held, y: float) -> list[str]:
    """One line: its name, what was promised as a tick, the dot, the ring, and the counts."""
    parts = [_text(LEFT - 10, y + 4, f"{each.command}: {each.device}", "end", INK)]
    promised = _x(each.promised)
    parts.append(
        f'<line x1="{promised:.1f}" x2="{promised:.1f}" y1="{y - 6}" y2="{y + 6}" stroke="{INK}" '
        'stroke-width="2"/>'
    )
    if each.of_all is not None:
        parts.append(
            f'<circle cx="{_x(each.of_all):.1f}" cy="{y}" r="4" fill="none" stroke="{GREY}" '
            'stroke-width="1.5"/>'
        )
    counts = "no row is ok" if each.held is None else f"{each.ok:,} ok"
    if each.held is not None:
        low, high = _x(each.held - 2 * each.error), _x(min(each.held + 2 * each.error, 1.0))
        parts.append(
            f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{y}" y2="{y}" stroke="{CLEAR}"/>'
            f'<circle cx="{_x(each.held):.1f}" cy="{y}" r="3.2" fill="{CLEAR}"/>'
        )
    counts += f", {each.marked:,} marked" if each.marked else ""
    parts.append(_text(LEFT + WIDTH + 14, y + 4, counts, "start", INK))
    return parts


def _x(share: float) -> float:
    return LEFT + WIDTH * (max(share, LOWEST) - LOWEST) / (1 - LOWEST)


def _text(x: float, y: float, text: str, anchor: str, colour: str) -> str:
    if not math.isfinite(x):
        raise ValueError(f"{text} has no place in the drawing")
    at = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"'
    return f"<text {at}>{escape(text)}</text>"
