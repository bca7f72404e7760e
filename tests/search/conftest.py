"""Tables of two devices, made from a formula."""

from __future__ import annotations

from pathlib import Path

import pytest

from compofa.profiler.results.table import write_table
from rigs.tables import make_table


@pytest.fixture
def phone(tmp_path: Path) -> Path:
    """A table of `compofa` at 160 and 224: 10 ms for d22222 at 160, 28 for d44444 at 224."""
    path = tmp_path / "phone.csv"
    write_table(path, make_table())
    return path


@pytest.fixture
def board(tmp_path: Path) -> Path:
    """Another device, on which later units cost more."""
    path = tmp_path / "board.csv"
    write_table(path, make_table("board", slope=1.5))
    return path
