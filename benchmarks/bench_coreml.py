"""How long a Core ML package takes, written and traced, and what coremltools' passes change.

    python benchmarks/bench_coreml.py [subnets]

Random subnets of `compofa`, turn by turn: our writer, which runs none of coremltools' graph passes;
the same program with all of them; and `torch.jit.trace` with coremltools' converter. Tells whether
the passes leave the program as it is, byte for byte. Writes benchmarks/results/coreml.json.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections import Counter
from typing import Any

import numpy as np
import torch
from machine import save

from compofa.supernet.export.coreml import program, quiet, write_coreml
from compofa.supernet.export.dtype import Dtype
from compofa.supernet.export.weights import random_weights
from compofa.supernet.graph import build_graph
from compofa.supernet.network import Network
from compofa.supernet.spaces import SPACES

with quiet():
    import coremltools

SPACE = SPACES["compofa"]
RESOLUTION = 192


def converted(model: Any, **options: Any) -> Any:
    """The protobuf message of `model` after coremltools' converter."""
    with quiet():
        found = coremltools.convert(
            model,
            convert_to="mlprogram",
            minimum_deployment_target=coremltools.target.iOS15,
            compute_precision=coremltools.precision.FLOAT32,
            skip_model_load=True,
            **options,
        )
    return found.get_spec()


def traced(network: Network) -> Any:
    image = torch.zeros(1, *network.graph.input)
    inputs = [coremltools.TensorType(name="input", shape=image.shape)]
    return converted(torch.jit.trace(network, image), inputs=inputs)


def content(spec: Any) -> bytes:
    found: bytes = spec.mlProgram.SerializeToString(deterministic=True)
    return found


def operators(spec: Any) -> Counter[str]:
    (block,) = spec.mlProgram.functions["main"].block_specializations.values()
    return Counter(each.type for each in block.operations if each.type != "const")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    seconds: dict[str, list[float]] = {"written": [], "written, all passes": [], "traced": []}
    unchanged = 0
    # One more than is counted: the first of each kind loads what the others find loaded.
    for _ in range(count + 1):
        graph = build_graph(SPACE, SPACE.sample(rng), RESOLUTION)
        weights, network = random_weights(graph, 0), Network(graph).eval()
        clock = [time.perf_counter()]
        write_coreml(graph, weights)
        clock.append(time.perf_counter())
        passed = converted(program(graph, weights, 1, Dtype.FLOAT32))
        clock.append(time.perf_counter())
        theirs = traced(network)
        clock.append(time.perf_counter())
        for times, elapsed in zip(seconds.values(), np.diff(clock), strict=True):
            times.append(float(elapsed))
        empty = coremltools.PassPipeline.EMPTY
        ours = converted(program(graph, weights, 1, Dtype.FLOAT32), pass_pipeline=empty)
        unchanged += content(ours) == content(passed)
    medians = {name: round(float(np.median(each[1:])), 2) for name, each in seconds.items()}
    results = {
        "space": SPACE.name,
        "resolution": RESOLUTION,
        "subnets": count,
        "median_s": medians,
        "programs_that_passes_leave_as_they_are": f"{unchanged} of {count + 1}",
        "operators_of_the_last": {"written": operators(ours), "traced": operators(theirs)},
    }
    print(save("coreml", results))
    for name, value in medians.items():
        print(f"{name:24} {value:6.2f} s")
    print(f"left as they are by all passes: {results['programs_that_passes_leave_as_they_are']}")


if __name__ == "__main__":
    main()
