"""compofa-report history: what is added stays, and what changed is put down to its cause."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome as Browser
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from compofa.common.errors import UserError
from compofa.profiler.history.history_folder import add_entry, read_history
from compofa.profiler.history.history_page import render_history_page
from compofa.profiler.history.trend import Cause, find_trends
from compofa.profiler.results.journal import journal_path
from compofa.profiler.results.table import read_table
from compofa.search.commands.report_command import main
from rigs.profiles import profile_on_paper

Call = Callable[..., int]
Output = pytest.CaptureFixture[str]

SMALL: dict[str, Any] = {"sessions": 3, "fit": 6, "predicted": False}

HOST_SLOWER, CODE_SLOWER, OS_NEWER = 3, 6, 9
"""From which profile on."""


@pytest.fixture(scope="session")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve profiles: a slower host, then slower networks, then another operating system."""
    folder = tmp_path_factory.mktemp("history")
    for k in range(12):
        table = profile_on_paper(
            folder / f"{k}.csv",
            seed=k,
            day=k + 1,
            **SMALL,
            host=1.1 if k >= HOST_SLOWER else 1.0,
            factor=1.07 if k >= CODE_SLOWER else 1.0,
            facts={"os": "2" if k >= OS_NEWER else "1"},
        )
        add_entry(folder / "history", table, f"c0ffee{k:02}")
    return folder / "history"


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["compofa-report", "history", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert isinstance(ended.value.code, int)
        return ended.value.code

    return run


def test_each_change_is_put_down_to_its_cause(history: Path) -> None:
    (trend,) = find_trends(read_history(history), 0.03)
    assert [(event.position, event.cause) for event in trend.events] == [
        (HOST_SLOWER, Cause.DEVICE),
        (CODE_SLOWER, Cause.CODE),
        (OS_NEWER, Cause.SETUP),
    ]
    device, code, setup = trend.events
    assert [each.cell for each in device.moved] == [None]
    assert device.moved[0].ratio == pytest.approx(1.1, abs=0.02)
    assert {each.cell for each in code.moved} == set(trend.latency_ms)
    assert code.moved[0].ratio == pytest.approx(1.07, abs=0.01)
    assert setup.facts == {"os": ("1", "2")}
    assert setup.moved == ()


def test_cells_that_covary_with_half_of_a_busier_host_are_not_the_code(tmp_path: Path) -> None:
    for k in range(12):
        host = (1.3 if k >= 6 else 1.0) * (1.03 if k % 2 else 1.0)
        table = profile_on_paper(
            tmp_path / f"{k}.csv", seed=k, day=k + 1, **SMALL, host=host, factor=host**-0.5
        )
        add_entry(tmp_path / "history", table, f"c{k}")
    (trend,) = find_trends(read_history(tmp_path / "history"), 0.03)
    assert trend.slope == pytest.approx(0.5, abs=0.1)
    assert {event.cause for event in trend.events} == {Cause.DEVICE}
    assert trend.change(next(iter(trend.latency_ms))) == pytest.approx(1, abs=0.03)


def test_without_reference_nobody_is_blamed(tmp_path: Path) -> None:
    for k in range(10):
        table = profile_on_paper(
            tmp_path / f"{k}.csv",
            seed=k,
            day=k + 1,
            **SMALL,
            host=1 + 0.2 * (k >= 5),
        )
        journal_path(table).unlink()
        add_entry(tmp_path / "history", table, f"c{k}")
    (trend,) = find_trends(read_history(tmp_path / "history"), 0.03)
    assert not trend.relative
    assert {event.cause for event in trend.events} == {Cause.UNKNOWN}


def test_devices_have_histories_of_their_own(tmp_path: Path) -> None:
    for device in ("phone", "board"):
        table = profile_on_paper(
            tmp_path / f"{device}.csv", device=device, sessions=2, fit=6, predicted=False
        )
        add_entry(tmp_path / "history", table, "c0ffee")
    trends = find_trends(read_history(tmp_path / "history"), 0.03)
    assert {trend.name.partition(" ")[0] for trend in trends} == {"phone", "board"}
    assert [(len(trend.entries), trend.events) for trend in trends] == [(1, ()), (1, ())]


def test_what_is_added_is_there_unchanged_and_once(tmp_path: Path) -> None:
    table = profile_on_paper(tmp_path / "t.csv", **SMALL)
    entry, new = add_entry(tmp_path / "h", table, "v1.2")
    again, twice = add_entry(tmp_path / "h", table, "v1.2")
    assert (entry, new, twice) == (again, True, False)
    (profile,) = read_history(tmp_path / "h")
    assert profile.entry == entry
    assert profile.table == read_table(table)
    assert entry.facts["cpu"] == "Paper"
    assert entry.reference_ms == pytest.approx(2.0, rel=0.05)


def test_entries_are_in_order_of_time_whatever_the_order_of_adding(tmp_path: Path) -> None:
    table = profile_on_paper(tmp_path / "t.csv", **SMALL)
    for commit, at in (("b", "2026-03-01T00:00:00+02:00"), ("a", "2026-02-28T21:00:00Z")):
        add_entry(tmp_path / "h", table, commit, at)
    assert [each.entry.commit for each in read_history(tmp_path / "h")] == ["a", "b"]


def test_show_says_what_changed_and_writes_a_page(
    history: Path, call: Call, capsys: Output
) -> None:
    assert call("show", str(history), "--html", "history.html") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("phone (onnxruntime, cpu, 1 thread, float32): 12 profiles of 26 ")
    assert lines[1].startswith("  c0ffee03 (2026-01-04): the device: the reference model +")
    assert lines[2].startswith("  c0ffee06 (2026-01-07): the code: 26 cells slower: d")
    assert lines[3] == "  c0ffee09 (2026-01-10): the set-up: os from 1 to 2"
    assert lines[4] == "page: history.html"
    assert Path("history.html").stat().st_size < 2_000_000


def test_json_has_every_cell_and_event(history: Path, call: Call, capsys: Output) -> None:
    assert call("show", str(history), "--json") == 0
    (trend,) = json.loads(capsys.readouterr().out)["trends"]
    assert [event["cause"] for event in trend["events"]] == ["device", "code", "set-up"]
    assert len(trend["cells"]) == 26
    assert all(len(cell["latency_ms"]) == 12 for cell in trend["cells"])


def test_add_names_the_entry_and_says_when_it_is_there_already(
    tmp_path: Path, call: Call, capsys: Output
) -> None:
    profile_on_paper(tmp_path / "t.csv", **SMALL)
    add = ("add", "t.csv", "--commit", "3f2a91c", "--to", "history")
    assert call(*add) == call(*add) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert Path(first).exists()
    assert second == f"{first} is there already"


def spoil(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: next(folder.glob(name)).write_text(text)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (spoil("*.json", "{"), "the entry is not JSON"),
        (spoil("*.json", "[]"), "not an entry of a history: its schema is not 1"),
        (spoil("*.json", '{"schema": 2}'), "a newer compofa wrote it: schema 2"),
        (spoil("*.json", '{"schema": 1}'), "the entry is damaged: commit"),
        (spoil("*.csv", "x\n"), "has no column"),
        (lambda folder: next(folder.glob("*.csv")).unlink(), "cannot read the table"),
        (lambda folder: [path.unlink() for path in folder.iterdir()], "the history is empty"),
    ],
)
def test_a_damaged_history_is_one_line_and_exit_2(
    tmp_path: Path, call: Call, capsys: Output, change: Callable[[Path], object], said: str
) -> None:
    table = profile_on_paper(tmp_path / "t.csv", **SMALL)
    add_entry(tmp_path / "history", table, "c0ffee")
    change(tmp_path / "history")
    assert call("show", "history") == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


