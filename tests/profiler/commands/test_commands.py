"""compofa-profile as a person calls it: exit codes, JSON, and one line per mistake."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from compofa.profiler.commands import main
from compofa.profiler.commands.check_command import complain
from compofa.profiler.measurement.noise_probe import Quietness
from compofa.profiler.results.table import Cell, Row, SetUp, Table, read_table, write_table
from compofa.profiler.transports.agent_client import Hello
from compofa.supernet.graph import build_graph
from compofa.supernet.space import Space
from rigs.commands import Run
from rigs.model_files import write_onnx, write_unknown_operator
from rigs.virtual_device import VirtualDevice, run_command_on

CELLS = "space,subnet,resolution,batch_size\n"
INVENTORY = "here: {transport: local}\nboard: {transport: ssh, host: board.invalid}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "devices.yaml").write_text(INVENTORY)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "no device is given"),
        (("here",), "no command 'here' (did you mean compofa-profile --device here?)"),
        (("a b.csv",), "html 'a b.csv', or compofa-search --table 'a b.csv'?"),
        (("--device", "hare"), "no device is called 'hare' (did you mean 'here'?)"),
        (("--device", "here", "--inventory", "none.yaml"), "none.yaml: cannot read the inventory"),
        (("--device", "here", "--space", "compofo"), "did you mean 'compofa'?"),
        (("--device", "here", "--plan", "some"), "--plan must be auto, full, a number"),
        (("--device", "here", "--plan", "none.csv"), "none.csv: cannot read the table"),
        (("--device", "here", "--plan", "0"), "--plan must be auto, full, a number"),
        (
            ("--device", "here", "--target", "nan"),
            "--target must be more than 0% and less than 100%",
        ),
        (
            ("--device", "here", "--confidence", "1"),
            "--confidence must be more than 50% and less than 100%",
        ),
        (("--device", "here", "--max-time", "soon"), "--max-time must be a duration"),
        (("--device", "here", "--resolutions", "x"), "--resolutions must be a list of sizes"),
        (("--device", "here", "--batch-size", "0"), "--batch-size must be from 1 to 4096"),
        (("--device", "here", "--runtime", "onnx"), "did you mean 'onnxruntime'?"),
        (("--device", "here", "--device", "board", "--out", "x.csv"), "--out names one table"),
        (("--device", "here", "--out", "no/where.csv"), "cannot write the journal: no such file"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(
    folder: Path, run: Run, arguments: tuple[str, ...], said: str
) -> None:
    ended = run(main, *arguments)
    assert ended.code == 2
    assert said in ended.err
    assert ended.err.count("\n") == 1
    assert ended.out == ""


def test_options_that_do_not_exist_exit_2(folder: Path, run: Run) -> None:
    assert run(main, "--devise", "here").code == 2
    assert run(main, "chek", "--device", "here").code == 2


def test_devices_lists_the_inventory(folder: Path, run: Run) -> None:
    ended = run(main, "devices")
    assert ended.code == 0
    assert [line.split()[:2] for line in ended.out.splitlines()[1:]] == [
        ["here", "local"],
        ["board", "ssh"],
    ]
    ended = run(main, "devices", "--json")
    assert ended.code == 0
    assert json.loads(ended.out)["devices"][1]["host"] == "board.invalid"


def test_check_says_what_the_device_has(folder: Path, run: Run) -> None:
    ended = run(main, "check", "--device", "here", "--json")
    assert ended.code == 0
    said = json.loads(ended.out)
    assert said["runtimes"]["onnxruntime"]
    assert 0 < said["quietness"]["latency_ms"] < 1000
    assert 0 <= said["quietness"]["scatter"] < 10
    shown = run(main, "check", "--device", "here")
    assert shown.code == 0
    assert "onnxruntime" in shown.out
    assert "here: connecting, and loading the reference model there" in shown.err
    assert "here: timing 240 runs of the reference model" in shown.err


def test_complaints_name_the_cause() -> None:
    quiet = Hello(1, (0,), {}, {}, {"cpus": 4}, {"load_1m": 0.3, "cpu_pressure_10s": 0.0})
    assert complain(1, quiet) == []
    assert "2 threads share CPU 0" in complain(2, quiet)[0]
    state = {"load_1m": 1.8, "cpu_pressure_10s": 40.0}
    busy = complain(1, replace(quiet, facts={"cpus": 2}, state=state))
    assert "40 %" in busy[0]
    assert "load average 1.8" in busy[1]
    assert "powersave" in complain(1, replace(quiet, state={"governor": "powersave"}))[0]


def test_an_unsteady_device_is_called_so() -> None:
    assert Quietness(5.0, 0.004, 0.02).complaints == []
    unsteady, interrupted = Quietness(5.0, 0.05, 0.3).complaints
    assert "scatters by 5.0% within one process" in unsteady
    assert "30% of runs were interrupted" in interrupted
    (restless,) = Quietness(5.0, 0.001, 0.0, between=0.06).complaints
    assert "fresh processes differ by 6.0%" in restless


# A wide target is soon reached, however busy the computer is; a short --max-time may be over
# before anything is measured.
QUICKLY = ("--resolutions", "32", "--plan", "5", "--target", "50%", "--no-pause", "--json")


def test_a_profile_reports_itself_as_json(folder: Path, tiny_space_file: Path, run: Run) -> None:
    ended = run(main, "--device", "here", "--space", tiny_space_file, *QUICKLY)
    (told,) = json.loads(ended.out)["tables"]
    assert not told["out_of_time"]
    assert ended.code == (3 if told["unconverged"] else 0)
    assert told["table"] == "here.csv"
    assert told["cells"] == len(read_table(Path("here.csv")).rows) == 243
    assert told["measured"] == 25
    assert told["sessions"] >= 3


def test_a_profile_that_ran_out_of_time_says_so_as_json(
    folder: Path, tiny_space_file: Path
) -> None:
    words = ("--device", "here", "--space", tiny_space_file, *QUICKLY)
    ended = run_command_on(VirtualDevice(lambda cell: 0.5), main, *words, "--max-time", "2s")
    (told,) = json.loads(ended.out)["tables"]
    assert ended.code == 124
    assert told["out_of_time"]
    assert told["measured"] >= 1
    assert 1 <= told["sessions"] < 3


def test_one_device_that_fails_does_not_keep_the_rest_from_it(
    folder: Path, tiny_space_file: Path, run: Run
) -> None:
    (folder / "devices.yaml").write_text(
        "here: {transport: local}\nlacking: {transport: local, accelerator: qnn}\n"
    )
    devices = ("--device", "lacking", "--device", "here")
    ended = run(main, *devices, "--space", tiny_space_file, *QUICKLY)
    assert ended.code == 3
    failed, told = json.loads(ended.out)["tables"]
    assert "onnxruntime here has no QNNExecutionProvider" in failed["error"]
    assert told["measured"] == 25


def synthetic_table(space: Space, path: Path) -> None:
    """A table whose latencies follow from the MACs."""
    rows = []
    for subnet in space.enumerate()[::6]:
        ms = 0.1 + build_graph(space, subnet, 32).macs / 1e7
        cell = Cell(space.name, space.key(subnet), 32, 1)
        rows.append(
            Row(cell, ms, ms * 0.99, ms * 1.01, 0.95, ms, "measured", "ok", 5, 50, "", "2026-01-01")
        )
    write_table(path, Table(SetUp("here", "onnxruntime", "1", "cpu", 1, "float32"), tuple(rows)))


def test_predict_fills_cells(
    folder: Path, tiny_space: Space, tiny_space_file: Path, run: Run
) -> None:
    synthetic_table(tiny_space, Path("t.csv"))
    Path("cells.csv").write_text(CELLS + "tiny,d23432,32,1\ntiny,d44444,36,1\n")
    files = ("--table", "t.csv", "--cells", "cells.csv", "--out", "out.csv")
    assert run(main, "predict", *files, "--space", tiny_space_file).code == 0
    rows = read_table(Path("out.csv")).rows
    assert [row.cell.resolution for row in rows] == [32, 36]
    for row in rows:
        assert (row.source, row.confidence) == ("predicted", 0.9)
        assert row.latency_ms
        assert row.ci_low_ms
        assert row.ci_high_ms
        assert row.ci_low_ms < row.latency_ms < row.ci_high_ms
    truth = 0.1 + build_graph(tiny_space, tiny_space.parse("d23432"), 32).macs / 1e7
    assert rows[0].latency_ms == pytest.approx(truth, rel=0.02)


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ("tiny,d23432,32,64\n", "batch"),
        ("compofa,d23432,160,1\n", "is of one space"),
        ("tiny,d99999,32,1\n", "depth 9 is not one of 2, 3, 4"),
        ("tiny,d23432,0,1\n", "cells.csv:2: resolution must be"),
        ("tiny,d23432,32,1\n" * 2, "cells.csv:3: the same cell as on line 2"),
        ("", "has no rows"),
    ],
)
def test_predict_refuses_what_it_cannot_know(
    folder: Path,
    tiny_space: Space,
    tiny_space_file: Path,
    run: Run,
    cells: str,
    said: str,
) -> None:
    synthetic_table(tiny_space, Path("t.csv"))
    Path("cells.csv").write_text(CELLS + cells)
    files = ("--table", "t.csv", "--cells", "cells.csv", "--out", "out.csv")
    ended = run(main, "predict", *files, "--space", tiny_space_file)
    assert ended.code == 2
    assert said in ended.err


def test_a_broken_pipe_is_no_error(folder: Path) -> None:
    command = [sys.executable, "-c", "from compofa.profiler.commands import main; main()"]
    process = subprocess.Popen(
        [*command, "devices"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=folder
    )
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    assert process.wait(20) == 0
    assert process.stderr.read() == b""
    process.stderr.close()


def test_a_table_is_not_written_under_the_name_of_a_page(run: Run, tmp_path: Path) -> None:
    for words in (
        ("--device", "local", "--inventory", str(tmp_path / "none.yaml")),
        ("predict", "--table", "t.csv", "--cells", "c.csv"),
    ):
        ended = run(main, *words, "--out", tmp_path / "t.html")
        assert ended.code == 2
        assert "t.html: this file is written as .csv, not as .html" in ended.err


def test_check_says_whether_model_files_can_be_measured(folder: Path, run: Run) -> None:
    good, bad = write_onnx(folder / "good.onnx"), write_unknown_operator(folder / "bad.onnx")
    ended = run(main, "check", "--device", "local", "--model", good, "--model", bad, "--json")
    assert ended.code == 3
    told = {each["cell"]["subnet"]: each for each in json.loads(ended.out)["models"]}
    assert told["good"]["problem"] is None
    assert told["good"]["load_ms"] > 0
    assert "Frobnicate" in told["bad"]["problem"]
