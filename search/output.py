"""Answers as text for people, and as JSON and CSV for programs."""

from __future__ import annotations

import csv
import io
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from compofa.common.console import printable
from compofa.common.files import write_atomically
from compofa.search.answer import Answer, Infeasible, Limits, Result
from compofa.search.candidates import Candidates

OUT_COLUMNS = (
    "result", "device", "space", "subnet", "resolution", "batch_size", "top1", "latency_ms",
    "ci_low_ms", "ci_high_ms", "limit_ms", "source", "status", "macs", "params", "weight_bytes",
    "memory_bytes", "chance", "joint_chance", "rival",
)  # fmt: skip
"""The columns of `--out`, before the tables' own: one row per result and table."""


def as_json(candidates: Candidates, answer: Answer) -> dict[str, Any]:
    """The object that `--json` prints; docs/search.md describes it."""
    return {
        "results": [_as_json(each) for each in answer.results],
        "infeasible": [asdict(each) for each in answer.infeasible],
        "space": candidates.space.name,
        "accuracy": candidates.accuracy,
        "tables": [
            {"path": str(each.path), **asdict(each.table.setup)} for each in candidates.tables
        ],
        "candidates": candidates.compared,
        "notes": list(candidates.notes),
    }


def _as_json(result: Result) -> dict[str, Any]:
    """The result with the names that earlier versions gave some of its keys, for one release."""
    return asdict(result) | {
        "chance": result.probability,
        "joint_chance": result.joint_probability,
        "rival": result.indistinguishable_from,
    }


def write_results(path: Path, candidates: Candidates, answer: Answer) -> None:
    """Writes the results as CSV, one row per result and table.

    Raises:
        UserError: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    own = list(dict.fromkeys(name for each in candidates.tables for name in each.table.extra))
    writer.writerow((*OUT_COLUMNS, *own))
    for number, found in enumerate(answer.results, start=1):
        for i, table in enumerate(candidates.tables):
            writer.writerow(
                [
                    number, table.device, found.space, found.subnet, found.resolution,
                    found.batch_size, found.top1, found.latency_ms[i], found.ci_low_ms[i],
                    found.ci_high_ms[i], found.limit_ms[i] if found.limit_ms else None,
                    found.source[i], found.status[i], found.macs, found.params,
                    found.weight_bytes, found.memory_bytes,
                    found.probability[i] if found.probability else None,
                    found.joint_probability, found.indistinguishable_from,
                    *map(found.extra[i].get, own),
                ]
            )  # fmt: skip
    write_atomically(path, text.getvalue(), "the results")


def infeasible_line(candidates: Candidates, infeasible: Infeasible) -> str:
    """What to say where no candidate meets the limits."""
    devices = [table.device for table in candidates.tables]
    asked = _on(devices, infeasible.limit_ms, "g")
    near = infeasible.nearest
    rank = "fastest" if len(devices) == 1 else "nearest"
    cell = f"{near.subnet} at {near.resolution}"
    found = _on(devices if len(devices) > 1 else [""], near.latency_ms, ".3f")
    return f"no subnet meets {asked}: the {rank} is {cell}, {found}"


def _on(devices: Sequence[str], latencies: Sequence[float | None], form: str) -> str:
    pairs = [
        (name, each) for name, each in zip(devices, latencies, strict=True) if each is not None
    ]
    return " and ".join(f"{each:{form}} ms" + f" on {name}" * bool(name) for name, each in pairs)


def title(candidates: Candidates, limits: Sequence[Limits]) -> str:
    """What was asked, in one line."""
    devices = [table.device for table in candidates.tables]
    place = f"{candidates.compared:,} cells of {candidates.space.name} on {', '.join(devices)}"
    if not limits:
        return f"Pareto front of {place}"
    if len(limits) == 1 and all(map(math.isfinite, limits[0])):
        return f"Best of {place} within {_on([''] * len(devices), limits[0], 'g')}"
    return f"Best of {place} within each limit"


@dataclass(frozen=True)
class Column:
    """One column of the text for people."""

    name: str
    right: bool
    values: list[str]


def columns(candidates: Candidates, answer: Answer) -> list[Column]:
    """The results as columns: accuracies in percent, MACs and parameters in millions."""
    results = answer.results
    found = []
    if len({each.limit_ms for each in results}) > 1:
        devices = [table.device for table in candidates.tables]
        limits = [_limits(each, devices) for each in results]
        found.append(Column("limit ms", True, limits))
    found += [
        Column("subnet", False, [each.subnet for each in results]),
        Column("resolution", True, [str(each.resolution) for each in results]),
        Column("top-1 %", True, [f"{100 * each.top1:.2f}" for each in results]),
    ]
    for i, table in enumerate(candidates.tables):
        name = "latency ms" if len(candidates.tables) == 1 else f"ms on {table.device}"
        found.append(Column(name, True, [f"{each.latency_ms[i]:.3f}" for each in results]))
        intervals = [_interval(each, i) for each in results]
        if any(intervals):
            found.append(Column("interval", True, intervals))
    if any(each.joint_probability is not None for each in results):
        probabilities = [_percent(each.joint_probability) for each in results]
        found.append(Column("meets it %", True, probabilities))
    if any(each.indistinguishable_from for each in results):
        found.append(
            Column("not told from", False, [each.indistinguishable_from or "" for each in results])
        )
    found += [
        Column("M MACs", True, [f"{each.macs / 1e6:.0f}" for each in results]),
        Column("M params", True, [f"{each.params / 1e6:.2f}" for each in results]),
        *_own_columns(candidates, answer),
        Column("latency is", False, [_basis(each) for each in results]),
    ]
    return found


def _own_columns(candidates: Candidates, answer: Answer) -> list[Column]:
    """What the tables' own columns say of the results."""
    several = len(candidates.tables) > 1
    return [
        Column(
            f"{name} on {table.device}" if several else name,
            True,
            [
                "" if (value := each.extra[i][name]) is None else f"{value:g}"
                for each in answer.results
            ],
        )
        for i, table in enumerate(candidates.tables)
        for name in table.table.extra
    ]


