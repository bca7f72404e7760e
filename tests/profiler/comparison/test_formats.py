"""What other programs read: each format against the schema that its reader documents."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
from markdown_it import MarkdownIt

from compofa.profiler.comparison.changes import Changes, compare_tables
from compofa.profiler.comparison.formats.comparison_charts import fronts, moves
from compofa.profiler.comparison.formats.data_formats import comparison_json, render_csv
from compofa.profiler.comparison.formats.junit import render_junit
from compofa.profiler.comparison.formats.markdown import (
    COMMENT_BYTES,
    MARKDOWN,
    SUMMARY_BYTES,
    render_markdown,
)
from compofa.profiler.comparison.formats.trackers import render_bencher, render_benchmark_action
from compofa.profiler.comparison.sentences import remarks
from compofa.profiler.comparison.verdict import Compared, Report
from compofa.profiler.comparison.wording import cell_name
from compofa.profiler.results.table import Cell
from compofa.profiler.statistics.compare import Ratio, Verdict

from .conftest import CELLS, MakeSide

ATTACK = "=cmd|' /C calc'!A1 <script>alert(1)</script> [x](http://e.com) @all #1 `|` www.e.com"

CUSTOM_SMALLER_IS_BETTER: dict[str, Any] = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["name", "unit", "value"],
        "properties": {
            "name": {"type": "string"},
            "unit": {"type": "string"},
            "value": {"type": "number"},
            "range": {"type": "string"},
            "extra": {"type": "string"},
        },
        "additionalProperties": False,
    },
}
"""README of github-action-benchmark, custom benchmarks."""

BENCHER_METRIC_FORMAT: dict[str, Any] = {
    "type": "object",
    "propertyNames": {"minLength": 1, "maxLength": 1024},
    "additionalProperties": {
        "type": "object",
        "propertyNames": {"minLength": 1, "maxLength": 64},
        "additionalProperties": {
            "type": "object",
            "required": ["value"],
            "properties": {
                name: {"type": "number"} for name in ("value", "lower_value", "upper_value")
            },
            "additionalProperties": False,
        },
    },
}
"""https://bencher.dev/bmf.json, with the lengths of its reference page."""

