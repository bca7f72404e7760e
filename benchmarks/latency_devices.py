"""Devices that the latency model is tried on: released measurements, block sums, simulations."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import yaml

from compofa.profiler.latency_model import Workload
from compofa.supernet.blocks import Conv, Layer, SqueezeExcite
from compofa.supernet.graph import graph_blocks
from compofa.supernet.space import Space
from compofa.supernet.spaces import SPACES
from compofa.supernet.subnet import Subnet

Floats = npt.NDArray[np.float64]
Data = tuple[Space, list[Workload], Floats]


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

    def measure(self, space: Space, cells: Sequence[Workload]) -> Floats:
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


def sampled(space: Space, n: int, batch: int) -> list[Workload]:
    """All cells of a small space, or `n` random ones, in random order."""
    rng = np.random.default_rng(0)
    if space.size < 1000:
        cells = [(s, r, batch) for s in space.enumerate() for r in space.resolutions]
        return [cells[i] for i in rng.permutation(len(cells))]
    return [(space.sample(rng), int(rng.choice(space.resolutions)), batch) for _ in range(n)]


def rtx2080ti(reference: Path, space: Space) -> Data:
    cells: list[Workload] = []
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


def ofa_gpu(path: Path, batch: int) -> Data:
    """One of the two GPUs that timed the same networks at three batch sizes."""
    space = SPACES["ofa-mbv3"]
    with path.open() as file:
        rows = [row for row in csv.DictReader(file) if int(row["batch_size"]) == batch]
    cells = [(space.parse(row["subnet"]), int(row["resolution"]), batch) for row in rows]
    return space, cells, np.array([float(row["latency_ms"]) for row in rows])


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


def simulated(space: Space, device: Device) -> Data:
    cells = sampled(space, 1200, device.batch)
    return space, cells, device.measure(space, cells)


def devices(reference: Path) -> dict[str, Callable[[], Data]]:
    """All of them, by name; each is read when it is called."""
    found: dict[str, Callable[[], Data]] = {
        f"{path.stem}, batch {batch}": partial(ofa_gpu, path, batch)
        for path in sorted((reference / "ofa_latency_gpus").glob("*.csv"))
        for batch in (1, 32, 64)
    }
    found["RTX 2080 Ti, batch 64, earlier file"] = partial(rtx2080ti, reference, SPACES["ofa-mbv3"])
    found["Note10 sums, OFA w1.2"] = partial(note10, reference, SPACES["ofa-mbv3-w1.2"])
    found["Note10 sums, CompOFA w1.2"] = partial(note10, reference, SPACES["compofa-w1.2"])
    for name, (space, device) in SIMULATED.items():
        found[name] = partial(simulated, SPACES[space], device)
    return found
