"""A stand-in for TFLite's benchmark_model, which no package registry has.

It takes the flags that the real one takes, runs the model in ai-edge-litert, and prints what
LiteRT's tflite/tools/benchmark prints (commits 7d88950 and 01d971c). Seconds pass faster for it.
"""

from __future__ import annotations

import sys
import time
from typing import Any

HASTE = 50.0
"""Seconds that it is told to last are divided by it."""

FLAGS = {
    "num_runs": "50",
    "min_secs": "1",
    "max_secs": "150",
    "num_threads": "-1",
    "warmup_runs": "1",
    "warmup_min_secs": "0.5",
    "graph": "",
    "input_layer": "",
    "input_layer_shape": "",
    "input_layer_value_files": "",
    "output_filepath": "",
    "use_xnnpack": "false",
    "xnnpack_force_fp16": "false",
}


def info(text: str) -> None:
    print(f"INFO: {text}", flush=True)


def parse(words: list[str]) -> dict[str, str]:
    if "--help" in words:
        print("usage: benchmark_model\nFlags:", file=sys.stderr)
        for name, value in FLAGS.items():
            print(f"\t--{name}={value}\tstring\toptional\t{name}", file=sys.stderr)
        sys.exit(1)
    given = dict(word.removeprefix("--").split("=", 1) for word in words)
    unknown = [f"--{name}={value}" for name, value in given.items() if name not in FLAGS]
    if unknown:
        print(f"WARN: Unconsumed cmdline flags: {' '.join(unknown)}")
    return {**FLAGS, **given}


def repeat(interpreter: Any, runs: int, seconds: float, most: float) -> list[int]:
    info(
        f"Running benchmark for at least {runs} iterations and at least {seconds:g} seconds but "
        f"terminate if exceeding {most:g} seconds."
    )
    taken: list[int] = []
    begun = time.monotonic()
    while len(taken) < runs or time.monotonic() - begun < seconds / HASTE:
        before = time.perf_counter()
        interpreter.invoke()
        taken.append(round((time.perf_counter() - before) * 1e6))
        if time.monotonic() - begun > most:
            break
    ordered, count = sorted(taken), len(taken)
    rank = [ordered[count * share // 100] for share in (5, 50, 95)]
    percentiles = "p5={} median={} p95={}".format(*rank)
    if ordered[0] == ordered[-1]:
        same = "(all same)" if count > 1 else ""
        info(f"count={count} curr={taken[-1]}{same} {percentiles}\n")
    else:
        mean = sum(taken) / count
        deviation = int((sum(us * us for us in taken) / count - mean * mean) ** 0.5)
        info(
            f"count={count} first={taken[0]} curr={taken[-1]} min={ordered[0]} max={ordered[-1]} "
            f"avg={mean:g} std={deviation} {percentiles}\n"
        )
    return taken


def main() -> None:
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    info("STARTING!")
    flags = parse(sys.argv[1:])
    begun = time.perf_counter()
    interpreter = Interpreter(flags["graph"], num_threads=int(flags["num_threads"]))
    interpreter.allocate_tensors()
    info(f"Loaded model {flags['graph']}")
    if flags["use_xnnpack"] == "true":
        info(
            "Explicitly applied XNNPACK delegate, and the model graph will be completely executed "
            "by the delegate."
        )
    init = round((time.perf_counter() - begun) * 1e6)
    info(f"Initialized session in {init / 1e3:g}ms.")
    (entry,) = interpreter.get_input_details()
    data = np.random.default_rng().uniform(-0.5, 0.5, entry["shape"]).astype(np.float32)
    if flags["input_layer_value_files"]:
        _, file = flags["input_layer_value_files"].split(":")
        data = np.fromfile(file, np.float32)
        shape = [int(size) for size in flags["input_layer_shape"].split(",")]
        if data.nbytes != 4 * np.prod(entry["shape"]):
            print(f"FATAL: The size of {file} is {data.nbytes} bytes.", file=sys.stderr)
            sys.exit(134)
        data = data.reshape(shape)
    interpreter.set_tensor(entry["index"], data)
    most = float(flags["max_secs"])
    warmup = repeat(interpreter, int(flags["warmup_runs"]), float(flags["warmup_min_secs"]), most)
    runs = repeat(interpreter, int(flags["num_runs"]), float(flags["min_secs"]), most)
    if flags["output_filepath"]:
        (exit_,) = interpreter.get_output_details()
        interpreter.get_tensor(exit_["index"]).tofile(flags["output_filepath"])
    info(
        f"Inference timings in us: Init: {init}, First inference: {warmup[0]}, "
        f"Warmup (avg): {sum(warmup) / len(warmup):g}, Inference (avg): {sum(runs) / len(runs):g}"
    )
    info("Memory footprint delta from the start of the tool (MB): init=1.25 overall=2.5")


if __name__ == "__main__":
    main()
