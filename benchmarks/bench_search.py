"""How long a search takes: in process over a whole table, and as a cold command.

    python benchmarks/bench_search.py [acc_predictor.pth]

The table has every cell of the compound space; its latencies are made up from MACs, which changes
nothing about the time. Ten devices with 25 resolutions are asked for 100 limits each as well. With
a predictor file, the search that predicts all accuracies is timed too. Writes
benchmarks/results/search.json.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from machine import save

from compofa.profiler.results.table import Cell, Row, SetUp, Table, read_table, write_table
from compofa.search.accuracy.accuracy import load_accuracy
from compofa.search.accuracy.accuracy_table import AccuracyTable
from compofa.search.accuracy.sources import AccuracySource
from compofa.search.answer import ask
from compofa.search.candidates import Latencies, join
from compofa.supernet.graph import build_graph
from compofa.supernet.space import SEARCHED_RESOLUTIONS
from compofa.supernet.spaces import SPACES

SPACE = SPACES["compofa"]
LIMITS = [(limit,) for limit in (15.0, 20.0, 25.0, 30.0, 35.0, 40.0, 45.0, 50.0)]


MANY_RESOLUTIONS, DEVICES, MANY_LIMITS = tuple(range(128, 225, 4)), 10, 100


def made_up_table(resolutions: Sequence[int] = SEARCHED_RESOLUTIONS, scale: float = 1.0) -> Table:
    rows = []
    for resolution in resolutions:
        for subnet in SPACE.enumerate():
            latency = scale * build_graph(SPACE, subnet, resolution).macs / 1e7
            cell = Cell(SPACE.name, SPACE.key(subnet), resolution, 1)
            interval = (0.98 * latency, 1.02 * latency)
            rows.append(
                Row(cell, latency, *interval, 0.95, latency, "measured", "ok", 5, 50, "", "")
            )
    return Table(SetUp("bench", "none", "", "cpu", 1, "float32"), tuple(rows))


def timed(work: Callable[[], object], repeats: int) -> dict[str, float]:
    """Median and fastest of `repeats`, in milliseconds, after one that is not counted."""
    work()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return {
        "median_ms": round(1e3 * statistics.median(seconds), 2),
        "fastest_ms": round(1e3 * min(seconds), 2),
    }


def in_process(latencies: Latencies, accuracy: AccuracySource) -> dict[str, dict[str, float]]:
    """The steps of a search, tables and accuracies loaded; `all` is joining and eight limits."""
    candidates = join([latencies], SPACE, accuracy)

    def everything() -> None:
        ask(join([latencies], SPACE, accuracy), LIMITS, top=1)

    return {
        "join": timed(lambda: join([latencies], SPACE, accuracy), 30),
        "eight_limits": timed(lambda: ask(candidates, LIMITS, top=1), 30),
        "front": timed(lambda: ask(candidates, []), 30),
        "all": timed(everything, 30),
    }


def many_questions() -> dict[str, object]:
    """Every limit on every device; the first time includes what is computed only once."""
    tables = [made_up_table(MANY_RESOLUTIONS, 1 + device / 10) for device in range(DEVICES)]
    cells = [row.cell for row in tables[0].rows]
    top1 = np.random.default_rng(0).random(len(cells)).tolist()
    values = {(c.subnet, c.resolution): each for c, each in zip(cells, top1, strict=True)}
    accuracy = AccuracyTable(Path("made up"), {SPACE.name: values}, (), {})
    joined = [join([Latencies(Path("made up"), table)], SPACE, accuracy) for table in tables]
    limits = [(limit,) for limit in np.linspace(10, 60, MANY_LIMITS).tolist()]

    def everything() -> None:
        for candidates in joined:
            ask(candidates, limits, top=1)

    start = time.perf_counter()
    everything()
    first = round(1e3 * (time.perf_counter() - start), 2)
    return {
        "cells_of_a_device": len(cells),
        "devices": DEVICES,
        "limits_of_each": MANY_LIMITS,
        "first_ms": first,
        **timed(everything, 20),
    }


def cold(table: Path) -> dict[str, object]:
    """The command, and importing numpy, typer and rich, in turns."""
    base = [sys.executable, "-c", "import numpy, typer, rich"]
    code = "from compofa.search.commands.search_command import main; main()"
    command = [sys.executable, "-c", code, "--table", str(table), "--latency", "25"]
    seconds: dict[str, list[float]] = {"base": [], "command": []}
    for _ in range(15):
        for name, line in (("base", base), ("command", command)):
            start = time.perf_counter()
            subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
            seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    return {
        "imports_ms": round(1e3 * medians["base"], 1),
        "command_ms": round(1e3 * medians["command"], 1),
        "ratio": round(medians["command"] / medians["base"], 2),
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.csv"
        write_table(path, made_up_table())
        latencies = Latencies(path, read_table(path))
        found: dict[str, object] = {
            "cells": len(latencies.table.rows),
            "limits": len(LIMITS),
            "read_table": timed(lambda: read_table(path), 10),
            "shipped_accuracies": in_process(latencies, load_accuracy(None, SPACE)),
            "many_questions": many_questions(),
            "cold_command": cold(path),
        }
        if len(sys.argv) > 1:
            predictor = load_accuracy(Path(sys.argv[1]), SPACE)
            found["predictor"] = in_process(latencies, predictor)
    print(json.dumps(found, indent=1))
    print(save("search", found))


if __name__ == "__main__":
    main()
