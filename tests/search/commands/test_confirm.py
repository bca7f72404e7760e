"""compofa-report compare --confirm on this computer: suspects really measured, side by side."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from compofa.common.files import sha256
from compofa.profiler.comparison.confirm import FEWEST_SESSIONS, _Judge, _Pair
from compofa.profiler.measurement.plan import Plan
from compofa.profiler.measurement.profile import ProfileRequest, profile
from compofa.profiler.measurement.progress import Display
from compofa.profiler.models.subnet_models import model_file
from compofa.profiler.results.analysis import analyse
from compofa.profiler.results.journal import (
    JournalLine,
    SessionLine,
    Timing,
    journal_path,
    of_kind,
    read_journal,
)
from compofa.profiler.results.table import Cell, read_table, write_table
from compofa.profiler.runtimes.runtime_registry import find_runtime
from compofa.profiler.settings import Protocol
from compofa.profiler.transports.local import LocalDevice
from compofa.search.commands.report_command import main
from compofa.supernet.export.dtype import Dtype
from compofa.supernet.export.weights import random_weights
from compofa.supernet.graph import build_graph
from compofa.supernet.spaces import get_space
from rigs.profiles import profile_on_paper

QUICK = Protocol(min_sessions=3, max_sessions=3, min_runs=2, run_s=0.001, warmup_s=0.01)
SPACE = "name: tiny\nwidth: 0.25\nclasses: 10\nresolutions: [32]\n"

Compare = Callable[..., int]


@dataclass(frozen=True)
class Sides:
    """A folder with a base table, two new ones, and the model files of all."""

    folder: Path

    def slow_down(self, name: str, factor: float, others: Mapping[str, str] | None = None) -> None:
        """Has table and journal of `name` say that cells took longer, with `others` as models."""
        table = read_table(self.folder / f"{name}.csv")
        rows = [
            replace(
                row,
                latency_ms=factor * (row.latency_ms or math.nan),
                ci_low_ms=factor * (row.ci_low_ms or math.nan),
                ci_high_ms=factor * (row.ci_high_ms or math.nan),
                model_sha256=(others or {}).get(row.model_sha256, row.model_sha256),
            )
            for row in table.rows
        ]
        write_table(self.folder / f"{name}.csv", replace(table, rows=tuple(rows)))
        path = journal_path(self.folder / f"{name}.csv")
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for line in lines:
            if line["kind"] == "timing" and line["cell"] is not None:
                line["ns"] = [round(factor * ns) for ns in line["ns"]]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture(scope="module")
def profiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tables of one tiny network: in `slow`, four of its units have larger kernels."""
    folder = tmp_path_factory.mktemp("confirm")
    (folder / "devices.yaml").write_text("here: {transport: local}\n")
    (folder / "tiny.yaml").write_text(SPACE)
    (folder / "slow.yaml").write_text(SPACE + "kernels: [7, 7, 7, 7, 7]\n")
    cells = tuple(Cell("tiny", subnet, 160, 1) for subnet in ("d22222", "d33333"))
    rows = [f"tiny,{cell.subnet},160,0.{7 + i},made up" for i, cell in enumerate(cells)]
    (folder / "accuracy.csv").write_text(
        "\n".join(["space,subnet,resolution,top1,source", *rows, ""])
    )
    for name, space in (("base", "tiny.yaml"), ("slow", "slow.yaml")):
        request = ProfileRequest(
            get_space(str(folder / space)), (160,), (1,), folder / f"{name}.csv",
            protocol=QUICK, keep_models=folder / "models", patience_s=0,
        )  # fmt: skip
        profile(
            LocalDevice(name="here"), request, Display("here", quiet=True),
            plan=Plan("two", 0, cells, (0, 1), ()),
        )  # fmt: skip
    return folder


@pytest.fixture
def sides(profiled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sides:
    for path in profiled.iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "models").symlink_to(profiled / "models")
    for suffix in ("csv", "journal.jsonl", "meta.json"):
        (tmp_path / f"same.{suffix}").write_bytes((tmp_path / f"base.{suffix}").read_bytes())
    monkeypatch.chdir(tmp_path)
    return Sides(tmp_path)


