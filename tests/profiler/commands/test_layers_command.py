"""compofa-profile layers as people call it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from compofa.profiler.models.model_store import ModelStore
from compofa.profiler.results.table import Cell
from compofa.supernet.spaces import get_space

PROGRAM = (sys.executable, "-m", "compofa.profiler", "layers", "--device", "here")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "devices.yaml").write_text("here: {transport: local}\n")
    return tmp_path


def run(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    command = [*PROGRAM, *map(str, words)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


def test_it_tells_blocks_operators_and_units_and_writes_a_page(here: Path) -> None:
    words = ("--subnet", "d22222", "--resolution", 96, "--sessions", 2, "--html", "l.html")
    done = run(here, *words, "--json")
    assert done.returncode == 0, done.stderr
    (network,) = json.loads(done.stdout)["networks"]
    assert network["name"] == "d22222 at 96"
    assert network["sum_ms"] == pytest.approx(
        sum(each["ms"] for each in network["blocks"]), rel=0.5
    )
    assert [each["name"] for each in network["units"]][:3] == ["stem", "first", "units.0"]
    assert len(network["operators"]) > 50
    assert (here / "l.html").read_text().count("<rect") == len(network["blocks"])


def test_two_model_files_are_compared_by_their_operators(here: Path) -> None:
    with ModelStore([get_space("compofa")], "onnxruntime") as store:
        for name, key in (("base", "d22222"), ("new", "d22223")):
            path = store.model(Cell("compofa", key, 96, 1)).path
            (here / f"{name}.onnx").write_bytes(path.read_bytes())
    done = run(here, "--model", "base.onnx", "--model", "new.onnx", "--sessions", 2)
    assert done.returncode == 0, done.stderr
    assert "where the second one takes longer:" in done.stdout
    assert "longer" in done.stdout.splitlines()[0]
    assert "  units.4.2." in done.stdout.partition("where the second")[2]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "no network is named"),
        (("--subnet", "d22222"), "no network is named"),
        (("--subnet", "d22222", "--model", "a.onnx"), "do not go together"),
        (("--subnet", "d2222", "--resolution", "96"), "d2222"),
        (("--subnet", "d22222", "--resolution", "96", "--html", "a.csv"), "a.csv"),
    ],
)
def test_wrong_words_are_the_users_mistake(here: Path, words: tuple[str, ...], said: str) -> None:
    done = run(here, *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
