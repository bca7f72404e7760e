"""The journal keeps what was measured, whatever happens."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compofa.common.errors import UserError
from compofa.profiler.results.journal import (
    Corrected,
    Failure,
    Header,
    Journal,
    JournalLine,
    PlanLine,
    SessionLine,
    Timing,
    of_kind,
    read_journal,
)
from compofa.profiler.results.table import Cell, SetUp
from compofa.profiler.transports.device_identity import SERIAL

HEADER = Header(SetUp("d", "onnxruntime", "1.20", "cpu", 1, "float32"), {"cpu": "x", "cpus": 2})
CELL = Cell("compofa", "d22222", 160, 1)


def timing(session: int = 1, cell: Cell | None = CELL, ns: tuple[int, ...] = (5, 6)) -> Timing:
    return Timing(session, cell, "0" * 64, 1.5, 7, (9, 8), ns, {"load_1m": 0.1}, "2026-01-01")


cells = st.builds(
    Cell, *[st.text(min_size=1, max_size=50)] * 2, st.integers(1, 4096), st.integers(1, 64)
)
PROTOCOL = {"target": 0.02, "confidence": 0.95, "prediction_confidence": 0.9, "max_sessions": 5}
nanoseconds = st.lists(st.integers(1, 10**12), min_size=1).map(tuple)
lines = st.one_of(
    st.builds(timing, st.integers(0, 2**63), st.none() | cells, nanoseconds),
    st.builds(Failure, st.integers(0, 9), cells, st.text(), st.booleans(), st.text(), st.text()),
    st.builds(
        Corrected,
        st.integers(0, 9),
        st.lists(st.tuples(cells, st.floats(1e-3, 1e6))).map(tuple),
        st.lists(st.tuples(cells, st.floats(1e-3, 1e6))).map(tuple),
        st.text(),
    ),
    st.builds(
        SessionLine, st.integers(0, 9), st.text(), st.integers(1, 2**63), st.just({"a": 1}),
        st.just({"b": [1.5]}), st.none() | st.lists(st.integers(0, 9)).map(tuple),
    ),
    st.builds(
        PlanLine, st.text(), st.text(), st.integers(0, 2**63),
        st.lists(cells, min_size=3, unique=True).map(tuple),
        st.lists(st.integers(0, 2)).map(tuple), st.lists(st.integers(0, 2)).map(tuple),
        st.just(PROTOCOL), st.text(),
    ),
)  # fmt: skip


@given(st.lists(lines, max_size=5))
def test_lines_come_back_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, written: list[JournalLine]
) -> None:
    path = tmp_path_factory.mktemp("journal") / "x.journal.jsonl"
    with Journal.open(path, HEADER) as journal:
        for line in written:
            journal.append(line)
    assert read_journal(path) == (HEADER, written)
    with Journal.open(path, HEADER) as journal:
        assert journal.lines == written


def test_a_line_is_on_disk_before_append_returns(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    with Journal.open(path, HEADER) as journal:
        journal.append(timing())
        (read,) = of_kind(read_journal(path)[1], Timing)
    assert (read, read.warm) == (timing(), True)


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_a_torn_last_line_is_dropped_with_a_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], cut: int
) -> None:
    path = tmp_path / "x.jsonl"
    with Journal.open(path, HEADER) as journal:
        journal.append(timing(1))
        journal.append(timing(2))
    path.write_bytes(path.read_bytes()[:-cut])
    with Journal.open(path, HEADER) as journal:
        assert journal.lines == [timing(1)]
        journal.append(timing(3))
    assert "the last line is incomplete" in capsys.readouterr().err
    assert read_journal(path)[1] == [timing(1), timing(3)]


@pytest.mark.parametrize(
    "damage",
    [b"nonsense", b"[]", b'{"kind": "timing"}', b'{"kind": "other"}', b'{"kind": "header"}', b"3",
     b'{"no": 1}', b"\xff", json.dumps({"kind": "timing", "ns": [0]}).encode()],
)  # fmt: skip
def test_damage_elsewhere_is_an_error_with_its_line(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "x.jsonl"
    with Journal.open(path, HEADER) as journal:
        journal.append(timing(1))
        journal.append(timing(2))
    parts = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(parts[0] + damage + b"\n" + parts[2])
    with pytest.raises(UserError, match="damaged") as caught:
        Journal.open(path, HEADER)
    assert caught.value.line == 2


@pytest.mark.parametrize("bad", [-3, 1.5, "7", None])
def test_times_that_cannot_be_are_damage(tmp_path: Path, bad: object) -> None:
    path = tmp_path / "x.jsonl"
    with Journal.open(path, HEADER) as journal:
        journal.append(timing(1))
    record = json.loads(path.read_text().splitlines()[1])
    with path.open("a") as file:
        file.write(json.dumps({**record, "ns": [5, bad]}) + "\n")
    with pytest.raises(UserError, match=r"x\.jsonl:3: the journal is damaged: timing\.ns\.1: "):
        read_journal(path)


def test_another_set_up_or_device_does_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    Journal.open(path, HEADER).__exit__(None, None, None)
    threads = replace(HEADER, setup=replace(HEADER.setup, threads=4))
    with pytest.raises(UserError, match="threads was 1 and is 4 now.*--out.*--fresh"):
        Journal.open(path, threads)
    device = replace(HEADER, fingerprint={"cpu": "y", "cpus": 2})
    with pytest.raises(UserError, match="cpu was 'x' and is 'y' now"):
        Journal.open(path, device)
    with Journal.open(path, device, fresh=True) as journal:
        assert journal.header == device
        assert journal.lines == []


def test_a_fact_that_was_not_known_is_another_device_but_for_its_serial(tmp_path: Path) -> None:
    """Whoever has no key to hash serials with measures on, and so does who has one by now."""
    path = tmp_path / "x.jsonl"
    unknown = replace(HEADER, fingerprint={"cpu": None, SERIAL: None})
    Journal.open(path, unknown).__exit__(None, None, None)
    hashed = replace(HEADER, fingerprint={"cpu": None, SERIAL: "0123456789abcdef"})
    Journal.open(path, hashed).__exit__(None, None, None)
    with pytest.raises(UserError, match="cpu was None and is 'x' now"):
        Journal.open(path, replace(HEADER, fingerprint={"cpu": "x", SERIAL: None}))


def test_a_timing_of_an_earlier_version_was_warm(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    with Journal.open(path, HEADER) as journal:
        journal.append(timing())
    head, line = path.read_text().splitlines()
    record = json.loads(line)
    del record["warm"], record["settings"]
    path.write_text(f"{head}\n{json.dumps(record)}\n")
    (read,) = of_kind(read_journal(path)[1], Timing)
    assert (read, read.warm) == (timing(), True)


def test_eleven_days_are_the_most_that_a_run_takes(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    with Journal.open(path, HEADER) as journal:
        journal.append(timing(ns=(10**15,)))
    assert of_kind(read_journal(path)[1], Timing)[0].ns == (10**15,)
    path.write_text(path.read_text().replace(f"{10**15}", f"{10**15 + 1}"))
    with pytest.raises(UserError, match=r"timing\.ns\.0: "):
        read_journal(path)


def test_two_profilers_do_not_write_one_journal(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    with Journal.open(path, HEADER) as journal:
        journal.append(timing())
        with pytest.raises(UserError, match="another compofa-profile"):
            Journal.open(path, HEADER, fresh=True)
        (read,) = of_kind(read_journal(path)[1], Timing)
    assert (read, read.warm) == (timing(), True)
    Journal.open(path, HEADER).__exit__(None, None, None)


def test_a_full_disk_is_a_user_error_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    script = """
        import resource, sys
        from pathlib import Path
        from test_journal_lines import HEADER, timing
        from compofa.profiler.results.journal import Journal
        from compofa.common.errors import UserError
        with Journal.open(Path(sys.argv[1]), HEADER) as journal:
            journal.append(timing(1))
            size = Path(sys.argv[1]).stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, resource.RLIM_INFINITY))
            try:
                journal.append(timing(2))
            except UserError as error:
                print(error)
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
            journal.append(timing(3))
    """
    (tmp_path / "test_journal_lines.py").write_text(Path(__file__).read_text())
    said = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(path)],
        capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert "cannot write the journal: file too large" in said.stdout, said.stderr
    assert of_kind(read_journal(path)[1], Timing) == [timing(1), timing(3)]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot write the journal: no such file"):
        Journal.open(tmp_path / "none" / "x.jsonl", HEADER)


def test_an_empty_journal_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").touch()
    with pytest.raises(UserError, match="the journal is empty"):
        read_journal(tmp_path / "x.jsonl")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"at_s": "x"}, "timing.at_s: "),
        ({"at_s": "1.5"}, "timing.at_s: "),
        ({"at_s": float("inf")}, "timing.at_s: "),
        ({"ns": [10**400]}, "timing.ns.0: "),
        ({"ns": [True]}, "timing.ns.0: "),
        ({"ns": []}, "timing.ns: "),
        ({"ns": [0, 0]}, "timing: ns: all runs took no time"),
        ({"load_ns": -1}, "timing.load_ns: "),
        ({"session": 1.5}, "timing.session: "),
        ({"cell": []}, "timing.cell: "),
        ({"cell": {"space": "", "subnet": "x", "resolution": 1, "batch_size": 1}}, "timing.cell: "),
        (
            {"cell": {"space": "x", "subnet": "x", "resolution": -1, "batch_size": 1}},
            "timing.cell: ",
        ),
        (
            {"cell": {"space": "x", "subnet": "x", "resolution": 1, "batch_size": 0}},
            "timing.cell: ",
        ),
        ({"state": None}, "timing.state: "),
        ({"measured_at": 7}, "timing.measured_at: "),
        ({"kind": "plan"}, "plan.space: Field required"),
        ({"kind": ["timing"]}, "it has no kind of line that is known here"),
    ],
)
def test_a_changed_value_is_damage_with_its_place(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    path = tmp_path / "x.jsonl"
    with Journal.open(path, HEADER) as journal:
        journal.append(timing(1))
    head, line = path.read_text().splitlines()
    path.write_text(f"{head}\n{json.dumps({**json.loads(line), **changes})}\n")
    with pytest.raises(UserError, match=f"x.jsonl:2: the journal is damaged: {said}") as caught:
        read_journal(path)
    assert len(str(caught.value)) < 300 + len(str(path))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"fit": [99]}, "plan: fit or held_out names a cell that is none of 1"),
        ({"held_out": [-1]}, "plan.held_out.0: "),
        ({"protocol": {}}, "plan.protocol: target has to be between 0 and 1"),
        ({"protocol": {**PROTOCOL, "confidence": "95"}}, "plan.protocol: confidence has to be"),
        (
            {"protocol": {**PROTOCOL, "confidence": 5e-324}},
            "plan.protocol: confidence must be",
        ),
        ({"seed": -1}, "plan.seed: "),
        ({"cells": {}}, "plan.cells: "),
    ],
)
def test_a_plan_that_does_not_fit_together_is_damage(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    path = tmp_path / "x.jsonl"
    with Journal.open(path, HEADER) as journal:
        journal.append(PlanLine("compofa", "1", 0, (CELL,), (0,), (), PROTOCOL, "2026-01-01"))
    head, line = path.read_text().splitlines()
    path.write_text(f"{head}\n{json.dumps({**json.loads(line), **changes})}\n")
    with pytest.raises(UserError, match=f"x.jsonl:2: the journal is damaged: {said}"):
        read_journal(path)


def test_a_journal_of_a_newer_version_is_told_from_a_damaged_one(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    Journal.open(path, replace(HEADER, schema=2)).__exit__(None, None, None)
    with pytest.raises(UserError, match="a newer compofa wrote it: schema 2, this one knows 1"):
        read_journal(path)
