"""TFLite models: how fast they are written, whether they are right, and what they cost to run.

    python benchmarks/bench_tflite.py [--subnets N] [--beside PYTHON]

Writes N random subnets of every space (default 50), each with batch norm statistics of its own, and
compares logits with the module's. With the Python of an environment that has litert-torch, one
subnet of each family is also converted by it, and both files run turn by turn on one thread.
Writes benchmarks/results/tflite.json.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter
from machine import save
from scipy import stats

from compofa.supernet.export.tflite import write_tflite
from compofa.supernet.export.weights import Weights, folded_weights
from compofa.supernet.graph import Graph, build_graph
from compofa.supernet.space import Space
from compofa.supernet.spaces import SPACES
from compofa.supernet.subnet import Subnet
from compofa.supernet.supernet import Supernet

FAMILIES = ("compofa", "compofa-proxyless-w1.3", "compofa-resnet50")
"""Of each, the smallest subnet is run beside litert-torch's."""

RESOLUTION = 224
ROUNDS, RUNS = 20, 30

CONVERT = """
import sys, time, torch, litert_torch
network = torch.export.load(sys.argv[1]).module()
class Converted(torch.nn.Module):
    def forward(self, image):
        return network(image)
size = int(sys.argv[3])
start = time.perf_counter()
model = litert_torch.to_channel_last_io(Converted(), args=[0])
litert_torch.convert(model, (torch.zeros(1, size, size, 3),)).export(sys.argv[2])
print(time.perf_counter() - start)
"""
"""Converts an exported program; runs where this package need not be installed."""


def fresh(space: Space) -> Supernet:
    torch.manual_seed(0)
    supernet = Supernet(space)
    for module in supernet.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    return supernet


def normalise(supernet: Supernet, subnet: Subnet, resolution: int) -> None:
    """Gives batch norm the statistics of this subnet, so that logits have the scale of trained."""
    with torch.no_grad():
        supernet.train()(torch.randn(4, 3, resolution, resolution), subnet)
    supernet.eval()


def timed(graph: Graph, weights: Weights) -> tuple[bytes, float, float]:
    """The file, and the milliseconds it took: by the clock, and of the processor's."""
    start = time.perf_counter(), time.process_time()
    content = write_tflite(graph, weights)
    clock, processor = time.perf_counter() - start[0], time.process_time() - start[1]
    return content, 1000 * clock, 1000 * processor


def loaded(content: bytes) -> Interpreter:
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    return interpreter


def partitions(interpreter: Interpreter) -> tuple[int, bool]:
    """How many pieces XNNPACK runs, and whether they are all of the network.

    They are if no operator outside of them gives anything that is read, and the logits are theirs.
    """
    operators = interpreter._get_ops_details()
    pieces = [each for each in operators if each["op_name"] == "DELEGATE"]
    computed = {int(i) for each in operators for i in each["outputs"]}
    read = {int(i) for each in pieces for i in each["inputs"]}
    given = {int(i) for each in pieces for i in each["outputs"]}
    (logits,) = interpreter.get_output_details()
    return len(pieces), logits["index"] in given and not (read & computed) - given


def write_all(space: Space, count: int) -> dict[str, Any]:
    rng, supernet = np.random.default_rng(0), fresh(space)
    clock, processor, differences, scales, pieces = [], [], [], [], []
    for _ in range(count):
        subnet, resolution = space.sample(rng), int(rng.choice(space.resolutions))
        normalise(supernet, subnet, resolution)
        graph = build_graph(space, subnet, resolution)
        content, *times = timed(graph, folded_weights(supernet, subnet))
        interpreter = loaded(content)
        image = rng.standard_normal((1, *graph.input)).astype(np.float32)
        (found,) = interpreter.get_signature_runner()(input=image.transpose(0, 2, 3, 1)).values()
        with torch.no_grad():
            expected = supernet(torch.from_numpy(image), subnet).numpy()
        clock.append(times[0])
        processor.append(times[1])
        differences.append(float(np.abs(found - expected).max()))
        scales.append(float(np.abs(expected).max()))
        pieces.append(partitions(interpreter))
    return {
        "subnets": count,
        "write_median_ms": round(float(np.median(clock)), 1),
        "write_p90_ms": round(float(np.quantile(clock, 0.9)), 1),
        "write_median_cpu_ms": round(float(np.median(processor)), 1),
        "largest_difference": max(differences),
        "largest_logit": max(scales),
        "all_in_one_partition": pieces == [(1, True)] * count,
    }


