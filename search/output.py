"""Shows answers as text for people, and as JSON and CSV for programs."""

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
from compofa.common.csv_lines import escape_formula
from compofa.common.files import write_atomically
from compofa.profiler.models.collection.collection import Collection
from compofa.search.answer import Answer, Infeasible, Limits, Result, wants_front
from compofa.search.candidates import Candidates
from compofa.search.measures import MEASURES, LatencyMeasure, Measure

OUT_COLUMNS = (
    "result", "device", "space", "subnet", "resolution", "batch_size", "top1", "latency_ms",
    "ci_low_ms", "ci_high_ms", "limit_ms", "source", "status", "macs", "params", "weight_bytes",
    "memory_bytes", "chance", "joint_chance", "rival",
)  # fmt: skip
"""The columns of `--out`, which are followed by the tables' own columns."""


def as_json(candidates: Candidates, answer: Answer) -> dict[str, Any]:
    """The object that `--json` prints; docs/search.md describes it."""
    return {
        "results": [_as_json(each) for each in answer.results],
        "infeasible": [asdict(each) for each in answer.infeasible],
        "space": candidates.space.name,
        "accuracy": candidates.accuracy,
        "metric": candidates.metric.column,
        "accuracy_predicted": candidates.predicted,
        "more": list(answer.more),
        "tables": [
            {"path": str(each.path), **asdict(each.table.setup)} for each in candidates.tables
        ],
        "candidates": candidates.compared,
        "notes": list(candidates.notes),
    }


def _as_json(result: Result) -> dict[str, Any]:
    """A result, also with the keys that earlier versions used; these stay for one release."""
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
    named = dict.fromkeys(name for each in candidates.tables for name in each.table.extra)
    # Tables about model files have some of these columns themselves.
    own = [name for name in named if name not in OUT_COLUMNS]
    writer.writerow((*OUT_COLUMNS, *own))
    for number, each in enumerate(answer.results, start=1):
        for i, table in enumerate(candidates.tables):
            # The names come from tables that anybody may have written, and must not become
            # formulas in a spreadsheet.
            names = map(escape_formula, (table.device, each.space, each.subnet))
            writer.writerow(
                [
                    number, *names, each.resolution,
                    each.batch_size, each.top1, each.latency_ms[i], each.ci_low_ms[i],
                    each.ci_high_ms[i], each.limit_ms[i] if each.limit_ms else None,
                    each.source[i], each.status[i], each.macs, each.params,
                    each.weight_bytes, each.memory_bytes,
                    each.probability[i] if each.probability else None,
                    each.joint_probability, each.indistinguishable_from,
                    *map(each.extra[i].get, own),
                ]
            )  # fmt: skip
    write_atomically(path, text.getvalue(), "the results")


def infeasible_line(candidates: Candidates, infeasible: Infeasible) -> str:
    """The message about limits that no candidate meets."""
    devices = [table.device for table in candidates.tables]
    asked = _on(devices, infeasible.limit_ms, "g")
    near = infeasible.nearest
    rank = "fastest" if len(devices) == 1 else "nearest"
    latencies = _on(devices if len(devices) > 1 else [""], near.latency_ms, ".3f")
    return f"no {candidates.noun} meets {asked}: the {rank} is {near.name}, {latencies}"


def _on(devices: Sequence[str], latencies: Sequence[float | None], form: str) -> str:
    pairs = [
        (name, each) for name, each in zip(devices, latencies, strict=True) if each is not None
    ]
    return " and ".join(f"{each:{form}} ms" + f" on {name}" * bool(name) for name, each in pairs)


def title(
    candidates: Candidates,
    limits: Sequence[Limits],
    minimise: Sequence[Measure] = (),
    min_top1: float | None = None,
) -> str:
    """The heading: the question in one line. The arguments are those of `ask`."""
    devices = [table.device for table in candidates.tables]
    place = f"{candidates.compared:,} cells of {candidates.space.name} on {', '.join(devices)}"
    bounds = []
    if len(limits) == 1 and all(map(math.isfinite, limits[0])):
        bounds.append(f"within {_on([''] * len(devices), limits[0], 'g')}")
    elif limits:
        bounds.append("within each limit")
    if min_top1 is not None:
        least = 100 * min_top1 if candidates.metric.is_share else min_top1
        bounds.append(f"with at least {least:g}{candidates.metric.unit} {candidates.top1_name}")
    names = ["latency" if isinstance(each, LatencyMeasure) else each.name for each in minimise]
    if wants_front(len(devices), limits, minimise, min_top1):
        # Without bounds, the front is over accuracy and latency as well; see `ask`.
        respects = list(dict.fromkeys((*([] if bounds else ["accuracy", "latency"]), *names)))
        listed = f" ({', '.join(respects)})" if names else ""
        return " ".join([f"Pareto front{listed} of", place, *bounds])
    if not names and limits:
        wanted = "Best"
    else:
        wanted = "Fastest" if names in ([], ["latency"]) else f"Least {names[0]}"
    return " ".join([wanted, "of", place, *bounds])