def test_an_entry_cannot_name_a_file_elsewhere(tmp_path: Path) -> None:
    table = profile_on_paper(tmp_path / "t.csv", **SMALL)
    add_entry(tmp_path / "h", table, "c0ffee")
    path = next((tmp_path / "h").glob("*.json"))
    path.write_text(json.dumps({**json.loads(path.read_text()), "table": "../t.csv"}))
    with pytest.raises(UserError, match="the entry is damaged: table"):
        read_history(tmp_path / "h")


@pytest.mark.parametrize("commit", ["", "../x", "a/b", "-x", "x" * 200, "a b"])
def test_commits_that_are_no_file_names_are_refused(tmp_path: Path, commit: str) -> None:
    table = profile_on_paper(tmp_path / "t.csv", **SMALL)
    with pytest.raises(UserError, match="is not a hash or a tag"):
        add_entry(tmp_path / "h", table, commit)
    assert not (tmp_path / "h").exists()


def test_the_page_draws_the_picture_and_marks_the_changes(
    history: Path, tmp_path: Path, browser: Browser
) -> None:
    page = tmp_path / "page.html"
    page.write_text(render_history_page(find_trends(read_history(history), 0.03)))
    browser.get(page.as_uri())
    WebDriverWait(browser, 30).until(
        lambda opened: opened.find_elements(By.CSS_SELECTOR, "figure svg.marks")
    )
    badges = [badge.text for badge in browser.find_elements(By.CSS_SELECTOR, "li .badge")]
    assert badges == ["set-up", "code", "device"]
    assert len(browser.find_elements(By.CSS_SELECTOR, "svg.spark polyline")) == 26
    assert len(browser.find_elements(By.CSS_SELECTOR, "svg.spark circle")) == 26
    assert browser.get_log("browser") == []


@pytest.mark.parametrize(
    "time", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "x" * 500]
)
def test_a_time_beyond_the_calendar_is_a_mistake(tmp_path: Path, time: str) -> None:
    table = profile_on_paper(tmp_path / "t.csv", **SMALL)
    with pytest.raises(UserError, match="is not a time") as caught:
        add_entry(tmp_path / "history", table, "c0ffee", time)
    assert len(str(caught.value)) < 300
    add_entry(tmp_path / "history", table, "c0ffee", "9999-12-31T23:59:59Z")
    (entry,) = (tmp_path / "history").glob("*.json")
    entry.write_text(entry.read_text().replace("9999-12-31T23:59:59Z", time[:30]))
    with pytest.raises(UserError, match="the entry is damaged: at: "):
        read_history(tmp_path / "history")


def test_a_pipe_is_no_table_for_a_history(tmp_path: Path) -> None:
    table = profile_on_paper(tmp_path / "t.csv", **SMALL)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(table.read_bytes()))
    writer.start()
    with pytest.raises(UserError, match="so it cannot be a pipe"):
        add_entry(tmp_path / "history", pipe, "c0ffee")
    writer.join()
