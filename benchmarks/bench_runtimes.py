"""The same subnets in every runtime and number format of this computer, and how they rank there.

    python benchmarks/bench_runtimes.py [--rounds 8] [--cells 20] [--only torch,tflite]

Subnets of `compofa` drawn at random, the smallest and the largest among them, run at 192 pixels,
batch 1, on one thread. In each round every set-up has one session (a fresh agent), in random order,
so that all see the same weather; within a session, subnets come in random order. Intervals are over
sessions. Five of the subnets, evenly spread by MACs, make the table and the picture; all of them
make the rank correlations (Spearman), of latencies, and of what is left of them once a power of the
MACs is taken out. On the diagonal stand a set-up's odd rounds against its even ones: what does not
agree with itself says nothing about others.

Writes benchmarks/results/runtimes.json and docs/notes/runtimes.png. Compiled torch takes a minute
a subnet once, int8 models some seconds each.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from machine import save
from scipy import stats

from compofa.common.errors import CompofaError
from compofa.profiler.models.model_store import ModelStore
from compofa.profiler.results.table import Cell
from compofa.profiler.statistics.interval import Estimate, estimate_cells
from compofa.profiler.statistics.runs.location import condense
from compofa.profiler.transports.agent_client import AgentLink
from compofa.profiler.transports.local import LocalDevice, LocalTransport
from compofa.supernet.graph import build_graph
from compofa.supernet.spaces import SPACES

SPACE, RESOLUTION, SHOWN = SPACES["compofa"], 192, 5
WARM_UP, RUNS = 8, 24
PICTURE = Path(__file__).parent.parent / "docs" / "notes" / "runtimes.png"
SETUPS: tuple[dict[str, str], ...] = (
    {"runtime": "onnxruntime"},
    {"runtime": "onnxruntime", "dtype": "int8"},
    {"runtime": "tflite"},
    {"runtime": "tflite", "dtype": "int8"},
    {"runtime": "openvino"},
    {"runtime": "openvino", "dtype": "bfloat16"},
    {"runtime": "openvino", "dtype": "int8"},
    {"runtime": "torch"},
    {"runtime": "torch", "mode": "channels_last"},
    {"runtime": "torch", "dtype": "bfloat16", "mode": "channels_last"},
    {"runtime": "torch", "mode": "compiled"},
)

Floats = npt.NDArray[np.float64]
Latencies = dict[Cell, dict[int, float]]
"""By cell and session, in ms."""


@dataclass
class Bench:
    """One set-up with its models and its way to this computer."""

    device: LocalDevice
    store: ModelStore
    transport: LocalTransport

    def session(self, cells: Sequence[Cell]) -> dict[Cell, float]:
        """One fresh agent that loads and times each of `cells`; condensed latencies in ms."""
        found = {}
        with self.transport.start_agent() as channel:
            link = AgentLink(channel)
            link.hello(self.device.threads, self.device.cpus)
            for cell in cells:
                model = self.store.model(cell)
                self.transport.put(model.path, model.sha256)
                loaded = link.load(model.sha256, self.device.runtime, self.device.load_options())
                wrong = model.mismatch(loaded.output, loaded.output_size)
                if wrong:
                    raise SystemExit(f"{self.device.name}: {cell.subnet}: {wrong}")
                link.run(loaded.handle, WARM_UP, 1, 120)
                ns, _ = link.run(loaded.handle, RUNS, 1, 120)
                found[cell] = condense(ns) / 1e6
                link.unload(loaded.handle)
            link.quit()
        return found


def draw(count: int) -> list[Cell]:
    """The smallest and the largest subnet and others at random, in order of their MACs."""
    rng = np.random.default_rng(0)
    ends = [SPACE.extreme(largest) for largest in (False, True)]
    chosen = dict.fromkeys(SPACE.key(subnet) for subnet in ends)
    while len(chosen) < count:
        chosen.setdefault(SPACE.key(SPACE.sample(rng)))
    macs = {key: build_graph(SPACE, SPACE.parse(key), RESOLUTION).macs for key in chosen}
    return [Cell(SPACE.name, key, RESOLUTION, 1) for key in sorted(macs, key=lambda k: macs[k])]


def measure(cells: list[Cell], rounds: int, only: set[str]) -> dict[str, Latencies]:
    """For each set-up that this computer has, the latencies of all cells."""
    rng = np.random.default_rng(1)
    with contextlib.ExitStack() as stack:
        benches: dict[str, Bench] = {}
        for settings in SETUPS:
            name = " ".join(settings.values())
            if only and settings["runtime"] not in only:
                continue
            device = LocalDevice.model_validate({"name": name, **settings})
            store = ModelStore([SPACE], device.runtime, device.dtype)
            bench = Bench(
                device, stack.enter_context(store), stack.enter_context(LocalTransport(device))
            )
            begun = time.monotonic()
            try:
                bench.session(cells)  # models are made, and compiled code is cached
            except CompofaError as error:
                print(f"{name}: left out: {error}")
                continue
            print(f"{name}: ready after {time.monotonic() - begun:.0f} s", flush=True)
            benches[name] = bench
        found: dict[str, Latencies] = {name: {cell: {} for cell in cells} for name in benches}
        for number in range(rounds):
            for name in rng.permutation(list(benches)).tolist():
                order = [cells[i] for i in rng.permutation(len(cells))]
                for cell, ms in benches[name].session(order).items():
                    found[name][cell][number] = ms
            print(f"round {number + 1} of {rounds}", flush=True)
    return found


def beyond_macs(logs: Floats, cells: list[Cell]) -> tuple[float, Floats]:
    """The power of the MACs that latencies grow with, and what is left of their logarithms."""
    graphs = [build_graph(SPACE, SPACE.parse(cell.subnet), RESOLUTION) for cell in cells]
    macs = np.log([graph.macs for graph in graphs])
    power, level = np.polyfit(macs, logs, 1)
    return float(power), logs - power * macs - level


def ranks(
    found: Mapping[str, Latencies], cells: list[Cell], *, same_macs: bool
) -> dict[str, dict[str, float]]:
    """Spearman's correlation between set-ups; of one with itself, between halves of its rounds.

    Args:
        same_macs: of what is left beyond the MACs, rather than of latencies.
    """

    def ranked(name: str, part: slice = slice(None)) -> Floats:
        logs = typical(found[name], cells, part)
        return beyond_macs(logs, cells)[1] if same_macs else logs

    def correlation(a: Floats, b: Floats) -> float:
        return round(float(stats.spearmanr(a, b).statistic), 3)

    halves = slice(0, None, 2), slice(1, None, 2)
    return {
        a: {
            b: correlation(ranked(a), ranked(b))
            if a != b
            else correlation(*(ranked(a, half) for half in halves))
            for b in found
        }
        for a in found
    }


def typical(latencies: Latencies, cells: list[Cell], part: slice = slice(None)) -> Floats:
    """The logarithm of each cell's median over these rounds."""
    return np.log([np.median(list(latencies[cell].values())[part]) for cell in cells])


