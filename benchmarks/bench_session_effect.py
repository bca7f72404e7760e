"""What makes sessions differ: the experiment behind the measuring protocol.

    python benchmarks/bench_session_effect.py [ROUNDS]

One model is timed under five regimes, interleaved round by round so that all see the same weather:

* `chunk`: again in the same process, without loading anything anew;
* `reload`: loaded anew in the same process;
* `process`: a fresh process, bound to one CPU;
* `fixed layout`: the same without address space randomisation;
* `unbound`: a fresh process that the scheduler may move.

For each regime and estimator it prints the standard deviation of the logarithm of the condensed
latency, with drift common to all regimes in a round taken off, and the lag-1 differences that drift
cannot explain. Writes benchmarks/results/session_effect.json. About four minutes for 24 rounds.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
from machine import save

from compofa.profiler.agent import AGENT
from compofa.profiler.models.model_store import ModelFile, ModelStore
from compofa.profiler.results.table import Cell
from compofa.profiler.statistics.runs.location import MEDIAN, QUIET, Slice, condense
from compofa.profiler.transports.agent_client import AgentLink
from compofa.profiler.transports.local import LocalChannel
from compofa.supernet.spaces import SPACES

CELL = Cell("compofa", "d33333", 192, 1)
WARM_UP, RUNS = 15, 40
ESTIMATORS = {"mean": Slice(0, 1), "median": MEDIAN, "p10": Slice(0.1, 0.1), "quiet": QUIET,
              "minimum": Slice(0, 0)}  # fmt: skip


class Process:
    """An agent process with the model's file in reach."""

    def __init__(self, folder: Path, *, fixed_layout: bool = False, bound: bool = True) -> None:
        command = [sys.executable, "-I", str(AGENT), str(folder)]
        self.channel = LocalChannel(["setarch", "-R", *command] if fixed_layout else command)
        self.link = AgentLink(self.channel)
        self.link.hello(1, None if bound else sorted(os.sched_getaffinity(0)))

    def load(self, model: ModelFile) -> int:
        return self.link.load(model.sha256, "onnxruntime", {}).handle

    def time(self, handle: int) -> tuple[int, ...]:
        self.link.run(handle, WARM_UP, 1, 60)
        return self.link.run(handle, RUNS, 1, 60)[0]

    def end(self) -> None:
        self.link.quit()


def measure(rounds: int) -> dict[str, list[tuple[int, ...]]]:
    """Per regime, the runs of each round."""
    runs: dict[str, list[tuple[int, ...]]] = defaultdict(list)
    rng = np.random.default_rng(0)
    with ModelStore([SPACES[CELL.space]]) as store, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = store.model(CELL)
        (folder / model.sha256).symlink_to(model.path)
        lasting = Process(folder)
        kept = lasting.load(model)

        def chunk() -> tuple[int, ...]:
            return lasting.time(kept)

        def reload() -> tuple[int, ...]:
            handle = lasting.load(model)
            times = lasting.time(handle)
            lasting.link.unload(handle)
            return times

        def process(**settings: bool) -> tuple[int, ...]:
            fresh = Process(folder, **settings)
            times = fresh.time(fresh.load(model))
            fresh.end()
            return times

        regimes: dict[str, Callable[[], tuple[int, ...]]] = {
            "chunk": chunk,
            "reload": reload,
            "process": process,
            "fixed layout": lambda: process(fixed_layout=True),
            "unbound": lambda: process(bound=False),
        }
        for _ in range(rounds):
            for regime in rng.permutation(list(regimes)):
                runs[regime].append(regimes[regime]())
        lasting.end()
    return runs


def main() -> None:
    """Measures, prints and saves."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 24
    runs = measure(rounds)
    results: dict[str, dict[str, dict[str, float]]] = {}
    print(f"{'regime':<14}" + "".join(f"{name:>18}" for name in ESTIMATORS))
    logs = {
        name: {r: np.log([condense(ns, part) / 1e6 for ns in each]) for r, each in runs.items()}
        for name, part in ESTIMATORS.items()
    }
    for regime in runs:
        results[regime] = {}
        line = f"{regime:<14}"
        for name in ESTIMATORS:
            own = logs[name][regime]
            rest = np.mean([v for r, v in logs[name].items() if r != regime], axis=0)
            scatter, adjusted = float(own.std(ddof=1)), float((own - rest).std(ddof=1))
            level = float(np.exp(np.median(own)))
            results[regime][name] = {"median_ms": level, "sd": scatter, "sd_in_round": adjusted}
            line += f"{level:>8.3f} {scatter:>4.1%} {adjusted:>4.1%}"
        print(line)
    print("each: median of rounds in ms, standard deviation, the same less the round's own")
    print(save("session_effect", {"rounds": rounds, "runs": RUNS, "regimes": results}))


if __name__ == "__main__":
    main()
