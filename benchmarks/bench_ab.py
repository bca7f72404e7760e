"""Whether `compofa-report compare A B --device` is right, here and on devices that exist on paper.

    python benchmarks/bench_ab.py here [--minutes 60] [--work build/bench_ab]
    python benchmarks/bench_ab.py paper [--comparisons 200]
    python benchmarks/bench_ab.py results

`here` measures on this computer, one comparison after another and nothing beside it that it could
leave out: two files that differ in a comment alone, for 60 s each, with any change counting; files
that are slower, until that is found, for 30, 60 or 180 s at most. Every third round the same time
goes to the usual way, all runs of one file and then all runs of the other, and to hyperfine on a
script that runs the model. The load of the machine is kept with each. It adds to rounds.jsonl in
the folder, so the same command goes on. `paper` compares models on virtual devices (virtual_ab.py),
where the true ratio is known. `results` writes benchmarks/results/ab.json.

A slower file has a wider classifier: more classes, and nothing else. How much slower that makes it
is what all comparisons of it, taken together, say.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from machine import save
from onnx import numpy_helper
from virtual_ab import SCENES, Silent, study

from compofa.common.files import sha256
from compofa.profiler.models.model_store import ModelFile, ModelStore
from compofa.profiler.results.table import Cell
from compofa.profiler.side_by_side.compare_models import compare_models
from compofa.profiler.side_by_side.model_pairs import ModelPair, PairedModels, SideBySideRequest
from compofa.profiler.statistics.student import student_quantile
from compofa.profiler.transports import open_transport
from compofa.profiler.transports.agent_client import AgentLink
from compofa.profiler.transports.local import LocalDevice
from compofa.supernet.spaces import get_space

CELL = Cell("compofa", "d22222", 160, 1)
CLASSES = {"slower 1": 64, "slower 2": 32, "slower 3": 16}
SECONDS = {"equal": 60.0, "slower 1": 30.0, "slower 2": 60.0, "slower 3": 180.0}
ROUND = ("equal", "slower 1", "equal", "slower 2", "equal", "slower 3")
"""Kinds in turns, so that none has the quieter hours."""

DEVICE = LocalDevice(name="local")
SCRIPT = """
import sys
import numpy as np, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options)
x = {session.get_inputs()[0].name: np.random.default_rng(1).random((1, 3, 160, 160), np.float32)}
for _ in range(100):
    session.run(None, x)
