"""How well the latency model predicts, how honest its intervals are, and how long it takes.

    python benchmarks/bench_latency_model.py --reference ../shared/reference [--draws 10]

Writes benchmarks/results/latency_model.json. Devices: the released RTX 2080 Ti measurements, sums
of the released Note10 block table (a noise-free additive device), and simulated devices of
several kinds. Every figure is a mean over random draws of the measured cells.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import yaml
from machine import save

from compofa.profiler.latency_model import (
    Cell,
    LatencyModel,
    additivity,
    choose_cells,
    held_out_error,
)
from compofa.supernet.blocks import Conv, Layer, SqueezeExcite
from compofa.supernet.graph import graph_blocks
from compofa.supernet.space import Space
from compofa.supernet.spaces import SPACES
from compofa.supernet.subnet import Subnet

ROOT = Path(__file__).resolve().parent.parent
SIZES = (20, 50, 200)
Floats = npt.NDArray[np.float64]
Data = tuple[Space, list[Cell], Floats]


@dataclass(frozen=True)
class Device:
    """A simulated device: per layer, the slower of computing and moving data, in milliseconds.

    Attributes:
        macs, numbers: per millisecond.
        launch: milliseconds a kernel.
        tile: (channels, pixels) that computing is done in multiples of.
        overlapped: whether launches run ahead of the computing, as on a GPU.
        jitter: relative sd of a layer shape's efficiency; noise: of a measurement.
        bend: latency is the sum to the power of 1 - bend.
    """

    macs: float
    numbers: float
    launch: float
    batch: int = 1
    tile: tuple[int, int] = (8, 4)
    overlapped: bool = False
    jitter: float = 0.08
    noise: float = 0.01
    bend: float = 0.0

    def measure(self, space: Space, cells: Sequence[Cell]) -> Floats:
        rng = np.random.default_rng(0)
        efficiency: dict[tuple[object, ...], float] = {}
        found = []
        for subnet, resolution, _ in cells:
            launched = done = 0.0
            for block in graph_blocks(space, subnet, resolution):
                for layer in block.layers:
                    shape = (type(layer), layer.input, layer.output, getattr(layer, "kernel", 0))
                    if shape not in efficiency:
                        efficiency[shape] = float(np.exp(self.jitter * rng.standard_normal()))
                    busy = self._busy(layer) * efficiency[shape]
                    launched += self.launch * (4 if isinstance(layer, SqueezeExcite) else 1)
                    done = max(done, launched) + busy if self.overlapped else done + busy
            found.append(done if self.overlapped else done + launched)
        noise = np.exp(self.noise * rng.standard_normal(len(found)))
        latency: Floats = np.array(found) ** (1 - self.bend) * noise
        return latency

    def _busy(self, layer: Layer) -> float:
        moved = self.batch * (layer.input.elements + layer.output.elements) + layer.params
        macs = float(self.batch * layer.macs)
        if isinstance(layer, Conv):
            pixels = self.batch * layer.output.height * layer.output.width
            macs *= -(-pixels // self.tile[1]) * self.tile[1] / pixels
            if layer.depthwise:
                macs *= 5 / (1 + 0.15 * (layer.kernel - 3) / 2)
            else:
                channels = layer.output.channels
                macs *= -(-channels // self.tile[0]) * self.tile[0] / channels
        return max(macs / self.macs, moved / self.numbers)


CPU = Device(macs=6e6, numbers=2e6, launch=0.008)
SIMULATED = {
    "simulated CPU": ("compofa", CPU),
    "simulated CPU, ResNet50": ("ofa-resnet50", CPU),
    "simulated bent CPU, Proxyless": ("ofa-proxyless-w1.3", Device(6e6, 2e6, 0.02, bend=0.1)),
    "simulated GPU, batch 64": ("ofa-mbv3", Device(2.5e9, 75e6, 0.006, 64, (64, 128))),
    "simulated GPU, batch 1": (
        "ofa-mbv3",
        Device(2.5e9, 75e6, 0.045, 1, (64, 128), overlapped=True, noise=0.04),
    ),
}


def sampled(space: Space, n: int, batch: int) -> list[Cell]:
    """All cells of a small space, or `n` random ones, in random order."""
    rng = np.random.default_rng(0)
    if space.size < 1000:
        cells = [(s, r, batch) for s in space.enumerate() for r in space.resolutions]
        return [cells[i] for i in rng.permutation(len(cells))]
    return [(space.sample(rng), int(rng.choice(space.resolutions)), batch) for _ in range(n)]


def rtx2080ti(reference: Path, space: Space) -> Data:
    cells: list[Cell] = []
    latency = []
    with (reference / "ofa_rtx2080ti_batch64.csv").open() as file:
        for row in csv.DictReader(file):
            depths = tuple(map(int, row["depths"]))
            exists = [b < depth for depth in depths for b in range(4)]
            expands, kernels = (
                tuple(int(v) if e else 0 for v, e in zip(row[name], exists, strict=True))
                for name in ("expands", "kernels")
            )
            cells.append((Subnet(depths, expands, kernels), int(row["resolution"]), 64))
            latency.append(float(row["latency_ms"]))
    return space, cells, np.array(latency)


def note10(reference: Path, space: Space) -> Data:
    cells = sampled(space, 1500, 1)
    tables = {
        r: yaml.safe_load((reference / "note10_lut" / f"{r}_lookup_table.yaml").read_text())
        for r in space.resolutions
    }
    sums = [
        sum(tables[r][block.key]["mean"] for block in graph_blocks(space, s, r))
        for s, r, _ in cells
    ]
    return space, cells, np.array(sums)


def devices(reference: Path) -> dict[str, Data]:
    found = {
        "RTX 2080 Ti, batch 64, as w1.0": rtx2080ti(reference, SPACES["ofa-mbv3"]),
        "RTX 2080 Ti, batch 64, as w1.2": rtx2080ti(reference, SPACES["ofa-mbv3-w1.2"]),
        "Note10 sums, OFA w1.2": note10(reference, SPACES["ofa-mbv3-w1.2"]),
        "Note10 sums, CompOFA w1.2": note10(reference, SPACES["compofa-w1.2"]),
    }
    for name, (space_name, device) in SIMULATED.items():
        space = SPACES[space_name]
        cells = sampled(space, 1200, device.batch)
        found[name] = (space, cells, device.measure(space, cells))
    return found


def random_draws(data: Data, n: int, draws: int) -> dict[str, float]:
    """Mean errors over random draws of `n` measured cells, on all the rest."""
    space, cells, latency = data
    errors, seconds = [], []
    for seed in range(draws):
        order = np.random.default_rng(seed).permutation(len(cells))
        fitted, rest = order[:n], order[n:]
        started = time.perf_counter()
        model = LatencyModel.fit(space, [cells[i] for i in fitted], latency[fitted])
        seconds.append(time.perf_counter() - started)
        errors.append(asdict(held_out_error(model, [cells[i] for i in rest], latency[rest], 0.9)))
    means = {name: float(np.mean([error[name] for error in errors])) for name in errors[0]}
    return {**means, "fit_seconds": float(np.median(seconds))}


def chosen_or_random(data: Data, n: int, draws: int) -> dict[str, float]:
    """Mean error on 200 random held-out cells, from `n` cells chosen or drawn out of 1,000."""
    space, cells, latency = data
    found: dict[str, list[float]] = {"chosen": [], "chosen_coverage": [], "random": []}
    for seed in range(draws):
        order = np.random.default_rng(seed).permutation(len(cells))
        pool, held_out = order[200:1200], order[:200]
        best = choose_cells(space, [cells[i] for i in pool], n, seed=seed)
        for name, rows in (("chosen", pool[best]), ("random", pool[:n])):
            model = LatencyModel.fit(space, [cells[i] for i in rows], latency[rows])
            error = held_out_error(model, [cells[i] for i in held_out], latency[held_out], 0.9)
            found[name].append(error.mean_absolute_percent)
            if name == "chosen":
                found["chosen_coverage"].append(error.coverage)
    return {name: float(np.mean(values)) for name, values in found.items()}


def timings() -> dict[str, float]:
    """Best of three, in seconds, after one call that fills the graph's caches."""
    space = SPACES["compofa"]
    cells = sampled(space, 0, 1)
    latency = CPU.measure(space, cells)
    model = LatencyModel.fit(space, cells[:60], latency[:60])
    tasks: dict[str, Callable[[], object]] = {
        "fit_60": lambda: LatencyModel.fit(space, cells[:60], latency[:60]),
        "fit_200": lambda: LatencyModel.fit(space, cells[:200], latency[:200]),
        "fit_1215": lambda: LatencyModel.fit(space, cells, latency),
        "predict_1215": lambda: model.predict(cells),
        "choose_40_of_1215": lambda: choose_cells(space, cells, 40),
    }
    found = {}
    for name, task in tasks.items():
        seconds = []
        for _ in range(3):
            started = time.perf_counter()
            task()
            seconds.append(time.perf_counter() - started)
        found[name] = min(seconds)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reference", type=Path, default=ROOT.parent / "shared" / "reference")
    parser.add_argument("--draws", type=int, default=10)
    options = parser.parse_args()
    if not options.reference.is_dir():
        print(f"skipped: the released measurements are not in {options.reference}")
        return
    report: dict[str, object] = {"draws": options.draws, "seconds": timings()}
    for name, data in devices(options.reference).items():
        result: dict[str, object] = {}
        for n in SIZES:
            row = random_draws(data, n, options.draws)
            result[f"random_{n}"] = row
            print(
                f"{name:32} {n:4} cells: {row['mean_absolute_percent']:.2f} %"
                f"  rank {row['rank_correlation']:.4f}  coverage {100 * row['coverage']:.1f} %",
                flush=True,
            )
        for n in (20, 40):
            result[f"chosen_{n}"] = chosen_or_random(data, n, options.draws)
            print(f"{name:32} {n:4} chosen or random: {result[f'chosen_{n}']}", flush=True)
        sums = additivity(*data)
        result["additivity"] = None if sums is None else asdict(sums)
        report[name] = result
    print(report["seconds"])
    print(save("latency_model", report))


if __name__ == "__main__":
    main()
