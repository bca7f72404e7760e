"""Latency tables: what is written is read back, and what is wrong is named with its line."""

from __future__ import annotations

import errno
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compofa.common import csv_lines
from compofa.common.errors import UserError
from compofa.profiler.results.table import (
    COLUMNS,
    Cell,
    Row,
    RowSource,
    SetUp,
    Status,
    Table,
    read_table,
    write_table,
)
from compofa.supernet.export.dtype import usual_name

SETUP = SetUp("rpi4", "tflite", "2.16", "cpu", 4, "float32")
OK = Row(
    Cell("compofa", "d23422", 176, 1), 25.5, 25.0, 26.0, 0.95, 27.0, "measured", "ok", 5, 250,
    "ab" * 32, "2026-01-02T03:04:05Z",
)  # fmt: skip
FAILED = replace(
    OK, cell=Cell("compofa", "d44444", 224, 1), latency_ms=None, ci_low_ms=None, ci_high_ms=None,
    p90_ms=None, status="failed",
)  # fmt: skip

HEADER = ",".join(COLUMNS)
GOOD = {
    "device": "rpi4", "runtime": "tflite", "runtime_version": "2.16", "accelerator": "cpu",
    "threads": "4", "dtype": "float32", "space": "compofa", "subnet": "d23422",
    "resolution": "176", "batch_size": "1", "latency_ms": "25.5", "ci_low_ms": "25.0",
    "ci_high_ms": "26.0", "confidence": "0.95", "p90_ms": "27.0", "source": "measured",
    "status": "ok", "n_sessions": "5", "n_runs": "250", "model_sha256": "", "measured_at": "",
}  # fmt: skip


def line(**changes: str) -> str:
    """A good row with some values changed."""
    values = GOOD | changes
    return ",".join(f'"{values[name]}"' for name in COLUMNS)


def write(path: Path, *lines: str, end: str = "\n") -> Path:
    path.write_text("\n".join(lines) + end, encoding="utf-8")
    return path


