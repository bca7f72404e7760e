"""How well the latency model predicts, how honest its intervals are, and how long it takes.

    python benchmarks/bench_latency_model.py [--reference DIR] [--part NAME ...] [--device NAME ...]
    python benchmarks/bench_latency_model.py --table

Writes benchmarks/results/latency_model.json case by case, so that several of these commands may
share the cases. `--table` prints these results beside those of an earlier version, which
latency_model_before.json holds, as tables in Markdown.

Every figure is over `DRAWS` random draws of the measured cells, judged on `HELD_OUT` others:
`predict` from cells of the device alone, `like` with the table of another device (and with tables
that mislead), `wrong` with one wrong row, `outside` at resolutions that were not measured, `chosen`
from well-chosen cells, `sums` of the latencies of units, `seconds` of processor time.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from latency_devices import CPU, Data, devices, sampled
from latency_tables import render_tables
from machine import RESULTS, save

from compofa.profiler.latency_model import (
    KnownDevice,
    LatencyModel,
    additivity,
    choose_cells,
)
from compofa.supernet.spaces import SPACES

ROOT = Path(__file__).resolve().parent.parent
SIZES = (5, 10, 20, 50)
LIKE_SIZES = (1, 5, 10, 20, 50)
HELD_OUT = 200
FIRST_SEED = 1000
"""Draws are of seeds from this one on; none of them was looked at while the model was changed."""

DRAWS = 20
SEEDS = range(FIRST_SEED, FIRST_SEED + DRAWS)
Rows = npt.NDArray[np.intp]
Figures = dict[str, float]
Found = dict[str, object]
Loaders = dict[str, Callable[[], Data]]


def judged(model: LatencyModel, data: Data, rows: Rows) -> Figures:
    """Error, rank correlation, coverage and width at 90 % on the cells at `rows`."""
    _, cells, latency = data
    found = model.predict([cells[i] for i in rows], 0.9)
    truth = latency[rows]
    inside = (found.low_ms <= truth) & (truth <= found.high_ms)
    ranks = [np.argsort(np.argsort(each)) for each in (found.latency_ms, truth)]
    return {
        "error": 100 * float(np.abs(found.latency_ms / truth - 1).mean()),
        "rank": float(np.corrcoef(ranks[0], ranks[1])[0, 1]),
        "coverage": float(inside.mean()),
        "width": 100 * float(np.median((found.high_ms - found.low_ms) / found.latency_ms)),
    }


def summary(draws: Sequence[Figures]) -> Figures:
    """Means over draws, and the worst draw."""
    means = {name: float(np.mean([draw[name] for draw in draws])) for name in draws[0]}
    return {
        **means,
        "worst_error": max(draw["error"] for draw in draws),
        "worst_coverage": min(draw["coverage"] for draw in draws),
        "widest": max(draw["width"] for draw in draws),
    }


def drawn(
    data: Data,
    sizes: Sequence[int],
    others: Sequence[KnownDevice] = (),
    spoil: float = 1.0,
) -> dict[str, Figures]:
    """A summary for each number of measured cells.

    Args:
        data: the device.
        sizes: numbers of measured cells.
        others: devices that it may be like.
        spoil: what the latency of one measured cell is multiplied by.
    """
    space, cells, latency = data
    found = {}
    for n in sizes:
        each = []
        for seed in SEEDS:
            order = np.random.default_rng(seed).permutation(len(cells))
            fitted, rest = order[:n], order[-HELD_OUT:]
            timed = latency[fitted].copy()
            timed[0] *= spoil
            started = time.process_time()
            model = LatencyModel.fit(space, [cells[i] for i in fitted], timed, others=others)
            seconds = time.process_time() - started
            figures = judged(model, data, rest) | {"fit_seconds": seconds}
            figures["set_aside"] = float(len(model.set_aside))
            if spoil != 1:
                named = cells[fitted[0]] in [suspect.cell for suspect in model.suspects]
                figures["wrong_row_named"] = float(named)
            each.append(figures)
        found[str(n)] = summary(each)
    return found


def predict(name: str, load: Loaders) -> Found:
    """From cells of the device alone."""
    return {name: told(name, drawn(load[name](), SIZES))}


def like(name: str, load: Loaders) -> Found:
    """With the table of another device that has the same networks, true and misleading."""
    gpu, _, batch = name.partition(", ")
    others = [each for each in load if each.startswith(("rtx", "titan")) and gpu not in each]
    if not name.startswith(("rtx", "titan")):
        return {}
    data = load[name]()
    space, cells, latency = data
    found: Found = {}
    tables = {other: load[other]()[2] for other in others if other.endswith(batch)}
    misleading = {
        "a table of another batch size": load[next(o for o in others if batch not in o)]()[2],
        "a shuffled table": np.random.default_rng(0).permutation(latency),
        "a table of images per second": 1000 / latency,
    }
    for other, theirs in (tables | misleading).items():
        known = KnownDevice.fit(space, other, cells, theirs)
        sizes = LIKE_SIZES if other in tables else (5,)
        label = f"{name} like {other}"
        found[label] = told(label, drawn(data, sizes, [known]))
    return found


def wrong(name: str, load: Loaders) -> Found:
    """With one row of 50 a thousand times too slow."""
    return {name: told(f"{name}, one row x 1000", drawn(load[name](), (50,), spoil=1000.0))}


def outside(name: str, load: Loaders) -> Found:
    """Measured at small resolutions and asked at large ones, and the other way round."""
    data = load[name]()
    space, cells, latency = data
    sizes = np.array([resolution for _, resolution, _ in cells])
    small = np.flatnonzero(sizes <= max(160, np.unique(sizes)[2]))
    large = np.flatnonzero(sizes >= 208)
    found: Found = {}
    for way, (inner, outer) in {"larger": (small, large), "smaller": (large, small)}.items():
        each = []
        for seed in SEEDS:
            rng = np.random.default_rng(seed)
            fitted = rng.choice(inner, 40, replace=False)
            rest = rng.choice(outer, min(HELD_OUT, len(outer)), replace=False)
            started = time.process_time()
            model = LatencyModel.fit(space, [cells[i] for i in fitted], latency[fitted])
            seconds = time.process_time() - started
            each.append(judged(model, data, rest) | {"fit_seconds": seconds})
        label = f"{name}, {way}"
        found[label] = told(label, {"40": summary(each)})
    return found


def chosen(name: str, load: Loaders) -> Found:
    """From cells chosen and drawn out of 1,000, judged on 200 others."""
    data = load[name]()
    space, cells, latency = data
    result: dict[str, object] = {}
    for n in (10, 20, 40):
        each: dict[str, list[Figures]] = {"chosen": [], "random": []}
        for seed in SEEDS:
            order = np.random.default_rng(seed).permutation(len(cells))
            pool, rest = order[200:1200], order[:200]
            best = choose_cells(space, [cells[i] for i in pool], n, seed=seed)
            for how, rows in (("chosen", pool[best]), ("random", pool[:n])):
                model = LatencyModel.fit(space, [cells[i] for i in rows], latency[rows])
                each[how].append(judged(model, data, rest))
        result[str(n)] = {how: summary(figures) for how, figures in each.items()}
        errors = {how: round(np.mean([f["error"] for f in each[how]]), 2) for how in each}
        print(f"{name:44} {n:4} cells, error in percent: {errors}", flush=True)
    return {name: result}


def sums(name: str, load: Loaders) -> Found:
    """Whether latencies of networks are sums of their units'."""
    compared = additivity(*load[name]())
    return {name: None if compared is None else asdict(compared)}