JUNIT: dict[str, tuple[set[str], set[str]]] = {
    "testsuites": ({"tests", "failures", "errors", "skipped"}, {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors", "skipped"},
        {"testcase", "system-out"},
    ),
    "testcase": ({"classname", "name", "time"}, {"failure", "error", "skipped"}),
    "failure": ({"message", "type"}, set()),
    "error": ({"message", "type"}, set()),
    "skipped": ({"message"}, set()),
    "system-out": (set(), set()),
}
"""Attributes and children of each element, of those in Jenkins' junit-10.xsd."""


def on(report: Report, cell: Cell, device: str = "phone") -> Report:
    """The report with its slowest cell and its device called something else."""
    (compared,) = report.devices
    changes = compared.changes
    first, *rest = changes.cells
    table = changes.new.table
    row = replace(table.rows[0], cell=cell)
    table = replace(table, setup=replace(table.setup, device=device), rows=(row, *table.rows))
    renamed = replace(
        changes,
        cells=(replace(first, cell=cell), *rest),
        new=replace(changes.new, table=table),
    )
    return Report((replace(compared, changes=renamed),))


@pytest.fixture
def attacked(report: Report) -> Report:
    return on(report, Cell("own", ATTACK, 160, 1), ATTACK)


@pytest.fixture
def unknown(side: MakeSide) -> Report:
    """No cell has an interval: one side has a single session."""
    new = side(2, sessions=1)
    return Report((Compared(compare_tables(side(1), new), None),))


def test_benchmark_action_takes_its_list(report: Report, attacked: Report) -> None:
    for each in (report, attacked):
        jsonschema.validate(json.loads(render_benchmark_action(each)), CUSTOM_SMALLER_IS_BETTER)
    first = json.loads(render_benchmark_action(report))[0]
    assert first["name"] == "phone: compofa d22222 at 160"
    assert first["value"] == pytest.approx(10 * 1.08 * 1.06, rel=0.01)
    assert first["range"].startswith("± 0.")


def test_bencher_takes_nanoseconds_with_bounds(report: Report, attacked: Report) -> None:
    for each in (report, attacked):
        jsonschema.validate(json.loads(render_bencher(each)), BENCHER_METRIC_FORMAT)
    metric = json.loads(render_bencher(report))["phone: compofa d22222 at 160"]["latency"]
    assert metric["lower_value"] <= metric["value"] <= metric["upper_value"]
    assert metric["value"] == pytest.approx(1e6 * 10 * 1.08 * 1.06, rel=0.01)


def test_bencher_has_no_bounds_where_none_are_known(report: Report) -> None:
    (compared,) = report.devices
    new = compared.changes.new
    rows = tuple(replace(row, ci_low_ms=None, ci_high_ms=None) for row in new.table.rows)
    side = replace(new, table=replace(new.table, rows=rows))
    changes = replace(compared.changes, new=side)
    said = json.loads(render_bencher(Report((replace(compared, changes=changes),))))
    assert all(list(each["latency"]) == ["value"] for each in said.values())
    assert said


def check_junit(element: ElementTree.Element) -> None:
    attributes, children = JUNIT[element.tag]
    assert set(element.attrib) <= attributes
    for child in element:
        assert child.tag in children
        check_junit(child)


def test_junit_has_the_shape_and_the_counts_that_ci_servers_read(report: Report) -> None:
    root = ElementTree.fromstring(render_junit(report))
    check_junit(root)
    (suite,) = root
    cases = suite.findall("testcase")
    assert suite.attrib["tests"] == root.attrib["tests"] == str(len(cases))
    for name, element in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert int(suite.attrib[name]) == len(suite.findall(f"testcase/{element}"))
    failed = [case.attrib["name"] for case in cases if case.find("failure") is not None]
    assert failed == ["compofa d22222 at 160", "Pareto front"]
    # GitLab tells cases apart by these two.
    names = [(case.attrib["classname"], case.attrib["name"]) for case in cases]
    assert len(set(names)) == len(names)


def test_junit_names_what_is_broken_or_was_not_measured(side: MakeSide) -> None:
    changes = compare_tables(side(1), side(2, cells=CELLS[1:], failed=CELLS[1:2]))
    root = ElementTree.fromstring(render_junit(Report((Compared(changes, None),), ("pi.csv",))))
    check_junit(root)
    assert root.attrib["errors"] == "2"
    assert root.attrib["skipped"] == "1"


def test_names_stay_inside_xml(attacked: Report) -> None:
    root = ElementTree.fromstring(render_junit(attacked))
    assert f"own {ATTACK} at 160" in {case.attrib["name"] for case in root.iter("testcase")}


def test_a_spreadsheet_runs_no_formula(attacked: Report) -> None:
    rows = list(csv.DictReader(io.StringIO(render_csv(attacked))))
    assert (rows[0]["device"], rows[0]["subnet"]) == (f"'{ATTACK}", f"'{ATTACK}")
    for row in rows:
        assert not any(value.startswith(("=", "@", "+")) for value in row.values())


def test_csv_and_json_hold_every_cell(report: Report) -> None:
    rows = list(csv.DictReader(io.StringIO(render_csv(report))))
    found = json.loads(json.dumps(comparison_json(report), allow_nan=False))
    assert found["verdict"] == "slower"
    cells = found["devices"][0]["cells"]
    assert len(rows) == len(cells) == len(CELLS)
    assert [float(row["ratio"]) for row in rows] == [cell["ratio"]["value"] for cell in cells]
    assert found["devices"][0]["front"]["limits"][0]["fell"] is True


def test_intervals_that_are_not_known_are_empty_everywhere(unknown: Report) -> None:
    assert unknown.verdict is Verdict.CANNOT_TELL
    cell = json.loads(json.dumps(comparison_json(unknown), allow_nan=False))["devices"][0]["cells"][
        0
    ]
    assert (cell["ratio"]["low"], cell["ratio"]["high"]) == (None, None)
    assert next(csv.DictReader(io.StringIO(render_csv(unknown))))["ratio_low"] == ""
    jsonschema.validate(json.loads(render_bencher(unknown)), BENCHER_METRIC_FORMAT)
    jsonschema.validate(json.loads(render_benchmark_action(unknown)), CUSTOM_SMALLER_IS_BETTER)
    assert "| not known |" in render_markdown(unknown)


def rendered(text: str) -> str:
    """As GitHub's renderer takes it: CommonMark with tables, HTML let through."""
    page: str = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    return page


def test_markdown_says_the_verdict_first_and_folds_the_rest_away(report: Report) -> None:
    text = render_markdown(report)
    assert text.startswith("## 🔴 Slower&#58; 1 of 9 cells slower, most of all d22222 at 160, +8.")
    html = rendered(text)
    changed, _, folded = html.partition("<details>")
    assert changed.count("<tr>") == 1 + 2
    assert folded.count("<tr>") == 1 + 7
    assert "</details>" in folded


def test_markdown_shows_names_as_they_are_and_links_and_mentions_nobody(attacked: Report) -> None:
    text = render_markdown(attacked)
    html = rendered(text)
    assert "<script" not in html
    assert "<a " not in html
    assert "<code" not in html
    # Neither a mention nor the number of an issue, even once entities are resolved.
    assert "@all" not in html
    assert "#1" not in html
    assert "http://" not in text
    assert "www." not in text
    row = next(line for line in text.splitlines() if "calc" in line and line.startswith("| "))
    assert row.count("|") == 7


def many(report: Report, count: int) -> Report:
    (compared,) = report.devices
    ratio = Ratio(1.05, 1.04, 1.06, 3.0, Verdict.SLOWER)
    first = compared.changes.cells[0]
    cells = tuple(
        replace(first, cell=Cell("own", f"s{i:06d}|", 160, 1), ratio=ratio) for i in range(count)
    )
    return Report((replace(compared, changes=replace(compared.changes, cells=cells)),))


@pytest.mark.parametrize("limit", [SUMMARY_BYTES, COMMENT_BYTES])
def test_markdown_of_a_hundred_thousand_cells_fits_and_counts_what_does_not(
    report: Report, limit: int
) -> None:
    text = render_markdown(many(report, 100_000), limit)
    assert 0.9 * limit < len(text.encode()) <= limit
    shown = text.count("| s0")
    assert f"{100_000 - shown:,} more cells are left out here." in text


def test_markdown_of_many_devices_fits_too(report: Report) -> None:
    devices = many(report, 2_000).devices * 40
    text = render_markdown(Report(devices), COMMENT_BYTES)
    assert len(text.encode()) <= COMMENT_BYTES
    assert text.count("### 🔴 phone") == 40


def test_accuracies_that_are_predictions_are_called_so(report: Report) -> None:
    (compared,) = report.devices
    assert compared.front is not None
    both = compared.front, replace(compared.front, predicted=False)
    told = [sentence for front in both for sentence in front.sentences()]
    assert "less predicted accuracy can be reached" in told[0]
    assert "less accuracy can be reached" in told[1]
    titles = [fronts(front)["layer"][0]["encoding"]["y"]["title"] for front in both]
    assert titles == ["predicted top-1, %", "top-1 accuracy, %"]


@pytest.mark.parametrize("count", [5, 6])
def test_a_sentence_names_five_cells_and_counts_the_rest(side: MakeSide, count: int) -> None:
    new = side(2, failed=CELLS[:count])
    (said,) = [
        line
        for line in remarks(Compared(compare_tables(side(1), new), None))
        if cell_name(CELLS[0]) in line
    ]
    assert [cell_name(cell) in said for cell in CELLS[:count]] == [True] * 5 + [False] * (count - 5)
    assert ("and 1 more" in said) == (count == 6)


def test_the_odds_of_a_false_alarm_are_said(changes: Changes) -> None:
    said = " ".join(remarks(Compared(changes, None)))
    assert "Changes below 3 % do not count" in said
    assert "the probability of any false alarm is at most 5 %." in said


def test_the_histogram_counts_each_cell_where_it_moved_to(changes: Changes) -> None:
    spec = moves(changes)
    bars = spec["data"]["values"]
    assert sum(bar["cells"] for bar in bars) == len(changes.cells)
    for kind, verdict in (("slower", Verdict.SLOWER), ("faster", Verdict.FASTER)):
        (cell,) = changes.of(verdict)
        (bar,) = [bar for bar in bars if bar["kind"] == kind]
        assert bar["low"] <= 100 * (cell.ratio.value - 1) <= bar["high"]
    (layer,) = spec["layer"]
    # The heights of bars compare only where they begin at nothing.
    assert layer["encoding"]["y"]["scale"]["zero"] is True


def test_a_summary_is_made_appended_to_and_kept_within_its_size(
    report: Report, tmp_path: Path
) -> None:
    path = tmp_path / "summary.md"
    MARKDOWN.write(report, path)
    once = path.read_text()
    assert once == render_markdown(report, SUMMARY_BYTES)
    MARKDOWN.write(report, path)
    assert path.read_text() == once * 2
    path.write_text("x" * (SUMMARY_BYTES - 2_000))
    MARKDOWN.write(many(report, 1_000), path)
    assert SUMMARY_BYTES - 2_000 < path.stat().st_size <= SUMMARY_BYTES


@pytest.mark.parametrize("end", ["low", "high"])
def test_an_interval_of_which_one_end_is_known_is_not_known(report: Report, end: str) -> None:
    (compared,) = report.devices
    table = compared.changes.new.table
    rows = [
        replace(row, ci_low_ms=None) if end == "low" else replace(row, ci_high_ms=None)
        for row in table.rows
    ]
    new = replace(compared.changes.new, table=replace(table, rows=tuple(rows)))
    half = Report((replace(compared, changes=replace(compared.changes, new=new)),))
    for benchmark in json.loads(render_bencher(half)).values():
        assert all(metric.keys() == {"value"} for metric in benchmark.values())
    assert {each["range"] for each in json.loads(render_benchmark_action(half))} == {"not known"}