def refused(path: Path) -> str:
    """The message with which a table is refused; always one line that begins with its name."""
    with pytest.raises(UserError) as caught:
        read_table(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message.removeprefix(str(path))


texts = st.text(st.characters(exclude_categories=["C", "Zl", "Zp", "Zs"]), min_size=1, max_size=20)
latencies = st.floats(1e-6, 1e9)


@st.composite
def rows(draw: st.DrawFn) -> Row:
    cell = Cell(draw(texts), draw(texts), draw(st.integers(1, 10**6)), draw(st.integers(1, 10**6)))
    status = draw(st.sampled_from(get_args(Status)))
    timed = status != "failed"
    latency = draw(latencies) if timed else None
    interval = timed and draw(st.booleans())
    low = draw(st.floats(0, latency)) if interval else None
    high = draw(st.floats(latency, 1e12)) if interval else None
    p90 = draw(st.none() | latencies) if timed else None
    confidence = draw(st.floats(0.01, 0.999))
    source = draw(st.sampled_from(get_args(RowSource)))
    counts = draw(st.integers(0, 10**9)), draw(st.integers(0, 10**9))
    words = draw(st.just("") | texts), draw(st.just("") | texts)
    return Row(cell, latency, low, high, confidence, p90, source, status, *counts, *words)


# A table says a number type by its usual name, whatever its writer called it.
setups = st.builds(SetUp, texts, texts, texts, texts, st.integers(0, 1000), texts.map(usual_name))


@settings(deadline=None)
@given(setups, st.lists(rows(), min_size=1, max_size=5, unique_by=lambda row: row.cell))
def test_a_table_is_read_back_equal(
    tmp_path_factory: pytest.TempPathFactory, setup: SetUp, rows: list[Row]
) -> None:
    path = tmp_path_factory.mktemp("table") / "t.csv"
    table = Table(setup, tuple(rows))
    write_table(path, table)
    assert read_table(path) == table


def test_the_columns_are_those_of_the_design() -> None:
    assert HEADER == (
        "device,runtime,runtime_version,accelerator,threads,dtype,space,subnet,resolution,"
        "batch_size,latency_ms,ci_low_ms,ci_high_ms,confidence,p90_ms,source,status,n_sessions,"
        "n_runs,model_sha256,measured_at"
    )


def test_columns_may_stand_in_another_order_and_the_file_may_come_from_windows(
    tmp_path: Path,
) -> None:
    path = tmp_path / "t.csv"
    names = sorted(COLUMNS)
    text = "\r\n".join([",".join(names), ",".join(GOOD[name] for name in names), ""])
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read_table(path).rows[0].cell == OK.cell


def test_a_spreadsheet_formula_is_text_like_any_other(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", HEADER, line(subnet="=1+1"))
    assert read_table(path).rows[0].cell.subnet == "=1+1"


def test_a_space_that_nobody_knows_is_allowed(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", HEADER, line(space="mine"))
    assert read_table(path).rows[0].cell.space == "mine"


def test_a_failed_row_and_an_unconverged_row_are_kept(tmp_path: Path) -> None:
    table = Table(SETUP, (replace(OK, status="unconverged"), FAILED))
    write_table(tmp_path / "t.csv", table)
    assert [row.status for row in read_table(tmp_path / "t.csv").rows] == ["unconverged", "failed"]


def test_the_frame_has_the_files_columns(tmp_path: Path) -> None:
    frame = Table(SETUP, (OK, FAILED)).to_frame()
    assert tuple(frame.columns) == COLUMNS
    assert frame["latency_ms"].tolist()[0] == 25.5
    assert frame["latency_ms"].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"latency_ms": "nan"}, "latency_ms must be a finite number, not 'nan'"),
        ({"latency_ms": "inf"}, "latency_ms must be a finite number, not 'inf'"),
        ({"latency_ms": "1_0"}, "latency_ms must be a finite number, not '1_0'"),
        ({"latency_ms": "fast"}, "latency_ms must be a finite number, not 'fast'"),
        ({"latency_ms": "-1", "ci_low_ms": "", "ci_high_ms": ""}, "must be above zero"),
        ({"latency_ms": "0", "ci_low_ms": "", "ci_high_ms": ""}, "must be above zero"),
        ({"latency_ms": ""}, "latency_ms is empty although the status is ok"),
        ({"status": "failed"}, "a failed cell must not have a latency"),
        ({"ci_low_ms": "25.6"}, "the interval 25.6 to 26.0 ms does not hold the latency 25.5 ms"),
        ({"ci_low_ms": ""}, "one is empty and the other is not"),
        ({"p90_ms": "-2"}, "p90_ms must be above zero"),
        ({"confidence": "95"}, "confidence must be between 0 and 1, not 95.0"),
        ({"source": "guessed"}, "source must be measured or predicted, not 'guessed'"),
        ({"status": "fine"}, "status must be ok, unconverged or failed, not 'fine'"),
        ({"resolution": "-1"}, "resolution must be a whole number from 0 to 1000000, not '-1'"),
        ({"batch_size": "1.5"}, "batch_size must be a whole number"),
        ({"n_runs": "-3"}, "n_runs must be a whole number from 0, not '-3'"),
        ({"threads": "many"}, "threads must be a whole number"),
        ({"subnet": ""}, "subnet is empty"),
        ({"space": "a\x07b"}, "space holds characters that do not print"),
        ({"device": "x" * 1000}, "device has 1000 characters"),
    ],
)
def test_a_bad_value_is_named_with_its_line(
    tmp_path: Path, changes: dict[str, str], said: str
) -> None:
    message = refused(write(tmp_path / "t.csv", HEADER, line(**changes)))
    assert message.startswith(":2: ")
    assert said in message


def test_a_duplicate_row_names_both_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", HEADER, line(), line(subnet="d22222"), line(latency_ms="25.9"))
    expected = ":4: the same cell as on line 2: compofa d23422 at 176, batch 1"
    assert refused(path) == expected


@pytest.mark.parametrize(("name", "other"), [("device", "pixel6"), ("threads", "1")])
def test_two_set_ups_in_one_table_are_told_apart_by_what_differs(
    tmp_path: Path, name: str, other: str
) -> None:
    path = write(tmp_path / "t.csv", HEADER, line(), line(subnet="d22222", **{name: other}))
    said = f"{name} is '{other}' here and '{GOOD[name]}' on line 2"
    assert refused(path) == f":3: a table holds one set-up, but {said}"


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    assert refused(tmp_path / "t.csv") == ": the table is empty"