@pytest.fixture
def compare(monkeypatch: pytest.MonkeyPatch) -> Compare:
    def run(*arguments: str) -> int:
        options = (
            "--space", "tiny.yaml", "--accuracy", "accuracy.csv", "--min-effect", "15%",
            "--max-time", "60s", "--no-pause", "--json",
        )  # fmt: skip
        monkeypatch.setattr(sys, "argv", ["compofa-report", "compare", *options, *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert isinstance(ended.value.code, int)
        return ended.value.code

    return run


def verdict(capsys: pytest.CaptureFixture[str]) -> Mapping[str, object]:
    (device,) = json.loads(capsys.readouterr().out)["devices"]
    assert isinstance(device, dict)
    return device


def other_weights(sides: Sides) -> dict[str, str]:
    """The base's models with other weights, in files of their own: hash -> hash of the other."""
    space = get_space("tiny.yaml")
    found = {}
    for row in read_table(sides.folder / "base.csv").rows:
        graph = build_graph(space, space.parse(row.cell.subnet), row.cell.resolution)
        runtime, weights = find_runtime("onnxruntime"), random_weights(graph, 1)
        content = model_file(runtime, Dtype.FLOAT32, graph, weights, 1)
        found[row.model_sha256] = sha256(content)
        (sides.folder / "others").mkdir(exist_ok=True)
        (sides.folder / "others" / found[row.model_sha256]).write_bytes(content)
    return found


def test_what_is_slower_is_confirmed(
    sides: Sides, compare: Compare, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare("base.csv", "slow.csv", "--confirm", "--models", "models") == 1
    found = verdict(capsys)
    confirmed = found["confirmed"]
    assert isinstance(confirmed, dict)
    assert confirmed["sessions"] >= FEWEST_SESSIONS
    assert len(confirmed["measured"]) >= 1
    assert not confirmed["identical"]
    _, lines = read_journal(journal_path(sides.folder / "slow.confirm.csv"))
    together: dict[int, set[str]] = {}
    for timing in of_kind(lines, Timing):
        if timing.cell is not None:
            together.setdefault(timing.session, set()).add(timing.model_sha256)
    assert len(next(iter(together.values()))) == 2 * len(confirmed["measured"])


def test_a_suspect_that_runs_as_fast_is_cleared(
    sides: Sides, compare: Compare, capsys: pytest.CaptureFixture[str]
) -> None:
    sides.slow_down("same", 1.5, other_weights(sides))
    assert compare("base.csv", "same.csv") in (1, 3)
    capsys.readouterr()
    folders = ("--models", "models", "--models", "others")
    code = compare("base.csv", "same.csv", "--confirm", *folders)
    found = verdict(capsys)
    # On a computer that does much else meanwhile, a minute may not be enough to be sure.
    assert code in (0, 3), found["headline"]
    overall = found["overall"]
    assert isinstance(overall, dict)
    assert overall["high"] < 1.4


def test_one_model_file_on_both_sides_is_no_slower_network(
    sides: Sides, compare: Compare, capsys: pytest.CaptureFixture[str]
) -> None:
    sides.slow_down("same", 1.5)
    assert compare("base.csv", "same.csv") in (1, 3)
    capsys.readouterr()
    assert compare("base.csv", "same.csv", "--confirm") == 0
    confirmed = verdict(capsys)["confirmed"]
    assert isinstance(confirmed, dict)
    assert len(confirmed["identical"]) == len(read_table(Path("base.csv")).rows)
    assert not journal_path(Path("same.confirm.csv")).exists()


def test_where_nothing_is_in_doubt_nothing_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A profile on paper: the noise of this computer would be a doubt."""
    monkeypatch.chdir(tmp_path)
    Path("devices.yaml").write_text("phone: {transport: local}\n")
    profile_on_paper(Path("base.csv"), sessions=4, fit=6, predicted=False, seed=1)
    options = ("--min-effect", "20%", "--confirm", "--json")
    monkeypatch.setattr(
        sys, "argv", ["compofa-report", "compare", "base.csv", "base.csv", *options]
    )
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert verdict(capsys)["confirmed"] is None


def test_no_time_leaves_the_verdict_as_it_was(
    sides: Sides, compare: Compare, capsys: pytest.CaptureFixture[str]
) -> None:
    before = compare("base.csv", "slow.csv")
    capsys.readouterr()
    options = ("--confirm", "--models", "models", "--max-time", "0.001s")
    assert compare("base.csv", "slow.csv", *options) == before != 0
    confirmed = verdict(capsys)["confirmed"]
    assert isinstance(confirmed, dict)
    assert confirmed["measured"] == []


def test_a_model_that_is_nowhere_is_an_error(
    sides: Sides, compare: Compare, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare("base.csv", "slow.csv", "--confirm") == 2
    error = capsys.readouterr().err
    assert "slow.csv" in error
    assert "profile with --keep-models DIR" in error


def test_a_damaged_model_is_an_error(
    sides: Sides, compare: Compare, capsys: pytest.CaptureFixture[str]
) -> None:
    (sides.folder / "broken").mkdir()
    for row in read_table(Path("slow.csv")).rows:
        (sides.folder / "broken" / row.model_sha256).write_bytes(b"half a mod")
    assert compare("base.csv", "slow.csv", "--confirm", "--models", "broken") == 2
    assert "the model file is damaged" in capsys.readouterr().err


def test_two_runtimes_cannot_run_in_one_session(
    sides: Sides, compare: Compare, capsys: pytest.CaptureFixture[str]
) -> None:
    table = read_table(Path("slow.csv"))
    for suffix in ("journal.jsonl", "meta.json"):
        (sides.folder / f"slow.{suffix}").unlink()
    changed = replace(table, setup=replace(table.setup, runtime_version="0.1"))
    write_table(Path("slow.csv"), changed)
    options = ("--allow-different", "runtime_version", "--confirm")
    assert compare("base.csv", "slow.csv", *options) == 2
    assert "they differ in runtime_version" in capsys.readouterr().err


def test_a_device_that_changed_meanwhile_is_refused(
    sides: Sides, compare: Compare, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("base", "slow"):
        path = journal_path(Path(f"{name}.csv"))
        lines = path.read_text().splitlines()
        header = json.loads(lines[0])
        header["fingerprint"]["kernel"] = "another"
        path.write_text("\n".join([json.dumps(header), *lines[1:]]) + "\n")
    assert compare("base.csv", "slow.csv", "--confirm", "--models", "models") == 2
    assert "kernel was 'another' and is" in capsys.readouterr().err


def test_what_is_tracked_is_what_was_confirmed(
    sides: Sides, compare: Compare, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two networks of one file: no slower, so the new latencies are those of the base."""
    sides.slow_down("same", 1.5)
    assert compare("base.csv", "same.csv", "--confirm", "--bencher", "b.json") == 0
    base = [row.latency_ms or math.nan for row in read_table(Path("base.csv")).rows]
    for each in json.loads(Path("b.json").read_text()).values():
        (tracked,) = each.values()
        assert any(tracked["value"] == pytest.approx(1e6 * ms) for ms in base)
        assert tracked["lower_value"] == pytest.approx(tracked["value"])
        assert tracked["upper_value"] == pytest.approx(tracked["value"])


def test_a_cell_is_settled_by_eight_sessions_and_no_fewer() -> None:
    """Of sides whose ratio is the same in every session: chance may have made two of them agree."""
    cell, *sides = (Cell("tiny", name, 32, 1) for name in ("d22222", "base", "new"))
    judge = _Judge([_Pair(cell, *sides)], 0.05, 0.95)

    def sessions(count: int) -> list[JournalLine]:
        lines: list[JournalLine] = []
        for number in range(1, count + 1):
            lines.append(SessionLine(number, "", number, {}, {}, None))
            for at, each in enumerate([None, *sides, None]):
                ns = (2_000_000,) * 9
                lines.append(Timing(number, each, "0" * 64, float(at), 1, ns, ns, {}, ""))
        return lines

    assert judge.pending(analyse(sessions(FEWEST_SESSIONS - 1), 0.95)) == sides
    assert judge.pending(analyse(sessions(FEWEST_SESSIONS), 0.95)) == []
