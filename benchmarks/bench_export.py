"""How long a subnet takes from the supernet to an ONNX file, beside torch.onnx.export.

    python benchmarks/bench_export.py [subnets]

Exports random subnets of a supernet in memory, the direct writer and torch's exporters turn by turn
on the first few. Every model of both is run in onnxruntime and has to compute the same. Writes
benchmarks/results/export.json.
"""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import torch
from machine import save

from compofa.supernet.export.onnx import write_onnx
from compofa.supernet.export.weights import folded_weights, random_weights
from compofa.supernet.graph import build_graph
from compofa.supernet.spaces import SPACES
from compofa.supernet.subnet import Subnet
from compofa.supernet.supernet import Supernet

SPACE = SPACES["ofa-mbv3"]
BESIDE = 3
"""Subnets that torch exports as well: it takes seconds for each."""


def direct(supernet: Supernet, subnet: Subnet, resolution: int) -> bytes:
    """From a checkpoint's supernet, all steps: graph, folding, writing."""
    graph = build_graph(supernet.space, subnet, resolution)
    return write_onnx(graph, folded_weights(supernet, subnet))


def for_timing(supernet: Supernet, subnet: Subnet, resolution: int) -> bytes:
    """As the profiler does it: with random weights."""
    graph = build_graph(supernet.space, subnet, resolution)
    return write_onnx(graph, random_weights(graph, 0))


def by_torch(supernet: Supernet, subnet: Subnet, resolution: int) -> bytes:
    """torch.onnx.export as it is by default."""
    image = torch.zeros(1, SPACE.in_channels, resolution, resolution)
    buffer = io.BytesIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(supernet.extract(subnet), (image,), verbose=False)
        if program is None:
            raise RuntimeError("torch.onnx.export gave no program")
        onnx.save(program.model_proto, buffer)
    return buffer.getvalue()


def milliseconds(
    work: Callable[[Supernet, Subnet, int], bytes], supernet: Supernet, subnet: Subnet, size: int
) -> tuple[float, bytes]:
    start = time.perf_counter()
    content = work(supernet, subnet, size)
    return 1000 * (time.perf_counter() - start), content


def logits(model: bytes, resolution: int) -> np.ndarray:
    image = np.random.default_rng(0).standard_normal((1, 3, resolution, resolution))
    session = onnxruntime.InferenceSession(model)
    name = session.get_inputs()[0].name
    found: np.ndarray = session.run(None, {name: image.astype(np.float32)})[0]
    return found


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    supernet = Supernet(SPACE).train()
    for module in supernet.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        # Batch norm takes its statistics from this step, so logits have the scale of trained ones.
        supernet(torch.randn(8, 3, 64, 64), SPACE.extreme(True))
    supernet.eval()
    times: dict[str, list[float]] = {"direct": [], "random_weights": [], "torch": []}
    largest = 0.0
    for index in range(count):
        subnet = SPACE.sample(rng)
        resolution = int(rng.choice(SPACE.resolutions))
        elapsed, ours = milliseconds(direct, supernet, subnet, resolution)
        times["direct"].append(elapsed)
        times["random_weights"].append(milliseconds(for_timing, supernet, subnet, resolution)[0])
        if index < BESIDE:
            elapsed, theirs = milliseconds(by_torch, supernet, subnet, resolution)
            times["torch"].append(elapsed)
            found, expected = logits(ours, resolution), logits(theirs, resolution)
            difference = float(np.abs(found - expected).max() / np.abs(expected).max())
            largest = max(largest, difference)
    report(times, largest)


def report(times: dict[str, list[float]], largest: float) -> None:
    summary = {
        name: {
            "median_ms": round(float(np.median(each)), 1),
            "p90_ms": round(float(np.quantile(each, 0.9)), 1),
            "subnets": len(each),
        }
        for name, each in times.items()
    }
    difference = {"largest_difference_relative_to_the_largest_logit": largest}
    print(save("export", {"space": SPACE.name, "export": summary, **difference}))
    labels = {
        "direct": "direct writer, from a supernet",
        "random_weights": "direct writer, random weights",
        "torch": "torch.onnx.export",
    }
    print(f"{'export of one subnet':32} {'median ms':>10} {'p90 ms':>10} {'subnets':>8}")
    for name, row in summary.items():
        cells = f"{row['median_ms']:10.1f} {row['p90_ms']:10.1f} {row['subnets']:8.0f}"
        print(f"{labels[name]:32} {cells}")
    print(f"largest difference, relative to the largest logit: {largest:.1e}")


if __name__ == "__main__":
    main()
