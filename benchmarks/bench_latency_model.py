"""How well the latency model predicts, how honest its intervals are, and how long it takes.

    python benchmarks/bench_latency_model.py [--reference DIR] [--draws 20] [--part NAME ...]

Writes benchmarks/results/latency_model.json, where what an earlier version gave on the same draws
stays under `before`. Every figure is over random draws of the measured cells, judged on
`HELD_OUT` others: `predict` from cells of the device alone, `like` with the table of another
device (and with tables that mislead), `wrong` with one wrong row, `outside` at resolutions that
were not measured, `chosen` from well-chosen cells, `sums` of the latencies of units, `seconds` of
processor time.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
from latency_devices import CPU, Data, devices, sampled
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
LIKE_SIZES = (1, 5, 10, 20)
HELD_OUT = 200
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
    draws: int,
    others: Sequence[KnownDevice] = (),
    spoil: float = 1.0,
) -> dict[str, Figures]:
    """A summary for each number of measured cells.

    Args:
        data: the device.
        sizes: numbers of measured cells.
        draws: how many of each.
        others: devices that it may be like.
        spoil: what the latency of one measured cell is multiplied by.
    """
    space, cells, latency = data
    found = {}
    for n in sizes:
        each = []
        for seed in range(draws):
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


def predict(name: str, load: Loaders, draws: int) -> Found:
    """From cells of the device alone."""
    return {name: told(name, drawn(load[name](), SIZES, draws))}


def like(name: str, load: Loaders, draws: int) -> Found:
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
        found[label] = told(label, drawn(data, sizes, draws, [known]))
    return found


def wrong(name: str, load: Loaders, draws: int) -> Found:
    """With one row of 50 a thousand times too slow."""
    return {name: told(f"{name}, one row x 1000", drawn(load[name](), (50,), draws, spoil=1000.0))}


def outside(name: str, load: Loaders, draws: int) -> Found:
    """Measured up to 160 pixels, or at the three smallest resolutions, and asked from 208 on."""
    data = load[name]()
    space, cells, latency = data
    sizes = np.array([resolution for _, resolution, _ in cells])
    small = np.flatnonzero(sizes <= max(160, np.unique(sizes)[2]))
    large = np.flatnonzero(sizes >= 208)
    each = []
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        fitted = rng.choice(small, 40, replace=False)
        rest = rng.choice(large, min(HELD_OUT, len(large)), replace=False)
        model = LatencyModel.fit(space, [cells[i] for i in fitted], latency[fitted])
        each.append(judged(model, data, rest))
    return {name: told(f"{name}, outside", {"40": summary(each)})}


def chosen(name: str, load: Loaders, draws: int) -> Found:
    """From cells chosen and drawn out of 1,000, judged on 200 others."""
    data = load[name]()
    space, cells, latency = data
    result: dict[str, object] = {}
    for n in (10, 20, 40):
        each: dict[str, list[Figures]] = {"chosen": [], "random": []}
        for seed in range(draws):
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


def sums(name: str, load: Loaders, draws: int) -> Found:
    """Whether latencies of networks are sums of their units'."""
    del draws
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reference", type=Path, default=ROOT.parent / "shared" / "reference")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--part", nargs="*", choices=[*PARTS, "seconds"])
    parser.add_argument("--device", nargs="*", help="those whose names contain one of these")
    options = parser.parse_args()
    if not options.reference.is_dir():
        print(f"skipped: the released measurements are not in {options.reference}")
        return
    path = RESULTS / "latency_model.json"
    report = json.loads(path.read_text()) if path.exists() else {}
    report.pop("machine", None)
    report["draws"] = options.draws
    load = devices(options.reference)
    for part in options.part or [*PARTS, "seconds"]:
        if part == "seconds":
            report[part] = seconds()
        for name in load if part in PARTS else ():
            if options.device is None or any(some in name for some in options.device):
                report.setdefault(part, {}).update(PARTS[part](name, load, options.draws))
                save("latency_model", report)  # what is done is kept if this is interrupted
    print(save("latency_model", report))


if __name__ == "__main__":
    main()
