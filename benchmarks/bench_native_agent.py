"""The two agents against each other: does it matter which of them times a model?

    python benchmarks/bench_native_agent.py [ROUNDS]

Each round starts one fresh process of each agent and lets them take turns of a few runs, so that
both see the same weather. What is told is the mean over rounds of the logarithm of their latencies'
ratio, native to Python, with its 95 % interval. Writes benchmarks/results/native_agent.json. About
a minute for 24 rounds.
"""

from __future__ import annotations

import platform
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from machine import save

from compofa.profiler.agent import AGENT
from compofa.profiler.agent.native.build_agent import build
from compofa.profiler.models.model_store import ModelFile, ModelStore
from compofa.profiler.results.table import Cell
from compofa.profiler.statistics.runs.location import condense
from compofa.profiler.statistics.student import student_quantile
from compofa.profiler.transports.agent_client import AgentLink
from compofa.profiler.transports.local import LocalChannel
from compofa.supernet.spaces import SPACES

CELLS = [Cell("compofa", "d22222", 160, 1), Cell("compofa", "d33333", 192, 1)]
WARM_UP, TURNS, RUNS = 20, 12, 10
LIMIT = 0.02
"""By how much the agents may differ."""


def begin(command: list[str], model: ModelFile) -> tuple[AgentLink, int]:
    """A fresh agent with the model warmed up, and the model's handle."""
    link = AgentLink(LocalChannel(command))
    link.hello(1, None)
    handle = link.load(model.sha256, "onnxruntime", {}).handle
    link.run(handle, WARM_UP, 1, 60)
    return link, handle


def take_turns(
    commands: dict[str, list[str]], model: ModelFile, order: Sequence[str]
) -> dict[str, float]:
    """What each agent makes of one model, in ms; they start and run in the order given."""
    agents = {name: begin(commands[name], model) for name in order}
    runs: dict[str, list[int]] = {name: [] for name in order}
    for _ in range(TURNS):
        for name, (link, handle) in agents.items():
            runs[name] += link.run(handle, RUNS, 1, 60)[0]
    for link, _ in agents.values():
        link.quit()
    return {name: condense(ns) / 1e6 for name, ns in runs.items()}


def measure(folder: Path, rounds: int) -> dict[Cell, dict[str, list[float]]]:
    """The latencies by each agent, round by round, for each model."""
    (library,) = Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so.*")
    native = build(f"{platform.machine()}-linux", folder)
    commands = {
        "python": [sys.executable, "-I", str(AGENT), str(folder)],
        "native": [str(native), str(folder), str(library)],
    }
    latencies: dict[Cell, dict[str, list[float]]] = {}
    with ModelStore([SPACES["compofa"]]) as store:
        for cell in CELLS:
            model = store.model(cell)
            (folder / model.sha256).symlink_to(model.path)
            latencies[cell] = {name: [] for name in commands}
            for number in range(rounds):
                order = ("python", "native") if number % 2 else ("native", "python")
                for name, ms in take_turns(commands, model, order).items():
                    latencies[cell][name].append(ms)
    return latencies


def judge(intervals: list[tuple[float, float]]) -> str:
    """What the intervals of the ratios say of the limit."""
    if all(low > 1 - LIMIT and high < 1 + LIMIT for low, high in intervals):
        return f"the agents agree within {LIMIT:.0%}"
    if any(high < 1 - LIMIT or low > 1 + LIMIT for low, high in intervals):
        return f"the agents differ by more than {LIMIT:.0%}"
    return f"too noisy to tell whether they agree within {LIMIT:.0%}: take more rounds"


def main() -> None:
    """Measures, prints and saves."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 24
    with tempfile.TemporaryDirectory() as folder:
        latencies = measure(Path(folder), rounds)
    results = {}
    for cell, of in latencies.items():
        logs = np.log(of["native"]) - np.log(of["python"])
        error = float(logs.std(ddof=1)) / np.sqrt(rounds)
        reach = float(student_quantile(0.975, np.array(rounds - 1.0))) * error
        low, ratio, high = (float(np.exp(logs.mean() + by)) for by in (-reach, 0, reach))
        results[f"{cell.subnet} at {cell.resolution}"] = {
            "python_ms": statistics.median(of["python"]),
            "native_ms": statistics.median(of["native"]),
            "ratio": ratio,
            "ratio_low": low,
            "ratio_high": high,
        }
        print(
            f"{cell.subnet} at {cell.resolution}: Python {statistics.median(of['python']):.3f} ms, "
            f"native {statistics.median(of['native']):.3f} ms, "
            f"ratio {ratio:.4f} [{low:.4f}, {high:.4f}]"
        )
    verdict = judge([(each["ratio_low"], each["ratio_high"]) for each in results.values()])
    print(verdict)
    path = save(
        "native_agent",
        {"rounds": rounds, "runs": TURNS * RUNS, "verdict": verdict, "models": results},
    )
    print(path)


if __name__ == "__main__":
    main()