def more_line(answer: Answer) -> str | None:
    """The line that says how many results were left out; None if none were."""
    left_out = sum(answer.more)
    if not left_out:
        return None
    where = "" if len(answer.more) == 1 else " within these limits"
    return f"and {left_out:,} more{where}: --top shows more of them"


@dataclass(frozen=True)
class Column:
    """One column of the text for people.

    Attributes:
        name: the header.
        right: whether it is aligned to the right.
        values: one per result.
    """

    name: str
    right: bool
    values: list[str]


def columns(
    candidates: Candidates, answer: Answer, minimise: Sequence[Measure] = ()
) -> list[Column]:
    """The results as columns: accuracies in percent, MACs and parameters in millions.

    Args:
        candidates: the candidates from which the answer was chosen.
        answer: the answer.
        minimise: the objectives, which get columns too.
    """
    results, metric = answer.results, candidates.metric
    shown = []
    if len({each.limit_ms for each in results}) > 1:
        devices = [table.device for table in candidates.tables]
        limits = [_limits(each, devices) for each in results]
        shown.append(Column("limit ms", True, limits))
    shown += [
        Column(candidates.noun, False, [each.subnet for each in results]),
        Column("resolution", True, [str(each.resolution) for each in results]),
        Column(
            f"{candidates.top1_name}{metric.unit}", True, [metric.shown(e.top1) for e in results]
        ),
    ]
    for i, table in enumerate(candidates.tables):
        name = "latency ms" if len(candidates.tables) == 1 else f"ms on {table.device}"
        shown.append(Column(name, True, [f"{each.latency_ms[i]:.3f}" for each in results]))
        intervals = [_interval(each, i) for each in results]
        if any(intervals):
            shown.append(Column("interval", True, intervals))
    if any(each.joint_probability is not None for each in results):
        probabilities = [_percent(each.joint_probability) for each in results]
        shown.append(Column("P(meets limit) %", True, probabilities))
    if any(each.indistinguishable_from for each in results):
        others = [each.indistinguishable_from or "" for each in results]
        shown.append(Column("indistinguishable from", False, others))
    shown += [
        Column("M MACs", True, [_millions(each.macs, ".0f") for each in results]),
        Column("M params", True, [_millions(each.params, ".2f") for each in results]),
        *_byte_columns(answer, minimise),
        *_own_columns(candidates, answer),
        Column("latency is", False, [_basis(each) for each in results]),
    ]
    return shown


def _millions(value: int | None, form: str) -> str:
    return "" if value is None else f"{value / 1e6:{form}}"


def _byte_columns(answer: Answer, minimise: Sequence[Measure]) -> list[Column]:
    """The columns of bytes, which are shown only if they were to be minimised."""
    columns = []
    if MEASURES["size"] in minimise:
        weights = [_millions(each.weight_bytes, ".2f") for each in answer.results]
        columns.append(Column("MB of weights", True, weights))
    if MEASURES["memory"] in minimise:
        memory = [_millions(each.memory_bytes, ".2f") for each in answer.results]
        columns.append(Column("MB of activations", True, memory))
    return columns


def _own_columns(candidates: Candidates, answer: Answer) -> list[Column]:
    """The tables' own columns, one per table and name."""
    several = len(candidates.tables) > 1
    # Those have columns of their own already, whoever wrote them.
    elsewhere: set[str] = set()
    if isinstance(candidates.space, Collection):
        elsewhere = {each.column for each in MEASURES.values()} | {candidates.metric.column}
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
        if name not in elsewhere
    ]


def _limits(given: Result, devices: Sequence[str]) -> str:
    """The limits that a result had to meet, with the device if only one of several has a limit."""
    asked = [
        each for each in zip(devices, given.limit_ms or (), strict=False) if each[1] is not None
    ]
    if len(asked) == 1 and len(devices) > 1:
        return f"{asked[0][0]} {asked[0][1]:g}"
    return " ".join(f"{limit:g}" for _, limit in asked)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}"


def _interval(given: Result, table: int) -> str:
    low, high = given.ci_low_ms[table], given.ci_high_ms[table]
    return "" if low is None or high is None else f"{low:.3f} to {high:.3f}"


def _basis(given: Result) -> str:
    kinds = [
        source if status == "ok" else f"{source}, {status}"
        for source, status in zip(given.source, given.status, strict=True)
    ]
    return "; ".join(dict.fromkeys(kinds))


def show(heading: str, shown: Sequence[Column]) -> None:
    """Prints a table: with lines and bold text on a terminal, as plain aligned text elsewhere."""
    if sys.stdout.isatty():
        _draw(heading, shown)
        return
    print(printable(heading))
    for line in plain_lines(shown):
        print(line)


def plain_lines(shown: Sequence[Column]) -> Iterator[str]:
    """The lines of the columns as aligned text, the header first."""
    padded = []
    for column in shown:
        cells = [printable(text) for text in (column.name, *column.values)]
        width = max(map(len, cells))
        padded.append([cell.rjust(width) if column.right else cell.ljust(width) for cell in cells])
    for row in zip(*padded, strict=True):
        yield "  ".join(row).rstrip()


def _draw(heading: str, shown: Sequence[Column]) -> None:
    """Draws a table whose headers may wrap. Values never do, because people copy keys from it."""
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
