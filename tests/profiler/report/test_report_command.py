"""compofa-report html as a person calls it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from compofa.profiler.results.journal import journal_path
from compofa.profiler.results.meta import meta_path
from compofa.search.commands.report_command import main


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["compofa-report", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert isinstance(ended.value.code, int)
        return ended.value.code

    return run


def test_the_page_of_one_table_lies_beside_it(
    phone: Path, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("html", str(phone)) == 0
    assert capsys.readouterr().out == f"page: {phone.with_suffix('.report.html')}\n"
    assert phone.with_suffix(".report.html").read_text().startswith("<!doctype html>")


def test_several_tables_share_a_page_and_json_describes_it(
    phone: Path, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    journal_path(phone).unlink()
    assert call("html", "phone.csv", "phone.csv", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["page"] == "report.html"
    assert told["bytes"] == Path("report.html").stat().st_size
    first, second = told["tables"]
    assert first == second
    assert first["device"] == "phone"
    assert first["remarks"][0]["title"] == "Predictions"
    assert first["held_out_error"]["n"] >= 5
    assert "journal" in first["missing"][0]


def test_what_is_missing_is_said_on_the_screen(
    phone: Path, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    meta_path(phone).unlink()
    assert call("html", "phone.csv", "--out", "x.html") == 0
    captured = capsys.readouterr()
    assert "phone.csv: phone.meta.json is not beside the table" in captured.err
    assert captured.out == "page: x.html\n"


def spoil_meta(phone: Path, **changes: object) -> None:
    meta = json.loads(meta_path(phone).read_text())
    meta_path(phone).write_text(json.dumps({**meta, **changes}))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda phone: phone.unlink(), "phone.csv: cannot read the table"),
        (lambda phone: meta_path(phone).write_text("{"), "the meta file is not JSON"),
        (lambda phone: meta_path(phone).write_text("[]"), "not a meta file of schema 1"),
        (lambda phone: spoil_meta(phone, drift="x"), "the meta file is damaged: drift"),
        (lambda phone: spoil_meta(phone, schema=2), "not a meta file of schema 1"),
        (
            lambda phone: spoil_meta(
                phone,
                setup={**json.loads(meta_path(phone).read_text())["setup"], "device": "board"},
            ),
            "another set-up than the table beside it: device is 'board' here and 'phone' in the",
        ),
        (lambda phone: journal_path(phone).write_text("x\n"), "the journal is damaged"),
    ],
)
def test_damaged_files_are_one_line_and_exit_2(
    phone: Path,
    call: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[Path], object],
    said: str,
) -> None:
    spoil(phone)
    assert call("html", "phone.csv") == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.count("\n") == 1
    assert not Path("phone.report.html").exists()


def test_mistakes_in_options_exit_2(call: Callable[..., int], phone: Path) -> None:
    assert call("html") == 2
    assert call("htlm", "phone.csv") == 2
    assert call("html", "phone.csv", "--space", "none.yaml") == 2
    assert call("html", "phone.csv", "--out", "no/where.html") == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("a.csv",), "no command 'a.csv' (did you mean compofa-report html a.csv?)"),
        (("a.csv", "b"), "did you mean compofa-report compare a.csv b, or compofa-report html"),
        (("history", "a.csv"), "compofa-report history add a.csv --commit COMMIT --to DIR?"),
        (("history", "folder"), "did you mean compofa-report history show folder?"),
        (("html", "a.csv", "--out", "r.pdf"), "r.pdf: this file is written as .html, not as .pdf"),
        (("history", "show", "h", "--html", "r.png"), "r.png: this file is written as .html"),
        (("compare", "a", "b", "--junit", "r.json"), "r.json: this file is written as .xml"),
        (("compare", "a", "b", "--format", "csv=r.xlsx"), "r.xlsx: this file is written as .csv"),
    ],
)
def test_what_was_meant_is_said(
    arguments: tuple[str, ...],
    said: str,
    call: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert call(*arguments) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.err.count("\n") == 1


def test_a_misspelt_command_is_suggested(
    call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("comapre", "a.csv", "b.csv") == 2
    assert "Did you mean 'compare'?" in capsys.readouterr().err
