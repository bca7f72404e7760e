"""Memory, loading and the first run, against scripts written by hand, in the same run.

    python benchmarks/bench_costs.py

For ten models in each of onnxruntime, tflite and torch: what the toolkit's agent says that a model
adds to its process, and what `getrusage` says of a script that knows nothing of the toolkit. And
what loading and the first run take in an agent and in such a script, in turns, over rounds.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from machine import save

from compofa.profiler.models.model_store import ModelFile, ModelStore
from compofa.profiler.results.table import Cell
from compofa.profiler.transports import open_transport
from compofa.profiler.transports.agent_client import AgentLink
from compofa.profiler.transports.device import Device
from compofa.profiler.transports.local import LocalDevice
from compofa.supernet.spaces import get_space

SUBNETS = ("d22222", "d23322", "d32423", "d34243", "d33333", "d42342", "d43434", "d44332", "d44443")
CELLS = (*(Cell("compofa", key, 192, 1) for key in SUBNETS), Cell("compofa", "d44444", 224, 4))
RUNTIMES = ("onnxruntime", "tflite", "torch")
ROUNDS = 5

BY_HAND = {
    "onnxruntime": """
import os
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import numpy as np, numpy.random, onnxruntime as ort
def load(path):
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return ort.InferenceSession(path, options, ["CPUExecutionProvider"])
def runner(session):
    entry = session.get_inputs()[0]
    x = np.random.rand(*entry.shape).astype(np.float32)
    return lambda: session.run(None, {entry.name: x})
""",
    "tflite": """
import numpy as np, numpy.random
from ai_edge_litert.interpreter import Interpreter
def load(path):
    interpreter = Interpreter(path, num_threads=1)
    interpreter.allocate_tensors()
    return interpreter
def runner(interpreter):
    entry = interpreter.get_input_details()[0]
    interpreter.set_tensor(entry["index"], np.random.rand(*entry["shape"]).astype(np.float32))
    out = interpreter.get_output_details()[0]["index"]
    def run():
        interpreter.invoke()
        return interpreter.get_tensor(out)
    return run
""",
    "torch": """
import sys, json
import numpy as np, numpy.random, torch
torch.set_num_threads(1)
torch.set_grad_enabled(False)
# What a layers file means is the agent's to say: the network alone is built by its code.
sys.path.insert(0, AGENT)
from compofa_agent import torch_network
def load(path):
    with np.load(path) as archive:
        weights = {name: archive[name] for name in archive.files}
    told = json.loads(weights.pop("graph").tobytes())
    network = torch_network(told["layers"], weights).eval()
    network.shape = told["input_shape"]
    return network
def runner(network):
    x = torch.from_numpy(np.random.rand(*network.shape).astype(np.float32))
    return lambda: network(x)
""",
}
"""How a model is loaded and run by each runtime, in a script of one's own.

`numpy.random` is imported by name: numpy does so on first use, and its 7 MB are not the model's.
For the same reason memory is only counted after some random numbers were made.
"""

COUNT = """
import ctypes, gc, resource
gc.disable()
np.random.rand(1, 3, 32, 32).astype(np.float32)
ctypes.CDLL(None).malloc_trim(0)
pages = int(open("/proc/self/statm").read().split()[1])
run = runner(load(PATH))
for _ in range(4):
    run()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print((peak - pages * resource.getpagesize()) / 1e6)
"""

TIME = """
import gc, os, time
gc.disable()
os.sched_setaffinity(0, CPUS)
for path in PATHS:
    begun = time.perf_counter_ns()
    loaded = load(path)
    load_ns = time.perf_counter_ns() - begun
    run = runner(loaded)
    begun = time.perf_counter_ns()
    run()
    print(load_ns / 1e6, (time.perf_counter_ns() - begun) / 1e6)
    del loaded, run