def draw_plot(rows: list[dict[str, Any]]) -> None:
    """Latency of each subnet, one panel a set-up, with its interval."""
    import vl_convert

    subnets = list(dict.fromkeys(row["subnet"] for row in rows))
    y = {"field": "setup", "type": "nominal", "sort": None, "title": None}
    x = {
        "type": "quantitative",
        "scale": {"type": "log", "nice": False},
        "title": "Latency, ms (log scale)",
    }
    colour = {"field": "subnet", "type": "nominal", "sort": subnets,
              "scale": {"scheme": "viridis"}, "legend": {"title": "Subnet"}}  # fmt: skip
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "title": {
            "text": "The same five subnets in every runtime",
            "subtitle": f"compofa at {RESOLUTION}, batch 1, one thread; 95 % intervals",
            "anchor": "start",
        },
        "background": "white",
        "padding": 16,
        "width": 620,
        "height": {"step": 34},
        "data": {"values": rows},
        "layer": [
            {
                "mark": {"type": "rule", "strokeWidth": 3, "opacity": 0.5},
                "encoding": {"y": y, "x": {**x, "field": "low"}, "x2": {"field": "high"},
                             "color": colour},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1},
                "encoding": {"y": y, "x": {**x, "field": "ms"}, "color": colour},
            },
        ],
        "config": {"font": "Helvetica, Arial, sans-serif",
                   "axis": {"labelFontSize": 13, "titleFontSize": 13, "labelLimit": 300}},
    }  # fmt: skip
    PICTURE.write_bytes(vl_convert.vegalite_to_png(spec, scale=2))


def main() -> None:
    """Measures, prints, draws and saves."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--cells", type=int, default=20)
    parser.add_argument("--only", default="")
    asked = parser.parse_args()
    cells = draw(asked.cells)
    found = measure(cells, asked.rounds, set(filter(None, asked.only.split(","))))
    estimates: dict[str, dict[Cell, Estimate]] = {
        name: estimate_cells(latencies, peeking=False) for name, latencies in found.items()
    }
    places = np.linspace(0, len(cells) - 1, min(SHOWN, len(cells))).round().astype(int)
    shown = [cells[i] for i in places.tolist()]
    rows = [
        {"setup": name, "subnet": cell.subnet, "ms": each.value, "low": each.low,
         "high": each.high, "sessions": each.n_sessions}
        for name, by_cell in estimates.items()
        for cell, each in ((cell, by_cell[cell]) for cell in shown)
    ]  # fmt: skip
    print(f"{'':<30}" + "".join(f"{cell.subnet:>18}" for cell in shown))
    for name, by_cell in estimates.items():
        each = [by_cell[cell] for cell in shown]
        print(
            f"{name:<30}"
            + "".join(f"{e.value:>9.2f} ±{e.relative_half_width:>6.1%}  " for e in each)
        )
    correlations = {
        "rank_correlation": ranks(found, cells, same_macs=False),
        "rank_correlation_beyond_macs": ranks(found, cells, same_macs=True),
    }
    for title, matrix in correlations.items():
        print(f"{title}; on the diagonal, of a set-up with itself")
        for name, others in matrix.items():
            print(f"{name:<30}" + "".join(f"{value:>7.3f}" for value in others.values()))
    beyond = {name: beyond_macs(typical(by, cells), cells) for name, by in found.items()}
    results = {
        "space": SPACE.name,
        "resolution": RESOLUTION,
        "rounds": asked.rounds,
        "runs": RUNS,
        "cells": [cell.subnet for cell in cells],
        "latencies": rows,
        "all_ms": {n: {c.subnet: e.value for c, e in by.items()} for n, by in estimates.items()},
        "power_of_macs": {name: round(power, 3) for name, (power, _) in beyond.items()},
        "sd_beyond_macs": {name: round(float(left.std()), 4) for name, (_, left) in beyond.items()},
        **correlations,
    }
    draw_plot(rows)
    print(save("runtimes", results), PICTURE)


if __name__ == "__main__":
    main()