def seconds() -> Found:
    """Processor time, the best of three, after one call that fills the graph's caches."""
    space = SPACES["compofa"]
    cells = sampled(space, 0, 1)
    latency = CPU.measure(space, cells)
    model = LatencyModel.fit(space, cells[:60], latency[:60])

    def fit(n: int) -> Callable[[], object]:
        return lambda: LatencyModel.fit(space, cells[:n], latency[:n])

    tasks: dict[str, Callable[[], object]] = {
        **{f"fit_{n}": fit(n) for n in (10, 60, 200, 300, 1000, 1215)},
        "predict_1215": lambda: model.predict(cells),
        "choose_40_of_1215": lambda: choose_cells(space, cells, 40),
        "know_a_device_of_1215": lambda: KnownDevice.fit(space, "other", cells, latency),
    }
    found: Found = {}
    for name, task in tasks.items():
        taken = []
        for _ in range(3):
            started = time.process_time()
            task()
            taken.append(time.process_time() - started)
        found[name] = min(taken)
    print(found)
    return found


def told(name: str, figures: dict[str, Figures]) -> dict[str, Figures]:
    """`figures`, printed."""
    for n, each in figures.items():
        print(
            f"{name:44} {n:>3} cells: error {each['error']:6.2f} %, rank {each['rank']:.4f}, "
            f"coverage {100 * each['coverage']:3.0f} %, worst {100 * each['worst_coverage']:3.0f} %"
            f", width {each['width']:5.1f} %",
            flush=True,
        )
    return figures


PARTS = {part.__name__: part for part in (predict, like, wrong, outside, chosen, sums)}
PATH = RESULTS / "latency_model.json"


@contextmanager
def results() -> Iterator[dict[str, Any]]:
    """The stored results, to be changed: what is done is kept if the rest is interrupted."""
    with Path(__file__).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        report = json.loads(PATH.read_text()) if PATH.exists() else {}
        report.pop("machine", None)
        report |= {"draws": DRAWS, "first_seed": FIRST_SEED}
        yield report
        save(PATH.stem, report)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reference", type=Path, default=ROOT.parent / "shared" / "reference")
    parser.add_argument("--part", nargs="*", choices=[*PARTS, "seconds"])
    parser.add_argument("--device", nargs="*", help="those whose names contain one of these")
    parser.add_argument("--table", action="store_true", help="print what is stored")
    options = parser.parse_args()
    if options.table:
        before = json.loads(PATH.with_name("latency_model_before.json").read_text())
        print(render_tables(before, json.loads(PATH.read_text())))
        return
    if not options.reference.is_dir():
        print(f"skipped: the released measurements are not in {options.reference}")
        return
    load = devices(options.reference)
    for part in options.part or [*PARTS, "seconds"]:
        if part == "seconds":
            taken = seconds()
            with results() as report:
                report[part] = taken
        for name in load if part in PARTS else ():
            if options.device is None or any(some in name for some in options.device):
                found = PARTS[part](name, load)
                with results() as report:
                    report.setdefault(part, {}).update(found)


if __name__ == "__main__":
    main()