"""


def by_hand(runtime: str, task: str, **names: Any) -> list[list[float]]:
    """The numbers on each line that a script of its own prints."""
    agent = Path(__file__).resolve().parent.parent / "profiler" / "agent"
    given = {**names, "AGENT": str(agent)}
    lines = "".join(f"{name} = {value!r}\n" for name, value in given.items())
    # The peak that getrusage tells outlives exec, so that a child begins with its parent's. A shell
    # that forks for the script, rather than becoming it, hands down its own small one.
    shell = ["sh", "-c", '"$@"; exit $?', "sh"]
    command = [*shell, sys.executable, "-c", lines + BY_HAND[runtime] + task]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [[float(each) for each in line.split()] for line in done.stdout.splitlines()]


def memory(device: Device, models: list[ModelFile]) -> list[dict[str, Any]]:
    """Of each model, by the agent and by hand, the median of three."""
    rows: list[dict[str, Any]] = []
    with open_transport(device) as transport:
        for cell, model in zip(CELLS, models, strict=True):
            transport.put(model.path, model.sha256)
            told, counted = [], []
            for _ in range(3):
                with transport.start_agent() as channel:
                    link = AgentLink(channel)
                    link.hello(1, None)
                    options = device.load_options()
                    base, peak = link.memory(model.sha256, device.runtime, options, 3)
                    link.quit()
                told.append((peak - base) / 1e6)
                counted += by_hand(device.runtime, COUNT, PATH=str(model.path))[0]
            agent_mb, hand_mb = statistics.median(told), statistics.median(counted)
            rows.append(
                {
                    "cell": f"{cell.subnet}@{cell.resolution}x{cell.batch_size}",
                    "agent_mb": agent_mb,
                    "by_hand_mb": hand_mb,
                    "difference_percent": 100 * (agent_mb / hand_mb - 1),
                }
            )
            print(device.runtime, rows[-1])
    return rows


def loading(device: Device, models: list[ModelFile]) -> list[dict[str, Any]]:
    """Of each model but the first, which pays for the runtime: medians of rounds in turns."""
    agent: list[list[list[float]]] = []
    hand: list[list[list[float]]] = []
    with open_transport(device) as transport:
        for model in models:
            transport.put(model.path, model.sha256)
        for _ in range(ROUNDS):
            with transport.start_agent() as channel:
                link = AgentLink(channel)
                cpus = link.hello(1, None).affinity
                times = []
                for model in models:
                    loaded = link.load(model.sha256, device.runtime, device.load_options())
                    times.append([loaded.load_ns / 1e6, loaded.first_ns / 1e6])
                    link.unload(loaded.handle)
                link.quit()
            agent.append(times)
            paths = [str(model.path) for model in models]
            hand.append(by_hand(device.runtime, TIME, PATHS=paths, CPUS=list(cpus or [])))
    rows = []
    for i, cell in list(enumerate(CELLS))[1:]:
        row: dict[str, Any] = {"cell": f"{cell.subnet}@{cell.resolution}x{cell.batch_size}"}
        for place, name in enumerate(("load_ms", "first_ms")):
            ours, theirs = (
                statistics.median(each[i][place] for each in rounds) for rounds in (agent, hand)
            )
            row[name] = {"agent": ours, "by_hand": theirs, "ratio": ours / theirs}
        rows.append(row)
    return rows


def main() -> None:
    """Writes the results."""
    results: dict[str, Any] = {"rounds": ROUNDS}
    for runtime in RUNTIMES:
        device = LocalDevice(name="here", runtime=runtime)
        with ModelStore([get_space("compofa")], runtime) as store:
            models = [store.model(cell) for cell in CELLS]
            counted, timed = memory(device, models), loading(device, models)
        worst = max(abs(row["difference_percent"]) for row in counted)
        ratios = {
            name: statistics.median(row[name]["ratio"] for row in timed)
            for name in ("load_ms", "first_ms")
        }
        results[runtime] = {
            "memory": counted,
            "worst_memory_difference_percent": worst,
            "loading": timed,
            "median_ratio": ratios,
        }
        print(f"{runtime}: memory within {worst:.2f} %, ratios {ratios}")
    print(save("costs", results))


if __name__ == "__main__":
    main()