"""
HYPERFINE_RUNS = 10


def make_files(folder: Path) -> None:
    """The base, its equal, and the slower ones."""
    folder.mkdir(parents=True, exist_ok=True)
    with ModelStore([get_space(CELL.space)]) as store:
        model = onnx.load(store.model(CELL).path)
    onnx.save(model, folder / "base.onnx")
    model.doc_string = "nothing else is different"
    onnx.save(model, folder / "equal.onnx")
    for name, more in CLASSES.items():
        widen(folder / "base.onnx", folder / f"{name}.onnx", more)


def widen(source: Path, target: Path, classes: int) -> None:
    """Writes the model with so many classes more."""
    model = onnx.load(source)
    gemm = [node for node in model.graph.node if node.op_type == "Gemm"][-1]
    transposed = any(each.name == "transB" and each.i for each in gemm.attribute)
    tensors = {each.name: each for each in model.graph.initializer}
    for name, axis in zip(gemm.input[1:], (0 if transposed else 1, 0), strict=True):
        array = numpy_helper.to_array(tensors[name])
        wider = np.concatenate([array, np.take(array, range(classes), axis)], axis)
        tensors[name].CopyFrom(numpy_helper.from_array(np.ascontiguousarray(wider), name))
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value += classes
    onnx.checker.check_model(model)
    onnx.save(model, target)


def model_file(path: Path) -> ModelFile:
    """A file as the comparison takes it; what it computes is not looked at."""
    return ModelFile(path, sha256(path.read_bytes()), None, 0)


def in_turns(base: Path, new: Path, seconds: float) -> dict[str, Any]:
    """One comparison as `compofa-report compare` makes it."""
    with tempfile.TemporaryDirectory() as name:
        pair = ModelPair(Cell("files", new.stem, 160, 1), model_file(base), model_file(new))
        request = SideBySideRequest(
            (Path(name) / "a.journal.jsonl",),
            (base, new),
            min_effect=0.0,
            max_time_s=seconds,
            patience_s=0.0,
        )
        changes = compare_models(DEVICE, PairedModels((pair,)), request, Silent())
    how, ratio = changes.side_by_side, changes.cells[0].ratio
    assert how is not None
    scatter = math.log(ratio.value) / ratio.effect_size if ratio.effect_size else math.nan
    return _told(ratio.value, ratio.low, ratio.high) | {
        "verdict": ratio.verdict.value,
        "processes": how.processes,
        "seconds": round(how.seconds, 1),
        "scatter_percent": round(100 * abs(scatter), 3) if how.processes > 1 else None,
        "base_ms": changes.cells[0].base_ms,
    }


def one_after_the_other(base: Path, new: Path, seconds: float) -> dict[str, Any]:
    """The usual way: a process runs the one file, another one the other, for half the time each."""
    means, errors, counts = [], [], []
    with open_transport(DEVICE) as transport:
        for path in (base, new):
            transport.put(path, digest := sha256(path.read_bytes()))
            with transport.start_agent() as channel:
                link = AgentLink(channel)
                link.hello(1, None)
                handle = link.load(digest, "onnxruntime", DEVICE.load_options()).handle
                link.run(handle, 50, 1, 600.0)
                times: list[int] = []
                until = time.monotonic() + seconds / 2
                while time.monotonic() < until:
                    times += link.run(handle, 200, 1, 600.0)[0]
                link.quit()
            logs = np.log(times)
            means.append(float(logs.mean()))
            errors.append(float(logs.var(ddof=1) / len(logs)))
            counts.append(len(logs))
    half = 1.96 * math.sqrt(sum(errors))
    mean = means[1] - means[0]
    return _told(*(math.exp(mean + each) for each in (0.0, -half, half))) | {"runs": sum(counts)}


def hyperfine(base: Path, new: Path, folder: Path) -> dict[str, Any] | None:
    """Hyperfine on a script that runs the model a hundred times; None where it is not installed."""
    program = shutil.which("hyperfine")
    if program is None:
        return None
    script, report = folder / "run.py", folder / "hyperfine.json"
    script.write_text(SCRIPT)
    commands = [f"{sys.executable} '{script}' '{path}'" for path in (base, new)]
    options = ["--warmup", "1", "--runs", str(HYPERFINE_RUNS), "--style", "none"]
    subprocess.run(
        [program, *options, "--export-json", str(report), *commands],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    told = json.loads(report.read_text())["results"]
    logs = [np.log(each["times"]) for each in told]
    mean = float(logs[1].mean() - logs[0].mean())
    error = math.sqrt(sum(float(each.var(ddof=1)) / each.size for each in logs))
    reach = float(student_quantile(0.975, np.array(2.0 * HYPERFINE_RUNS - 2)))
    return _told(*(math.exp(mean + each * reach * error) for each in (0, -1, 1)))


def _told(value: float, low: float, high: float) -> dict[str, Any]:
    return {
        name: round(100 * (end - 1), 4) if math.isfinite(end) else None
        for name, end in (("percent", value), ("low", low), ("high", high))
    }


def measure_here(work: Path, minutes: float) -> None:
    """Comparisons for so many minutes, each written down when it is done."""
    make_files(work)
    rounds = work / "rounds.jsonl"
    done = len(rounds.read_text().splitlines()) if rounds.exists() else 0
    until = time.monotonic() + 60 * minutes
    number = done
    while time.monotonic() < until:
        kind = ROUND[number % len(ROUND)]
        base, new = work / "base.onnx", work / f"{kind}.onnx"
        line: dict[str, Any] = {"kind": kind, "load_before": os.getloadavg()[0]}
        line["in_turns"] = in_turns(base, new, SECONDS[kind])
        line["load_after"] = os.getloadavg()[0]
        if number % len(ROUND) == 0:
            line["one_after_the_other"] = one_after_the_other(base, new, SECONDS[kind])
            line["hyperfine"] = hyperfine(base, new, work)
        with rounds.open("a") as file:
            file.write(json.dumps(line) + "\n")
        number += 1


def summary(lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How often each way was right about files that are equal, and found those that are slower."""
    loads = [line["load_after"] for line in lines]
    result: dict[str, Any] = {
        "load_1m": {"least": min(loads), "median": float(np.median(loads)), "most": max(loads)}
    }
    for way in ("in_turns", "one_after_the_other", "hyperfine"):
        told = [line[way] for line in lines if line["kind"] == "equal" and line.get(way)]
        known = [each for each in told if each["high"] is not None]
        result[way] = {
            "comparisons_of_equals": len(told),
            "decided_nothing": sum(each["low"] in (None, -100.0) for each in told),
            "covered": sum(each["low"] <= 0 <= each["high"] for each in known),
            "false_alarms": sum(each["low"] > 0 or each["high"] < 0 for each in known),
            "median_half_width_percent": _median((e["high"] - e["low"]) / 2 for e in known),
            "largest_error_percent": max((abs(each["percent"]) for each in told), default=None),
            "errors_percent": [each["percent"] for each in told],
        }
    scatter = (line["in_turns"]["scatter_percent"] for line in lines)
    result["scatter_of_a_process_percent"] = _median(each for each in scatter if each is not None)
    result["median_processes"] = _median(
        line["in_turns"]["processes"] for line in lines if line["kind"] == "equal"
    )
    for kind, classes in CLASSES.items():
        every = [line["in_turns"] for line in lines if line["kind"] == kind]
        told = [each for each in every if each["scatter_percent"]]
        weights = [1 / each["scatter_percent"] ** 2 * each["processes"] for each in told]
        truth = np.average([each["percent"] for each in told], weights=weights) if told else None
        result[kind] = {
            "classes_more": classes,
            "slower_by_all_comparisons_percent": None if truth is None else round(float(truth), 3),
            "give_or_take": None if truth is None else round(1.96 / math.sqrt(sum(weights)), 3),
            "seconds_at_most": SECONDS[kind],
            "comparisons": len(every),
            "found": sum(each["verdict"] == "slower" for each in every),
            "called_faster": sum(each["verdict"] == "faster" for each in every),
        }
    return result


