"""compofa-report compare as a CI job calls it: verdicts, exit codes, files, and wrong input."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from compofa.common.entry_points import registered
from compofa.profiler.comparison.report_format import GROUP, ReportFormat, find_report_format
from compofa.profiler.results.journal import journal_path
from compofa.profiler.results.meta import meta_path
from compofa.profiler.results.table import COLUMNS, read_table, write_table
from rigs.profiles import profile_on_paper
from rigs.tables import make_table

Call = Callable[..., int]
Output = pytest.CaptureFixture[str]


@pytest.fixture(scope="session")
def profiles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Profiles with journals: a base, and then the same, 8 % slower, on a host 5 % slower."""
    folder = tmp_path_factory.mktemp("profiles")
    profile_on_paper(folder / "base.csv", seed=1, predicted=False)
    profile_on_paper(folder / "same.csv", seed=2, host=1.05, predicted=False)
    profile_on_paper(folder / "slower.csv", seed=3, host=1.05, factor=1.08, predicted=False)
    profile_on_paper(folder / "once.csv", seed=4, sessions=1, predicted=False)
    return folder


@pytest.fixture
def take(profiles: Path, tmp_path: Path) -> Callable[..., None]:
    """Copies a profile, with its journal and meta file."""

    def copy(name: str, to: str) -> None:
        (tmp_path / to).parent.mkdir(exist_ok=True)
        for path in profiles.glob(f"{name}.*"):
            target = tmp_path / f"{to}{path.name.removeprefix(name)}"
            target.write_bytes(path.read_bytes())

    return copy


def test_another_reference_model_is_nothing_to_compare_by(
    take: Callable[..., None], call: Call, capsys: Output
) -> None:
    """Another version may write another one: what it says of the device would be wrong."""
    take("base", "base")
    take("same", "new")
    journal = journal_path(Path("new.csv"))
    journal.write_text(journal.read_text().replace("ab" * 32, "cd" * 32))
    assert call("base.csv", "new.csv") == 2
    assert "reference_sha256 is 'abab" in capsys.readouterr().err
    assert call("base.csv", "new.csv", "--allow-different", "reference_sha256") != 2
    assert "that is the device" not in capsys.readouterr().out


def test_the_same_networks_on_a_slower_host_pass(
    take: Callable[..., None], call: Call, capsys: Output
) -> None:
    take("base", "base")
    take("same", "new")
    assert call("base.csv", "new.csv") == 0
    out = capsys.readouterr().out
    assert out.startswith("Nothing became slower: 32 cells compared\n")
    assert "changed by +4.5 %: that is the device. Cells covary with 99 %" in out