def _limits(found: Result, devices: Sequence[str]) -> str:
    """What a result was asked to meet; with its device where that is one of several."""
    asked = [
        each for each in zip(devices, found.limit_ms or (), strict=False) if each[1] is not None
    ]
    if len(asked) == 1 and len(devices) > 1:
        return f"{asked[0][0]} {asked[0][1]:g}"
    return " ".join(f"{limit:g}" for _, limit in asked)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}"


def _interval(found: Result, table: int) -> str:
    low, high = found.ci_low_ms[table], found.ci_high_ms[table]
    return "" if low is None or high is None else f"{low:.3f} to {high:.3f}"


def _basis(found: Result) -> str:
    kinds = [
        source if status == "ok" else f"{source}, {status}"
        for source, status in zip(found.source, found.status, strict=True)
    ]
    return "; ".join(dict.fromkeys(kinds))


def show(heading: str, shown: Sequence[Column]) -> None:
    """Prints a table: drawn on a terminal, aligned text elsewhere."""
    if sys.stdout.isatty():
        _draw(heading, shown)
        return
    print(printable(heading))
    for line in plain_lines(shown):
        print(line)


def plain_lines(shown: Sequence[Column]) -> Iterator[str]:
    """The columns as aligned text, header first."""
    padded = []
    for column in shown:
        cells = [printable(text) for text in (column.name, *column.values)]
        width = max(map(len, cells))
        padded.append([cell.rjust(width) if column.right else cell.ljust(width) for cell in cells])
    for row in zip(*padded, strict=True):
        yield "  ".join(row).rstrip()


def _draw(heading: str, shown: Sequence[Column]) -> None:
    """A table whose headers may wrap, and whose values never do: a cut key names nothing."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False, show_edge=False)
    needed = 0
    for column in shown:
        cells = [printable(text) for text in column.values]
        words = printable(column.name).split()
        width = max(map(len, [*cells, *words]))
        needed += width + 3
        justify: Literal["left", "right"] = "right" if column.right else "left"
        name = Text(printable(column.name))
        table.add_column(name, justify=justify, vertical="bottom", min_width=width)
    for row in zip(*(column.values for column in shown), strict=True):
        table.add_row(*(Text(printable(text)) for text in row))
    console = Console()
    console.print(Text(printable(heading), style="bold"))
    console.print(table, width=max(console.width, needed), no_wrap=True, crop=False)
