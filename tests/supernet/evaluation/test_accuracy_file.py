"""Accuracy tables: written here, read here and by `compofa-search`; their intervals hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compofa.common.errors import UserError
from compofa.search.accuracy.accuracy_table import AccuracyTable
from compofa.supernet.evaluation.accuracy_file import (
    ACCURACY_COLUMNS,
    AccuracyRow,
    read_accuracy_table,
    wilson,
    write_accuracy_table,
)

ROWS = [
    AccuracyRow("compofa", "d22222", 160, 0.71, "measured, on 100 images", 0.61, 0.79),
    AccuracyRow("compofa", "d44444", 224, 1.0, 'a "quoted" source', 0.96, 1.0),
    AccuracyRow("compofa", "d23422", 192, 0.0, "without an interval"),
]


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    write_accuracy_table(table, ["what it is", "and how"], ROWS)
    assert read_accuracy_table(table) == (["what it is", "and how"], ROWS)


def test_the_search_reads_what_is_written(tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    write_accuracy_table(table, ["what it is"], ROWS)
    found = AccuracyTable.read(table)
    cells = {(row.subnet, row.resolution): row.top1 for row in ROWS}
    assert found.values == {"compofa": cells}
    assert found.sources == tuple(row.source for row in ROWS)
    assert set(found.spreads["compofa"]) == {("d22222", 160), ("d44444", 224)}


def test_columns_may_come_in_any_order(tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_text("top1,source,resolution,subnet,space\n0.5,x,160,d22222,compofa\n")
    assert read_accuracy_table(table) == ([], [AccuracyRow("compofa", "d22222", 160, 0.5, "x")])


HEADER = ",".join(ACCURACY_COLUMNS) + "\n"
WRONG = {
    "a missing file": (None, "cannot read the accuracy table: no such file"),
    "an empty file": ("", "the accuracy table is empty"),
    "no header": ("# remark\n", "the accuracy table is empty"),
    "no rows": (HEADER, "the accuracy table has no rows"),
    "another header": ("space,subnets,resolution,top1,source\n", "is it 'subnets'"),
    "a short row": (HEADER + "compofa,d22222,160,0.5\n", "a.csv:2: 4 values where the header"),
    "no number": (HEADER + "compofa,d22222,160,half,x\n", "a.csv:2: top1 must be a finite number"),
    "a cell twice": (
        HEADER + "compofa,d22222,160,0.5,x\n" * 2,
        "a.csv:3: the accuracy of compofa d22222 at 160 is given twice",
    ),
    "a percentage": (HEADER + "compofa,d22222,160,75,x\n", "top1 is a fraction of one"),
    "not a number": (HEADER + "compofa,d22222,160,nan,x\n", "top1 must be a finite number"),
    "half a line": (HEADER + "compofa,d22222,160,0.5,x", "its last line has no line ending"),
    "an open quote": (HEADER + 'compofa,d22222,160,0.5,"x\n', "a.csv:2: not valid CSV"),
}


@pytest.mark.parametrize(("text", "message"), WRONG.values(), ids=WRONG.keys())
def test_what_is_no_table_is_told_with_its_place(
    tmp_path: Path, text: str | None, message: str
) -> None:
    table = tmp_path / "a.csv"
    if text is not None:
        table.write_text(text)
    with pytest.raises(UserError) as told:
        read_accuracy_table(table)
    assert message in str(told.value)


def test_bytes_that_are_no_text_are_told(tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not UTF-8"):
        read_accuracy_table(table)


@given(st.integers(1, 100_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_an_interval_holds_its_share_and_stays_within_bounds(counts: tuple[int, int]) -> None:
    correct, images = counts
    low, high = wilson(correct, images)
    assert 0 <= low <= correct / images <= high <= 1
    assert low < high


@pytest.mark.parametrize("share", [0.05, 0.5, 0.76, 0.99])
def test_intervals_hold_the_true_share_as_often_as_they_claim(share: float) -> None:
    drawn = np.random.default_rng(0).binomial(500, share, size=4000)
    intervals = {int(n): wilson(int(n), 500) for n in np.unique(drawn)}
    held = [intervals[int(n)][0] <= share <= intervals[int(n)][1] for n in drawn]
    assert 0.935 <= np.mean(held) <= 0.965