def test_slower_networks_do_not_and_cost_accuracy(
    take: Callable[..., None], call: Call, capsys: Output
) -> None:
    take("base", "base")
    take("slower", "new")
    assert call("base.csv", "new.csv", "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert found["verdict"] == "slower"
    (device,) = found["devices"]
    assert device["overall"]["value"] == pytest.approx(1.08, abs=0.005)
    assert device["device_ratio"] == pytest.approx(1.05, abs=0.015)
    assert any(limit["fell"] for limit in device["front"]["limits"])


def test_an_interrupted_profile_cannot_tell(
    take: Callable[..., None], call: Call, capsys: Output
) -> None:
    take("base", "base")
    take("once", "new")
    assert call("base.csv", "new.csv") == 3
    out = capsys.readouterr().out
    assert out.startswith("Cannot tell")
    assert "(not known)" in out


def test_a_journal_torn_at_its_end_is_read_up_to_there(
    take: Callable[..., None], call: Call, capsys: Output
) -> None:
    take("base", "base")
    take("same", "new")
    journal = journal_path(Path("new.csv"))
    journal.write_bytes(journal.read_bytes()[:-40])
    assert call("base.csv", "new.csv") == 0
    assert "the last line is incomplete" in capsys.readouterr().err


def test_cells_that_an_interrupted_profile_lacks_are_named(
    take: Callable[..., None], call: Call, capsys: Output
) -> None:
    take("base", "base")
    take("same", "new")
    table = read_table(Path("new.csv"))
    measured = [row for row in table.rows if row.source == "measured"]
    rest = [row for row in table.rows if row.source != "measured"]
    write_table(Path("new.csv"), replace(table, rows=(*measured[2:], *rest)))
    assert call("base.csv", "new.csv") == 3
    out = capsys.readouterr().out
    assert out.startswith("Cannot tell: 2 cells of the base not measured now\n")
    assert f"Not measured now: {measured[0].cell.subnet} at 160; " in out


def test_every_file_is_written_and_summaries_are_appended(
    take: Callable[..., None], call: Call
) -> None:
    take("base", "base")
    take("slower", "new")
    Path("summary.md").write_text("# Before\n")
    names = {
        "--markdown": "summary.md",
        "--comment": "comment.md",
        "--html": "page.html",
        "--junit": "junit.xml",
        "--csv": "cells.csv",
        "--benchmark-action": "action.json",
        "--bencher": "bencher.json",
    }
    assert call("base.csv", "new.csv", *(word for pair in names.items() for word in pair)) == 1
    assert Path("summary.md").read_text() == "# Before\n" + Path("comment.md").read_text()
    assert all(Path(name).stat().st_size > 500 for name in names.values())


def test_a_format_is_asked_for_by_its_name(take: Callable[..., None], call: Call) -> None:
    take("base", "base")
    take("same", "new")
    call("base.csv", "new.csv", "--junit", "a.xml", "--format", "junit=b.xml", "--format", "csv=c")
    assert Path("a.xml").read_text() == Path("b.xml").read_text()
    assert Path("c").read_text().startswith("device,space,subnet")


@pytest.mark.parametrize(
    ("format_", "message"),
    [
        ("junti=a.xml", "there is no report format 'junti' (did you mean 'junit'?)"),
        ("junit", "--format 'junit' names no file (as in junit=junit.xml)"),
    ],
)
def test_a_format_that_does_not_exist_is_the_users_mistake(
    format_: str, message: str, take: Callable[..., None], call: Call, capsys: Output
) -> None:
    take("base", "base")
    take("same", "new")
    assert call("base.csv", "new.csv", "--format", format_) == 2
    assert message in capsys.readouterr().err


def test_every_built_in_format_is_registered_and_renders_text() -> None:
    built_in = registered(GROUP)
    assert {"screen", "json", "csv", "markdown", "comment", "html", "junit"} <= built_in.keys()
    for name in built_in:
        assert isinstance(find_report_format(name), ReportFormat)


def test_folders_are_compared_device_by_device(
    take: Callable[..., None], call: Call, capsys: Output
) -> None:
    for name in ("phone", "board", "gone"):
        take("base", f"base/{name}")
    take("same", "new/phone")
    take("slower", "new/board")
    take("same", "new/extra")
    assert call("base", "new", "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert [each["verdict"] for each in found["devices"]] == ["slower", "same"]
    # Five false alarms in a hundred are for both devices together.
    assert {each["confidence"] for each in found["devices"]} == {0.975}
    assert (found["only_base"], found["only_new"]) == (["gone.csv"], ["extra.csv"])


def test_a_device_that_was_not_measured_leaves_it_open(
    take: Callable[..., None], call: Call, capsys: Output
) -> None:
    take("base", "base/phone")
    take("base", "base/gone")
    take("same", "new/phone")
    assert call("base", "new") == 3
    assert "Cannot tell: not measured now: gone.csv; 1 device compared" in capsys.readouterr().out


def test_the_meta_file_tells_devices_apart_where_there_is_no_journal(
    take: Callable[..., None], call: Call, capsys: Output
) -> None:
    take("base", "base")
    take("same", "new")
    for name in ("base.csv", "new.csv"):
        journal_path(Path(name)).unlink()
    path = meta_path(Path("new.csv"))
    meta = json.loads(path.read_text())
    path.write_text(json.dumps({**meta, "fingerprint": {**meta["fingerprint"], "cpu": "Other"}}))
    assert call("base.csv", "new.csv") == 2
    assert "cpu is 'Paper' and 'Other'" in capsys.readouterr().err
    assert call("base.csv", "new.csv", "--allow-different", "cpu") == 1
    # Without journals nobody can say that it was the host.
    assert "Allowed to differ: cpu, Paper in the base and Other now." in capsys.readouterr().out


def renamed() -> None:
    table = make_table()
    rows = [
        replace(row, cell=replace(row.cell, subnet=f"x{row.cell.subnet}")) for row in table.rows
    ]
    write_table(Path("new.csv"), replace(table, rows=tuple(rows)))
    write_table(Path("base.csv"), table)


def anothers_journal() -> None:
    journal = journal_path(Path("new.csv"))
    text = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(line for line in text if '"d22222"' not in line or "plan" in line))


def folder_in_its_place() -> None:
    Path("new.csv").unlink()
    Path("new.csv").mkdir()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda: Path("base.csv").unlink(), "base.csv: cannot read the table: no such file"),
        (lambda: Path("new.csv").write_text(""), "new.csv: the table is empty"),
        (lambda: Path("new.csv").write_text("\n"), "new.csv: the table is empty"),
        (renamed, "no cell was measured in both tables: base.csv has d22222 at 160, new.csv has x"),
        (anothers_journal, "new.journal.jsonl: the journal does not know d22222 at 160"),
        (folder_in_its_place, "new.csv is a folder, but"),
    ],
)
def test_wrong_input_is_one_line_and_exit_2(
    take: Callable[..., None],
    call: Call,
    capsys: Output,
    spoil: Callable[[], object],
    said: str,
) -> None:
    take("base", "base")
    take("same", "new")
    if spoil is renamed:
        for name in ("base.csv", "new.csv"):
            journal_path(Path(name)).unlink()
            meta_path(Path(name)).unlink()
    spoil()
    assert call("base.csv", "new.csv", "--junit", "junit.xml") == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert not Path("junit.xml").exists()


