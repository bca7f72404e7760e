"""The baseline of a history, and its series for Apache Otava."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from compofa.profiler.history.baseline import find_baseline
from compofa.profiler.history.history_folder import add_entry, read_history
from compofa.profiler.history.trend import find_trends
from compofa.profiler.results.table import read_table
from compofa.search.commands.report_command import main
from rigs.profiles import profile_on_paper

SMALL: dict[str, Any] = {"sessions": 3, "fit": 6, "predicted": False}

MakeHistory = Callable[[Sequence[float]], Path]


@pytest.fixture
def make_history(tmp_path: Path) -> MakeHistory:
    """A history whose profiles are slower by these factors."""

    def make(factors: Sequence[float]) -> Path:
        for k, factor in enumerate(factors):
            path = tmp_path / f"{k}.csv"
            profile_on_paper(path, seed=k, day=k + 1, factor=factor, **SMALL)
            add_entry(tmp_path / "history", path, f"c0ffee{k:02}")
        return tmp_path / "history"

    return make


def baseline_of(folder: Path) -> str:
    (trend,) = find_trends(read_history(folder), 0.03)
    return find_baseline(trend).entry.commit


def test_an_improvement_that_nobody_has_confirmed_is_not_the_bar(
    make_history: MakeHistory,
) -> None:
    assert baseline_of(make_history([1.0] * 6 + [0.8])) in {f"c0ffee{k:02}" for k in range(6)}


def test_a_confirmed_change_moves_it(make_history: MakeHistory) -> None:
    assert baseline_of(make_history([1.0] * 6 + [0.8] * 4)) in {
        f"c0ffee{k:02}" for k in range(6, 10)
    }


def test_of_several_profiles_it_is_one_in_the_middle(make_history: MakeHistory) -> None:
    assert baseline_of(make_history([0.985, 1.0, 1.015])) == "c0ffee01"


def test_the_command_writes_a_table_to_compare_with(
    make_history: MakeHistory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, out = make_history([1.0] * 3), tmp_path / "base.csv"
    arguments = ["history", "baseline", str(folder), "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["compofa-report", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert "3 profiles are at this level" in capsys.readouterr().out
    assert read_table(out).rows


def test_otava_finds_every_column_that_its_configuration_names(
    make_history: MakeHistory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, to = make_history([1.0] * 3), tmp_path / "otava"
    monkeypatch.setattr(
        sys, "argv", ["compofa-report", "history", "otava", str(folder), f"--to={to}"]
    )
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    (told,) = yaml.safe_load((to / "otava.yaml").read_text())["tests"].values()
    rows = list(csv.DictReader(Path(told["file"]).read_text().splitlines()))
    assert told["type"] == "csv"
    assert len(rows) == 3
    assert [row[told["attributes"][0]] for row in rows] == ["c0ffee00", "c0ffee01", "c0ffee02"]
    assert len(told["metrics"]) > 6
    for metric in told["metrics"].values():
        assert all(float(row[metric["column"]]) > 0 for row in rows)
