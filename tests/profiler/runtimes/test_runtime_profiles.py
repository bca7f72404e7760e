"""A table made with each runtime, and searched; what is missing is told before there is one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from compofa.common.errors import UserError
from compofa.profiler.measurement.handshake import fingerprint
from compofa.profiler.measurement.plan import Plan
from compofa.profiler.measurement.profile import Outcome, ProfileRequest, profile
from compofa.profiler.measurement.progress import Display
from compofa.profiler.results.table import Cell
from compofa.profiler.settings import Protocol
from compofa.profiler.transports.agent_client import Hello
from compofa.profiler.transports.local import LocalDevice
from compofa.supernet.space import Space

QUICK = Protocol(
    min_sessions=1, max_sessions=1, min_runs=3, run_s=1e-4, warmup_chunk=2, reference_runs=2
)
CELLS = tuple(Cell("tiny", key, 32, 1) for key in ("d22222", "d33333", "d44444"))
PLAN = Plan("three", 0, CELLS, (0, 1, 2), ())


def measure(device: LocalDevice, space: Space, out: Path) -> Outcome:
    asked = ProfileRequest(space, (32,), (1,), out, protocol=QUICK, patience_s=0)
    return profile(device, asked, Display("here", quiet=True), plan=PLAN)


@pytest.mark.parametrize(
    ("runtime", "package", "shown"),
    [
        ("onnxruntime", "onnxruntime", ("providers", ["CPUExecutionProvider"])),
        ("tflite", "ai_edge_litert", ("partitions", 1)),
        ("torch", "torch", ("mode", "eager")),
        ("openvino", "openvino", ("precision", "f32")),
    ],
)
def test_a_table_of_each_runtime_can_be_searched(
    tiny_space: Space,
    tiny_space_file: Path,
    tmp_path: Path,
    runtime: str,
    package: str,
    shown: tuple[str, object],
) -> None:
    pytest.importorskip(package)
    written = measure(LocalDevice(name="here", runtime=runtime), tiny_space, tmp_path / "t.csv")
    assert written.written.table.setup.runtime == runtime
    assert written.written.count("failed") == 0
    name, value = shown
    assert written.written.meta.runtime_settings[name] == value
    accuracy = tmp_path / "accuracy.csv"
    rows = "".join(f"tiny,{cell.subnet},32,0.{i + 5},made up\n" for i, cell in enumerate(CELLS))
    accuracy.write_text("space,subnet,resolution,top1,source\n" + rows)
    code = "from compofa.search.commands.search_command import main; main()"
    command = [sys.executable, "-c", code,
               "--table", str(tmp_path / "t.csv"), "--accuracy", str(accuracy),
               "--space", str(tiny_space_file), "--latency", "1e6", "--json"]  # fmt: skip
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(said.stdout)["results"][0]["subnet"] == "d44444"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"accelerator": "qnn"}, "here: onnxruntime here has no QNNExecutionProvider; it has"),
        ({"dtype": "float16"}, "here: onnxruntime has no dtype 'float16' .it has float32, int8"),
        ({"runtime": "benchmark_model"}, "here does not have the runtime benchmark_model"),
    ],
)
def test_what_is_missing_is_told_before_anything_is_written(
    tiny_space: Space, tmp_path: Path, settings: dict[str, str], said: str
) -> None:
    device = LocalDevice.model_validate({"name": "here", **settings})
    with pytest.raises(UserError, match=said):
        measure(device, tiny_space, tmp_path / "t.csv")
    assert list(tmp_path.iterdir()) == []


def test_the_mode_and_the_gpu_are_part_of_the_fingerprint() -> None:
    def seen(mode: str | None, gpu: str | None) -> dict[str, object]:
        device = LocalDevice.model_validate({"name": "here", "runtime": "torch", "mode": mode})
        facts = {"gpu": gpu and {"name": gpu, "driver": "555.42"}}
        return fingerprint(device, Hello(1, None, {"torch": "2.13"}, {"torch": None}, facts, {}))

    assert seen(None, None) == seen("eager", None)
    assert seen("eager", None) != seen("channels_last", None)
    assert seen("eager", None) != seen("eager", "H100")