MEASURED_RUN = """
import pathlib, re, resource, sys
sys.argv[0] = "compofa-report"
from compofa.search.commands.report_command import main
code = None
try:
    main()
except SystemExit as ended:
    code = ended.code
used = resource.getrusage(resource.RUSAGE_SELF)
# Not used.ru_maxrss: that is of the process that started this one, if it is larger.
peak = re.search(r"VmHWM:\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())
print(int(code), used.ru_utime + used.ru_stime, 1024 * int(peak[1]))
"""


def compare_large(folder: Path) -> tuple[int, float, int, str]:
    """Exit code, seconds of CPU, bytes of memory, and what was said."""
    command = [sys.executable, "-c", MEASURED_RUN, "compare", "base.csv", "new.csv"]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    code, seconds, size = ended.stdout.splitlines()[-1].split()
    return int(code), float(seconds), int(size), ended.stdout + ended.stderr


def test_a_million_rows_take_less_than_ten_seconds_and_a_gigabyte(
    take: Callable[..., None], call: Call, tmp_path: Path
) -> None:
    for name, to in (("base", "base"), ("same", "new")):
        take(name, to)
        path = tmp_path / f"{to}.csv"
        header, *rows = path.read_text().splitlines(keepends=True)
        predicted = rows[0].replace(",measured,", ",predicted,").replace("ab" * 32, "")
        assert len(predicted) < len(rows[0]) - 60
        subnet = predicted.split(",")[COLUMNS.index("subnet")]
        more = (predicted.replace(subnet, f"{subnet}-{i}", 1) for i in range(1_000_000))
        path.write_text("".join([header, *rows, *more]))
    code, seconds, size, said = compare_large(tmp_path)
    assert code == 0, said
    assert "Nothing became slower: 32 cells compared" in said
    assert "only its measured rows are read" in said
    assert seconds < 10
    assert size < 1e9


def test_a_million_measured_rows_are_refused(take: Callable[..., None], tmp_path: Path) -> None:
    for to in ("base", "new"):
        take("base", to)
        path = tmp_path / f"{to}.csv"
        header, row = path.read_text().splitlines(keepends=True)[:2]
        subnet = row.split(",")[COLUMNS.index("subnet")]
        more = (row.replace(subnet, f"{subnet}-{i}", 1) for i in range(1_000_000))
        path.write_text("".join([header, *more]))
    code, seconds, size, said = compare_large(tmp_path)
    assert code == 2
    assert "base.csv:100002: the table has more than 100,000 rows that were measured" in said
    assert seconds < 10
    assert size < 1e9


def test_folders_with_nothing_in_common_are_named(
    take: Callable[..., None], call: Call, capsys: Output
) -> None:
    take("base", "base/phone")
    take("same", "new/board")
    assert call("base", "new") == 2
    assert "base has phone.csv, new has board.csv" in capsys.readouterr().err


def test_a_space_without_accuracies_has_no_front_but_a_verdict(
    call: Call, capsys: Output, tmp_path: Path
) -> None:
    table = make_table()
    rows = [replace(row, cell=replace(row.cell, space="own")) for row in table.rows]
    for name in ("base.csv", "new.csv"):
        write_table(tmp_path / name, replace(table, rows=tuple(rows)))
    assert call("base.csv", "new.csv") == 0
    captured = capsys.readouterr()
    assert "no verdict on the Pareto front: " in captured.err
    assert "Pareto front" not in captured.out
