"""The notebook in docs/, run cell by cell as a reader would, with the outputs it shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

DOCS = Path(__file__).resolve().parents[2] / "docs"


def printed(notebook: Any) -> list[str]:
    """What the cells print."""
    cells = (cell for cell in notebook.cells if cell.cell_type == "code")
    return ["".join(each.get("text", "") for each in cell.outputs) for cell in cells]


def test_the_notebook_runs_and_prints_what_it_shows() -> None:
    shown = nbformat.read(DOCS / "search.ipynb", as_version=4)
    ran = nbformat.read(DOCS / "search.ipynb", as_version=4)
    # The kernel listens on 127.0.0.1 alone, as is its default.
    folder = {"metadata": {"path": str(DOCS)}}
    NotebookClient(ran, timeout=60, resources=folder).execute()
    assert printed(ran) == printed(shown)
    assert any(printed(shown))
    assert any("image/png" in each.get("data", {}) for each in ran.cells[-2].outputs)