def _median(values: Any) -> float | None:
    known = list(values)
    return round(float(np.median(known)), 4) if known else None


def on_paper(comparisons: int) -> list[dict[str, Any]]:
    """Equal models on all kinds of virtual device, and slower ones on a quiet one."""
    found = [study(scene, 0.0, 60.0, comparisons) for scene in SCENES]
    for slower, seconds in ((0.01, 30.0), (0.005, 60.0), (0.0025, 180.0)):
        found.append(study("quiet", slower, seconds, comparisons))
    return found


def main() -> None:
    """Does one part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=("here", "paper", "results"))
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--comparisons", type=int, default=200)
    parser.add_argument("--work", type=Path, default=Path("build/bench_ab"))
    options = parser.parse_args()
    paper = options.work / "paper.json"
    if options.part == "here":
        measure_here(options.work, options.minutes)
    elif options.part == "paper":
        options.work.mkdir(parents=True, exist_ok=True)
        paper.write_text(json.dumps(on_paper(options.comparisons), indent=1))
    else:
        rounds = (options.work / "rounds.jsonl").read_text().splitlines()
        told = json.loads(paper.read_text()) if paper.exists() else []
        print(save("ab", {"here": summary([*map(json.loads, rounds)]), "on_paper": told}))


if __name__ == "__main__":
    main()