def beside(space: Space, python: str) -> dict[str, Any]:
    """Processor time of our file over that of litert-torch's: the geometric mean over rounds."""
    supernet, subnet = fresh(space), space.extreme(False)
    normalise(supernet, subnet, RESOLUTION)
    ours = write_tflite(build_graph(space, subnet, RESOLUTION), folded_weights(supernet, subnet))
    theirs, seconds = converted(supernet.extract(subnet), python)
    size = (1, RESOLUTION, RESOLUTION, 3)
    image = np.random.default_rng(0).standard_normal(size).astype(np.float32)
    ratios, latencies = [], []
    for turn in range(ROUNDS):
        # Whichever is loaded first may lie better in memory.
        order = (ours, theirs) if turn % 2 else (theirs, ours)
        runners = {content: runner(content, image) for content in order}
        pair = runners[ours], runners[theirs]
        times: tuple[list[float], list[float]] = ([], [])
        for run in range(RUNS):
            for i in ((0, 1), (1, 0))[(turn + run) % 2]:
                times[i].append(pair[i]())
        mine, other = (float(np.median(each)) for each in times)
        ratios.append(np.log(mine / other))
        latencies.append((1000 * mine, 1000 * other))
    middle, error = np.mean(ratios), stats.sem(ratios)
    low, high = stats.t.interval(0.95, ROUNDS - 1, middle, error)
    return {
        "subnet": space.key(subnet),
        "resolution": RESOLUTION,
        "convert_s": round(seconds, 1),
        "processor_ms": [round(float(each), 2) for each in np.median(latencies, axis=0)],
        "ratio": round(float(np.exp(middle)), 4),
        "ratio_95": [round(float(np.exp(each)), 4) for each in (low, high)],
    }


def converted(network: torch.nn.Module, python: str) -> tuple[bytes, float]:
    with tempfile.TemporaryDirectory() as name:
        program, out = Path(name, "network.pt2"), Path(name, "network.tflite")
        image = torch.zeros(1, 3, RESOLUTION, RESOLUTION)
        torch.export.save(torch.export.export(network.eval(), (image,)), program)
        command = [python, "-c", CONVERT, str(program), str(out), str(RESOLUTION)]
        ended = subprocess.run(command, capture_output=True, text=True, env={}, check=True)
        return out.read_bytes(), float(ended.stdout.split()[-1])


def runner(content: bytes, image: np.ndarray) -> Callable[[], float]:
    """Seconds of processor time of one run, of a model that was loaded and warmed up.

    It runs on the calling thread; what other work on the machine takes is not counted.
    """
    interpreter = loaded(content)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)

    def run() -> float:
        start = time.thread_time()
        interpreter.invoke()
        return time.thread_time() - start

    for _ in range(5):
        run()
    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subnets", type=int, default=50)
    parser.add_argument("--beside", metavar="PYTHON")
    options = parser.parse_args()
    torch.set_num_threads(1)
    results: dict[str, Any] = {"spaces": {}, "beside_litert_torch": {}}
    print(f"{'space':24} {'median ms':>10} {'of CPU':>8} {'difference':>11} {'one piece':>10}")
    for space in SPACES.values():
        found = results["spaces"][space.name] = write_all(space, options.subnets)
        times = f"{found['write_median_ms']:10.1f} {found['write_median_cpu_ms']:8.1f}"
        rest = f"{found['largest_difference']:11.1e} {found['all_in_one_partition']!s:>10}"
        print(f"{space.name:24} {times} {rest}", flush=True)
    for name in FAMILIES if options.beside else ():
        found = results["beside_litert_torch"][name] = beside(SPACES[name], options.beside)
        low, high = found["ratio_95"]
        print(f"{name:24} time over litert-torch's {found['ratio']:.3f} ({low:.3f}-{high:.3f})")
    print(save("tflite", results), file=sys.stderr)


if __name__ == "__main__":
    main()
