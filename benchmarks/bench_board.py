"""A board from end to end: profiled over ssh, searched, and the chosen subnet exported.

    python benchmarks/bench_board.py [MAX_TIME]

The board is a Cortex-A72 that QEMU emulates, with Debian, sshd, Python and ONNX Runtime for ARM.
Its clock counts instructions, so what it times repeats, and it is some twenty times slower than it
thinks. Its image is made in build/board the first time, which takes a minute.

First the same model is timed by the Python agent and by the native one. Then, as a user would,
`compofa-profile --device board`, `compofa-search` and `compofa-export`, on a space of small
networks; nobody trained them, so the share of the largest one's MACs stands for accuracy. MAX_TIME
(20m if left out) limits the profiling. Writes benchmarks/results/board.json. Needs qemu-system-arm,
openssh-client, e2fsprogs and Debian's apt.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd
from board.emulator import Board
from board.image import make_image
from machine import save

from compofa.profiler.agent import AGENT
from compofa.profiler.agent.native.build_agent import build
from compofa.profiler.models.model_store import ModelStore
from compofa.profiler.results.table import Cell
from compofa.profiler.transports.agent_client import AgentLink
from compofa.profiler.transports.local import LocalChannel
from compofa.supernet.graph import build_graph
from compofa.supernet.spaces import SPACES, get_space

SPACE = "name: small\nwidth: 0.25\nclasses: 10\nresolutions: [32, 64]\n"
DEVICES = "board: {transport: ssh, host: board, runtime: onnxruntime}\n"
CELL = Cell("compofa", "d22222", 128, 1)
RUNS = 8
MEASURED = 6
"""Cells that the latency model is fitted on; 20 more are held out to tell its error."""

COMMANDS = {
    "compofa-profile": "compofa.profiler.commands",
    "compofa-search": "compofa.search.commands.search_command",
    "compofa-export": "compofa.supernet.commands.export_command",
}


def agents(board: Board, folder: Path) -> dict[str, float]:
    """The median of one model by each agent, in ms of the board's clock."""
    native = build("aarch64-linux", folder)
    with ModelStore([SPACES[CELL.space]]) as store:
        model = store.model(CELL)
        board.copy(AGENT, native, model.path)
    library = board.run("ls /usr/local/lib/python3*/dist-packages/onnxruntime/capi/libonnxrun*so.*")
    programs = {
        "python": f"python3 -I ./{AGENT.name} .",
        "native": f"./{native.name} . {library.strip()}",
    }
    medians = {}
    for name, program in programs.items():
        link = AgentLink(LocalChannel([*board.ssh, program]))
        link.hello(1, None)
        loaded = link.load(model.sha256, "onnxruntime", {})
        if model.deviation(loaded.output, loaded.output_size) > 1e-3:
            raise RuntimeError(f"the {name} agent computes something else than this computer")
        ns, _ = link.run(loaded.handle, RUNS, 1, 600)
        link.quit()
        medians[f"{name}_ms"] = statistics.median(ns) / 1e6
    return medians


def user(board: Board, name: str, *arguments: str) -> str:
    """What a command prints; 3 and 124 as exit codes mean that some cells are less sure."""
    line = [sys.executable, "-c", f"from {COMMANDS[name]} import main; main()", *arguments]
    print(name, *arguments, flush=True)
    done = subprocess.run(
        line, cwd=board.home, env=os.environ | {"HOME": str(board.home)}, stdout=subprocess.PIPE
    )
    if done.returncode not in (0, 3, 124):
        raise RuntimeError(f"{name} ended with {done.returncode}")
    return done.stdout.decode()


def write_accuracies(home: Path) -> None:
    """An accuracy table of the space in HOME/small.yaml."""
    space = get_space(str(home / "small.yaml"))
    macs = {
        (space.key(subnet), resolution): build_graph(space, subnet, resolution).macs
        for subnet in space.enumerate()
        for resolution in space.resolutions
    }
    rows = [
        f"{space.name},{key},{resolution},{count / max(macs.values()):.6f},macs\n"
        for (key, resolution), count in macs.items()
    ]
    (home / "accuracy.csv").write_text("space,subnet,resolution,top1,source\n" + "".join(rows))


def end_to_end(board: Board, max_time: str) -> dict[str, Any]:
    """Profiles, searches and exports in the board's home folder; what came of it."""
    (board.home / "small.yaml").write_text(SPACE)
    (board.home / "devices.yaml").write_text(DEVICES)
    write_accuracies(board.home)
    begun = time.monotonic()
    user(board, "compofa-profile", "--device", "board", "--space", "small.yaml", "--plan",
         str(MEASURED), "--no-pause", "--max-time", max_time)  # fmt: skip
    profiling_s = time.monotonic() - begun
    table = pd.read_csv(board.home / "board.csv")
    measured = table[table.source == "measured"]
    limit = float(table.latency_ms.median())
    found = user(board, "compofa-search", "--table", "board.csv", "--latency", f"{limit:g}",
                 "--space", "small.yaml", "--accuracy", "accuracy.csv", "--json")  # fmt: skip
    best = json.loads(found)["results"][0]
    user(board, "compofa-export", "--space", "small.yaml", "--subnet", best["subnet"],
         "--resolution", str(best["resolution"]), "--format", "onnx",
         "--out", "best.onnx")  # fmt: skip
    return {
        "profiling_s": profiling_s,
        "cells": len(table),
        "measured": len(measured),
        "converged": int((measured.status == "ok").sum()),
        "half_width": float(
            ((measured.ci_high_ms - measured.ci_low_ms) / 2 / measured.latency_ms).median()
        ),
        "limit_ms": limit,
        "best": best,
        "exported_bytes": (board.home / "best.onnx").stat().st_size,
    }


def main() -> None:
    """Measures, prints and saves."""
    if shutil.which("qemu-system-aarch64") is None:
        print("left out: there is no qemu-system-aarch64 here (apt-get install qemu-system-arm)")
        return
    max_time = sys.argv[1] if len(sys.argv) > 1 else "20m"
    folder = Path("build/board").resolve()
    image = make_image(folder)
    with tempfile.TemporaryDirectory() as home:
        begun = time.monotonic()
        with Board(image, Path(home)) as board:
            results: dict[str, Any] = {"boot_s": time.monotonic() - begun}
            results["agents"] = agents(board, folder)
            print(results["agents"])
            results["end_to_end"] = end_to_end(board, max_time)
    print(json.dumps(results, indent=1))
    print(save("board", results))


if __name__ == "__main__":
    main()