def test_a_table_without_rows_is_refused(tmp_path: Path) -> None:
    assert refused(write(tmp_path / "t.csv", HEADER)) == ": the table has no rows"


@settings(deadline=None)
@given(st.data())
def test_a_table_cut_short_anywhere_is_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("cut") / "t.csv"
    second = replace(OK, cell=replace(OK.cell, subnet="d22222"))
    write_table(path, Table(SETUP, (OK, second)))
    whole = path.read_bytes()
    line_ends = {i + 1 for i, byte in enumerate(whole) if byte == ord("\n")}
    kept = data.draw(st.integers(0, len(whole) - 1).filter(lambda n: n not in line_ends))
    path.write_bytes(whole[:kept])
    refused(path)


def test_a_line_cut_between_numbers_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", HEADER, line(), line(subnet="d22222")[:80], end="")
    assert refused(path).startswith(":3: ")


def test_text_that_is_not_utf8_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(f"{HEADER}\n".encode() + line(device="caf?").encode().replace(b"?", b"\xe9"))
    assert refused(path) == ":2: the table is not UTF-8 text"


def test_a_missing_column_is_named_with_what_was_probably_meant(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", HEADER.replace("latency_ms", "latency"), line())
    assert refused(path) == ":1: the table has no column 'latency_ms' (is it 'latency'?)"


def test_a_column_that_is_not_named_like_a_measure_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", HEADER + ",Latency-us", line() + ",1")
    assert refused(path) == ":1: unknown column 'Latency-us' (did you mean 'latency_ms'?)"


def test_columns_of_ones_own_are_kept(tmp_path: Path) -> None:
    path = write(
        tmp_path / "t.csv", HEADER + ",energy_mj", line() + ",12.5", line(subnet="d22222") + ","
    )
    table = read_table(path)
    assert table.extra == ("energy_mj",)
    assert [row.extra for row in table.rows] == [(12.5,), (None,)]
    assert list(table.to_frame()["energy_mj"].fillna(0)) == [12.5, 0]
    write_table(tmp_path / "copy.csv", table)
    assert read_table(tmp_path / "copy.csv") == table


def test_a_column_of_ones_own_holds_numbers(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", HEADER + ",energy_mj", line() + ",low")
    assert refused(path).startswith(
        ":2: energy_mj must be a finite number, not 'low' (or did a newer"
    )


def test_a_column_given_twice_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", HEADER + ",device", line() + ",rpi4")
    assert refused(path) == ":1: column 'device' is given twice"


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    missing = refused(tmp_path / "none.csv")
    assert missing == ": cannot read the table: no such file or directory"
    assert refused(tmp_path) == ": cannot read the table: is a directory"


def test_a_file_that_would_fill_the_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_lines, "LARGEST_FILE", 1_000_000)
    (tmp_path / "t.csv").write_bytes(b"x" * 1_000_001)
    assert refused(tmp_path / "t.csv") == ": the table is larger than 1 MB"


@settings(deadline=None)
@given(content=st.binary(max_size=400))
def test_any_bytes_are_a_table_or_a_one_line_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("bytes") / "t.csv"
    path.write_bytes(HEADER.encode() + b"\n" + content)
    refused(path)


def test_a_row_that_could_not_be_read_back_is_not_written(tmp_path: Path) -> None:
    for wrong, said in (
        (replace(OK, latency_ms=float("nan")), "above zero and finite"),
        (replace(OK, latency_ms=None), "latency_ms is empty"),
        (replace(OK, ci_low_ms=None), "one is empty"),
        (replace(OK, n_runs=-1), "negative"),
        (replace(OK, cell=replace(OK.cell, resolution=-1)), "negative or zero"),
        (replace(OK, measured_at="today\n"), "do not print"),
    ):
        with pytest.raises(ValueError, match=said):
            write_table(tmp_path / "t.csv", Table(SETUP, (wrong,)))
    with pytest.raises(ValueError, match="a cell is given twice"):
        write_table(tmp_path / "t.csv", Table(SETUP, (OK, OK)))
    with pytest.raises(UserError, match="needs at least one row"):
        write_table(tmp_path / "t.csv", Table(SETUP, ()))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_old_table_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.csv"
    write_table(path, Table(SETUP, (OK,)))

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="cannot write the table: no space left on device"):
        write_table(path, Table(SETUP, (FAILED,)))
    assert read_table(path).rows == (OK,)
    assert list(tmp_path.iterdir()) == [path]


