"""Which lines of a journal still count once a model file has changed."""

from __future__ import annotations

from dataclasses import replace

from compofa.profiler.results.journal import Failure, JournalLine, ModelLine, Timing
from compofa.profiler.results.model_lines import lines_that_count, model_columns, model_values
from compofa.profiler.results.table import Cell

CELL, OTHER = Cell("files", "net", 224, 1), Cell("files", "other", 224, 1)
SUBNET = Cell("compofa", "d22222", 224, 1)
FIRST = ModelLine(CELL, "net.onnx", "onnx", "1" * 64, 9, ("x",), "a" * 64, "here", macs=5)
SECOND = replace(FIRST, sha256="2" * 64)


def timing(cell: Cell | None, sha256: str = "1" * 64, session: int = 1) -> Timing:
    return Timing(session, cell, sha256, 1.0, 5, (), (7,), {}, "now")


def failure(cell: Cell) -> Failure:
    return Failure(1, cell, "why", True, "1" * 64, "now")


def test_timings_of_an_earlier_file_do_not_count() -> None:
    kept = [timing(None), timing(SUBNET), timing(OTHER), timing(CELL, "2" * 64)]
    lines: list[JournalLine] = [FIRST, timing(CELL), *kept[:3], SECOND, kept[3]]
    assert lines_that_count(lines) == [FIRST, *kept[:3], SECOND, kept[3]]


def test_the_same_file_goes_on_where_it_was() -> None:
    lines: list[JournalLine] = [FIRST, timing(CELL), replace(FIRST, columns={"top1": 7.0})]
    assert lines_that_count(lines) == lines


def test_other_input_data_are_another_measurement() -> None:
    lines: list[JournalLine] = [FIRST, timing(CELL), replace(FIRST, inputs_sha256="b" * 64)]
    assert lines_that_count(lines) == [lines[0], lines[2]]


def test_a_failure_counts_until_its_model_is_tried_anew() -> None:
    lines: list[JournalLine] = [FIRST, failure(CELL), failure(SUBNET), FIRST]
    assert lines_that_count(lines) == [FIRST, failure(SUBNET), FIRST]
    assert lines_that_count([*lines, failure(CELL)])[-1] == failure(CELL)
    unread = failure(Cell("files", "net", 0, 1))
    assert lines_that_count([unread, FIRST]) == [FIRST]
    assert lines_that_count([unread]) == [unread]


def test_columns_are_what_is_known_of_any_model() -> None:
    other = replace(FIRST, cell=OTHER, macs=None, columns={"mAP": 3.5})
    names = model_columns([FIRST, other])
    assert names == ("macs", "mAP")
    assert [model_values(line, names) for line in (FIRST, other, None)] == [
        (5, None),
        (None, 3.5),
        (None, None),
    ]
