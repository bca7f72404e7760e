"""A package of somebody else's adds a transport, a runtime, a report format and a measured column.

The package is installed as pip would leave it, and the real commands use all that it adds.
CONTRIBUTING.md says which file to write for each.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from compofa.profiler import read_table

TRANSPORT = '''
"""A transport: a drawer of this computer that has to be unlocked with a word."""

from pathlib import Path
from typing import Literal

from compofa.common.errors import DeviceError
from compofa.profiler.transports.device import Device, Text
from compofa.profiler.transports.local import AGENT, LocalChannel, LocalTransport, LocalDevice
from compofa.profiler.transports.registry import TransportSpec


class DrawerDevice(LocalDevice):
    transport: Literal["drawer"] = "drawer"
    word: Text

    @property
    def address(self) -> str:
        return "the top drawer"


class DrawerTransport(LocalTransport):
    def __init__(self, device: DrawerDevice) -> None:
        if device.word != "please":
            raise DeviceError("the drawer is locked", hint="its word is wrong")
        super().__init__(device)


TRANSPORT = TransportSpec(DrawerDevice, DrawerTransport)
'''

RUNTIME = '''
"""A runtime: ONNX Runtime under another name."""

from pathlib import Path

from compofa.profiler.runtimes.spec import RuntimeSpec
from compofa.supernet.export.dtype import Dtype
from compofa.supernet.export.formats import ONNX

SPEC = RuntimeSpec(
    name="slowpoke",
    format=ONNX,
    dtypes=(Dtype.FLOAT32,),
    accelerators=("cpu",),
    agent_class=Path(__file__).with_name("on_the_device.py"),
)
'''

AGENT_CLASS = """
from compofa_agent import OnnxRuntime


class Slowpoke(OnnxRuntime):
    pass


RUNTIME = Slowpoke
"""

FORMAT = '''
"""A report format: the verdict and nothing else."""

from compofa.profiler.comparison.report_format import ReportFormat

WORD = ReportFormat(lambda report: f"{report.verdict.value}!\\n")
'''

MEASURE = '''
"""A measured column: how many times the fastest run fits into the slowest."""

from compofa.profiler.results.measures import MeasureSpec


def spread(runs):
    every = runs.run_ms()
    return float(every.max() / every.min()) if every.size else None


SPREAD = MeasureSpec("spread_ratio", "The slowest run over the fastest.", spread)
'''

ENTRY_POINTS = """
[compofa.transports]
drawer = extra.drawer:TRANSPORT

[compofa.runtimes]
slowpoke = extra.slowpoke:SPEC

[compofa.report_formats]
word = extra.word:WORD

[compofa.measures]
spread_ratio = extra.spread:SPREAD
"""

PROFILE = "from compofa.profiler.commands import main; main()"
REPORT = "from compofa.search.commands.report_command import main; main()"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of installed packages that holds the package `extra`."""
    folder = tmp_path_factory.mktemp("site")
    package, metadata = folder / "extra", folder / "extra-1.0.dist-info"
    package.mkdir()
    metadata.mkdir()
    for name, source in {
        "__init__": "",
        "drawer": TRANSPORT,
        "slowpoke": RUNTIME,
        "on_the_device": AGENT_CLASS,
        "word": FORMAT,
        "spread": MEASURE,
    }.items():
        (package / f"{name}.py").write_text(source)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: extra\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    return folder


def run(code: str, site: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.timeout(300)
def test_one_of_each_is_used_by_the_real_commands(site: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text("{name: tiny, width: 0.25, classes: 10, resolutions: [32]}")
    (tmp_path / "devices.yaml").write_text(
        "top: {transport: drawer, word: please, runtime: slowpoke}\n"
    )
    listed = run(PROFILE, site, tmp_path, "devices")
    assert "the top drawer" in listed.stdout, listed.stderr

    options = ("--space", "tiny.yaml", "--plan", "2", "--target", "50%", "--no-pause")
    columns = ("--columns", "spread_ratio,p50_ms")
    for name in ("base.csv", "new.csv"):
        ended = run(PROFILE, site, tmp_path, "--device", "top", *options, *columns, "--out", name)
        # 3: on a busy computer a cell may stay less sure than was asked for.
        assert ended.returncode in (0, 3), ended.stderr
    table = read_table(tmp_path / "new.csv")
    assert table.setup.runtime == "slowpoke"
    place = table.extra.index("spread_ratio")
    measured = [row for row in table.rows if row.source == "measured"]
    assert all((row.extra[place] or 0) >= 1 for row in measured)
    meta = json.loads((tmp_path / "new.meta.json").read_text())
    assert meta["measures"]["spread_ratio"]

    compared = run(REPORT, site, tmp_path, "compare", "base.csv", "new.csv", "--format", "word=w")
    assert compared.returncode in (0, 1, 3), compared.stderr
    assert (tmp_path / "w").read_text() in {"slower!\n", "faster!\n", "same!\n", "cannot tell!\n"}


def test_its_mistakes_are_told_like_those_of_our_own(site: Path, tmp_path: Path) -> None:
    (tmp_path / "devices.yaml").write_text("top: {transport: drawer, wrd: please}\n")
    ended = run(PROFILE, site, tmp_path, "devices")
    assert ended.returncode == 2
    assert "devices.yaml:1: top: unknown key 'wrd' for transport drawer" in ended.stderr
    assert "did you mean 'word'" in ended.stderr
    (tmp_path / "devices.yaml").write_text("top: {transport: drawer, word: open}\n")
    ended = run(PROFILE, site, tmp_path, "check", "--device", "top")
    assert ended.returncode == 4
    assert "the drawer is locked" in ended.stderr