def test_a_table_on_a_pipe_is_read_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    content = "\n".join([HEADER + ",energy_mj", line(device="é") + ",1", ""]).encode()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(pipe.write_bytes, content)
        table = read_table(pipe)
        assert table.setup.device == "é"
        assert table.rows[0].extra == (1.0,)
        pool.submit(pipe.write_bytes, content.replace("é".encode(), b"\xe9"))
        assert refused(pipe) == ":2: the table is not UTF-8 text"


@pytest.mark.parametrize(
    ("separator", "name"), [(";", "semicolons"), ("\t", "tabs"), ("|", "bars")]
)
def test_another_separator_is_named(tmp_path: Path, separator: str, name: str) -> None:
    rows = (text.replace(",", separator).replace("25.5", "25,5") for text in (HEADER, line()))
    path = write(tmp_path / "t.csv", *rows)
    assert refused(path).startswith(f":1: the table has {name} between its values instead of")


@pytest.mark.parametrize(
    ("first", "said"),
    [
        ("sep=,", "its separator is a comma (remove that line)"),
        ("sep=;", "its separator is semicolons (remove that line, and separate with commas)"),
        ('"sep=,"', "its separator is a comma (remove that line)"),
    ],
)
def test_a_note_for_excel_is_named(tmp_path: Path, first: str, said: str) -> None:
    path = write(tmp_path / "t.csv", first, HEADER, line())
    assert refused(path) == f":1: the first line is a note for Excel: {said}"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("x," * 400_000 + "\n", ":1: the table has 400,001 columns, more than 1,000"),
        ("x," * 600_000 + "\n", ":1: the line has more than 1,000,000 characters"),
        (HEADER + "".join(f",{'é' * 90}{i}" for i in range(900)) + "\n", ":1: unknown column 'é"),
        (HEADER + "\n" + "x" * 5_000_000, ":2: the line has more than 1,000,000 characters"),
        (HEADER + "\n" + '"' + "x\n" * 90_000, ":65538: not valid CSV: field larger than field li"),
        (HEADER + "\n\n" + "\0" * 90, ":3: 1 values where the header has 21 columns"),
    ],
)
def test_what_is_too_large_is_refused_at_once(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "t.csv").write_text(content)
    begun = time.process_time()
    message = refused(tmp_path / "t.csv")
    assert message.startswith(said)
    assert len(message) < 800
    assert time.process_time() - begun < 2


def test_confidence_may_be_empty_where_there_is_no_interval(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", HEADER, line(confidence="", ci_low_ms="", ci_high_ms=""))
    table = read_table(path)
    assert table.rows[0].ci_low_ms is None
    write_table(tmp_path / "copy.csv", table)
    assert read_table(tmp_path / "copy.csv") == table
    write(path, HEADER, line(confidence=""))
    assert refused(path) == ":2: confidence is empty although there is an interval"


@pytest.mark.parametrize("confidence", ["5e-324", "1e-9", "0.9999999999"])
def test_an_interval_that_says_nothing_is_refused(tmp_path: Path, confidence: str) -> None:
    path = write(tmp_path / "t.csv", HEADER, line(confidence=confidence))
    assert refused(path).startswith(":2: confidence must be from 0.001 to 0.999999999, not ")


def test_a_word_of_a_newer_version_is_told_from_a_mistake(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", HEADER, line(status="throttled"))
    assert refused(path).endswith("not 'throttled' (or did a newer compofa write this table?)")


@settings(deadline=None)
@given(st.sampled_from(COLUMNS), st.text(min_size=150, max_size=400))
def test_a_message_quotes_little_of_the_file(
    tmp_path_factory: pytest.TempPathFactory, name: str, value: str
) -> None:
    path = tmp_path_factory.mktemp("long") / "t.csv"
    text = value.replace('"', "'")
    path.write_text(
        f"{HEADER}\n{line(**{name: text})}\n{line(**{name: text})}\n", "utf-8", "replace"
    )
    assert len(refused(path)) < 400
