"""A runtime that another package brings: one module, one class for the agent, one writer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from compofa.profiler.results.table import read_table

SPEC = '''
"""A runtime whose files are ONNX files behind a mark of their own."""

from pathlib import Path

from compofa.profiler.runtimes.spec import RuntimeSpec
from compofa.supernet.export.dtype import Dtype
from compofa.supernet.export.formats import ONNX
from compofa.supernet.export.model_format import ModelFormat

MARKED = ModelFormat("marked", ".marked", (Dtype.FLOAT32,), lambda it: b"MARK" + ONNX.write(it))

SPEC = RuntimeSpec(
    name="marked",
    format=MARKED,
    dtypes=(Dtype.FLOAT32,),
    accelerators=("cpu", "abacus"),
    settings={"beads": ("wood", "glass")},
    agent_class=Path(__file__).with_name("on_the_device.py"),
)
'''

AGENT_CLASS = """
import os

from compofa_agent import OnnxRuntime, Refused


class Marked(OnnxRuntime):
    def __init__(self, path, options):
        if options["accelerator"] != "cpu":
            raise Refused("runtime", "there is no abacus here")
        with open(path, "rb") as file:
            if file.read(4) != b"MARK":
                raise ValueError("it has no mark")
            content = file.read()
        bare = path + ".bare"
        with open(bare, "wb") as file:
            file.write(content)
        try:
            super().__init__(bare, options)
        finally:
            os.unlink(bare)
        self.settings["beads"] = options["beads"]


RUNTIME = Marked
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds an installed package, which registers the runtime `marked`."""
    folder = tmp_path_factory.mktemp("packages")
    (folder / "marked").mkdir()
    (folder / "marked" / "__init__.py").write_text(SPEC)
    (folder / "marked" / "on_the_device.py").write_text(AGENT_CLASS)
    metadata = folder / "marked-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: marked\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[compofa.runtimes]\nmarked = marked:SPEC\n")
    return folder


def profile(package: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    code = "from compofa.profiler.commands import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_is_measured_like_our_own(package: Path, tiny_space_file: Path, tmp_path: Path) -> None:
    (tmp_path / "devices.yaml").write_text(
        "here: {transport: local, runtime: marked, beads: glass}\n"
    )
    ended = profile(
        package, tmp_path, "--device", "here", "--space", str(tiny_space_file), "--plan", "2",
        "--target", "50%", "--no-pause",
    )  # fmt: skip
    # 3: on a busy computer a cell may stay less sure than was asked for.
    assert ended.returncode in (0, 3), ended.stderr
    table = read_table(tmp_path / "here.csv")
    assert (table.setup.runtime, table.setup.accelerator) == ("marked", "cpu")
    assert any(row.source == "measured" for row in table.rows)
    assert all(row.latency_ms for row in table.rows)
    meta = json.loads((tmp_path / "here.meta.json").read_text())
    assert meta["fingerprint"]["beads"] == "glass"
    assert meta["runtime_settings"]["beads"] == "glass"


@pytest.mark.parametrize(
    ("settings", "code", "said"),
    [
        ("runtime: marked, beads: amber", 2,
         "devices.yaml:1: here: beads of marked cannot be 'amber' (known: wood, glass)"),
        ("runtime: tflite, beads: wood", 2, "beads is a setting of marked, not of tflite"),
        ("runtime: marked, dtype: half", 2, "marked has no dtype 'float16' (it has float32)"),
        ("runtime: marked, accelerator: abacus", 2, "there is no abacus here"),
        ("runtime: markd", 2, "did you mean 'marked'"),
    ],
)  # fmt: skip
def test_its_settings_are_checked_like_those_of_ours(
    package: Path, tmp_path: Path, settings: str, code: int, said: str
) -> None:
    (tmp_path / "devices.yaml").write_text(f"here: {{transport: local, {settings}}}\n")
    ended = profile(package, tmp_path, "check", "--device", "here")
    assert ended.returncode == code, ended.stderr
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
