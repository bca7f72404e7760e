"""Lists of cells to predict: what is wrong is named with its line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from compofa.common.errors import UserError
from compofa.profiler.results.predict import read_cells, standard_error
from compofa.profiler.results.table import Cell, Row
from compofa.supernet.spaces import get_space

HEADER = "space,subnet,resolution,batch_size\n"


def test_cells_are_read(tmp_path: Path) -> None:
    path = tmp_path / "cells.csv"
    path.write_text(HEADER + "compofa,d22222,160,1\n")
    assert read_cells(path, get_space("compofa")) == (Cell("compofa", "d22222", 160, 1),)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("compofa,d99999,160,1", "'d99999' is not a subnet of space compofa"),
        (f"compofa,{'d' * 290},160,1", "is not a subnet of space compofa"),
        ("ofa-mbv3,d22222,160,1", "this one is of compofa, and a cell is of ofa-mbv3"),
        ("compofa,d22222,0,1", "resolution must be a whole number from 1"),
        ("compofa,d22222,160,1", "the same cell as on line 2"),
    ],
)
def test_a_wrong_cell_is_named_with_file_and_line(tmp_path: Path, row: str, said: str) -> None:
    path = tmp_path / "cells.csv"
    path.write_text(f"{HEADER}compofa,d22222,160,1\n{row}\n")
    with pytest.raises(UserError, match=said) as caught:
        read_cells(path, get_space("compofa"))
    assert (caught.value.path, caught.value.line) == (path, 3)
    assert len(str(caught.value)) < 400 + len(str(path))


def test_an_interval_of_95_percent_is_1_96_standard_errors_wide_on_each_side() -> None:
    cell = Cell("compofa", "d22222", 160, 1)
    row = Row(cell, 10.0, 9.8, 10.2, 0.95, None, "measured", "ok", 5, 50, "", "")
    assert standard_error(row) == pytest.approx(0.02 / 1.96, rel=1e-3)
    assert standard_error(replace(row, ci_low_ms=None)) is None
    assert standard_error(replace(row, ci_high_ms=None)) is None
    assert standard_error(replace(row, latency_ms=None)) is None
