"""What the packages export is what docs/python-api.md lists, and importing them costs little."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from compofa.profiler import read_table
from rigs.virtual_device import VirtualDevice

DOCS = Path(__file__).resolve().parent.parent / "docs"
PACKAGES = ("supernet", "profiler", "search")
HEAVY = {
    "numpy",
    "pandas",
    "scipy",
    "torch",
    "onnx",
    "onnxruntime",
    "paramiko",
    "pydantic",
    "typer",
}

IMPORT = """
import json, sys, time
begun = time.process_time()
import compofa.{package}
spent = time.process_time() - begun
print(json.dumps([spent, sorted({{name.partition(".")[0] for name in sys.modules}})]))
"""


def documented(package: str) -> list[str]:
    """The names in the first column of the package's table."""
    section = (DOCS / "python-api.md").read_text().partition(f"\n## compofa.{package}\n")[2]
    rows = re.findall(r"^\| (`.*?) \|", section.partition("\n## ")[0], re.M)
    return [name for row in rows for name in re.findall(r"`(\w+)`", row)]


def python_in(page: Path) -> str:
    """The code of a page or a notebook."""
    if page.suffix == ".md":
        return page.read_text()
    cells = json.loads(page.read_text())["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


@pytest.mark.parametrize("package", PACKAGES)
def test_exported_and_documented_names_are_the_same(package: str) -> None:
    exported = importlib.import_module(f"compofa.{package}").__all__
    assert sorted(documented(package)) == sorted(exported)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_exported_name_is_there_with_a_docstring(package: str) -> None:
    module = importlib.import_module(f"compofa.{package}")
    for name in module.__all__:
        assert getattr(module, name).__doc__


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_a_package_loads_nothing_large_and_takes_under_20_ms(package: str) -> None:
    command = [sys.executable, "-c", IMPORT.format(package=package)]
    spent = []
    for _ in range(3):
        ran = subprocess.run(command, capture_output=True, text=True, check=True)
        seconds, loaded = json.loads(ran.stdout)
        assert HEAVY.isdisjoint(loaded)
        spent.append(seconds)
    assert min(spent) < 0.020


@pytest.mark.parametrize(
    "page", [*sorted(DOCS.glob("*.md")), *sorted(DOCS.glob("*.ipynb"))], ids=lambda page: page.name
)
def test_pages_use_the_exported_names_only(page: Path) -> None:
    code = python_in(page)
    inside = re.findall(r"^\s*(?:from|import) (compofa\.\w+\.[\w.]+)", code, re.M)
    assert set(inside) <= {"compofa.common.errors"}
    for package, names in re.findall(
        r"^\s*from compofa\.(\w+) import (\([^)]*\)|[^\n]*)", code, re.M
    ):
        exported = importlib.import_module(f"compofa.{package}").__all__
        assert set(re.findall(r"\w+", names)) <= set(exported)


def test_the_profile_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (script,) = re.findall(r"```python\n(.*?)```", (DOCS / "python-api.md").read_text(), re.S)
    (tmp_path / "devices.yaml").write_text("local: {transport: local}\n")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    with VirtualDevice(lambda cell: 3.0).plugged_in():
        exec(script, names)
    assert len(names["outcome"].written.table.rows) == 243
    assert len(read_table(Path("local.csv")).rows) == 243
