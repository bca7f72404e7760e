"""The page: what it shows, that it needs nothing from outside, that nothing breaks out of it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from compofa.profiler.report.judgement import MOST_TESTED
from compofa.profiler.report.section import Section, make_section
from compofa.profiler.report.table_page import render_page
from compofa.profiler.report.timeline import MOST_POINTS
from compofa.profiler.results.evidence import load_evidence
from compofa.profiler.results.meta import meta_path, read_meta, write_meta
from compofa.profiler.results.table import read_table, write_table
from rigs.profiles import profile_on_paper

FIGURES = ("measured", "residuals", "drift", "scatter")
ATTACK = "</script><script>alert('x')</script><img src=x onerror=alert(1)>"


class Page(HTMLParser):
    """The elements and the text of a page, as a browser would find them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.scripts: dict[str, str] = {}
        self._script: str | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self._script = dict(attrs).get("id") or f"script {len(self.scripts)}"
            self.scripts[self._script] = ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._script = None

    def handle_data(self, data: str) -> None:
        if self._script is not None:
            self.scripts[self._script] += data
        else:
            self.text += data

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.elements)

    @property
    def charts(self) -> dict[str, Any]:
        charts = json.loads(self.scripts["charts"])
        assert isinstance(charts, dict)
        return charts


def section(path: Path) -> Section:
    return make_section(load_evidence(path))


def values(spec: dict[str, Any]) -> list[dict[str, Any]]:
    found = spec["data"]["values"]
    assert isinstance(found, list)
    return found


def test_a_page_has_every_picture_with_a_caption_and_every_list_of_facts(phone: Path) -> None:
    page = Page(render_page([section(phone)]))
    assert set(page.charts) == {f"chart-0-{name}" for name in FIGURES}
    assert page.count("figcaption") == page.count("figure") == len(FIGURES)
    ids = {attributes.get("id") for _, attributes in page.elements}
    assert set(page.charts) <= ids
    for title in ("Set-up", "Device", "Protocol", "Noise (standard deviations)"):
        assert title in page.text
    for said in ("Paper", "onnxruntime 1.2", "Do unit latencies add up?", "What disturbed"):
        assert said in page.text


def test_the_held_out_cells_of_the_plan_are_judged_as_in_the_meta_file(phone: Path) -> None:
    found = section(phone)
    meta = json.loads(phone.with_suffix(".meta.json").read_text())["held_out_error"]
    assert found.judgement is not None
    assert found.judgement.planned
    error = found.judgement.error
    assert (error.n, error.coverage) == (20, meta["coverage"])
    assert error.mean_absolute_percent == pytest.approx(meta["mean_absolute_percent"])
    spec = next(figure.spec for figure in found.figures if figure.name == "measured")
    assert {each["subnet"] for each in values(spec)} == {
        judged.cell.subnet for judged in found.judgement.cells
    }
    assert {"predicted", "low", "high", "measured", "least", "most"} <= set(values(spec)[0])


def test_the_page_carries_everything_it_needs(phone: Path) -> None:
    html = render_page([section(phone)])
    page = Page(html)
    assert not re.search(r"""(src|href)\s*=\s*["'`]?(https?:)?//""", html)
    assert not re.search(r"""(import|fetch)\s*\(?\s*["'`]https?:""", html)
    assert not any(name in ("link", "iframe", "img") for name, _ in page.elements)
    assert not any("src" in attributes for _, attributes in page.elements)
    policy = next(a["content"] for n, a in page.elements if n == "meta" and "http-equiv" in a)
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert "unsafe-eval" not in policy


def test_scripts_of_the_page_are_the_libraries_once_and_data(phone: Path) -> None:
    found = section(phone)
    page = Page(render_page([found, found, found]))
    assert page.count("script") == 4
    assert len(page.charts) == 3 * len(FIGURES)


def test_names_from_files_cannot_break_out_of_the_page(
    tmp_path: Path, change_meta: Callable[[dict[str, object]], None], phone: Path
) -> None:
    path = profile_on_paper(tmp_path / "x.csv", device=ATTACK, facts={ATTACK: ATTACK})
    change_meta(
        {
            "failures": {ATTACK: ATTACK},
            "plan": {"name": ATTACK},
            "compofa": ATTACK,
            "state_before": {ATTACK: [ATTACK, {ATTACK: ATTACK}]},
        }
    )
    html = render_page([section(path), section(phone)])
    page = Page(html)
    assert "<script>alert" not in html
    assert page.count("img") == 0
    assert page.count("script") == 4
    # What a person reads is the true name.
    assert page.text.count(ATTACK) >= 6


def test_subnets_and_reasons_cannot_end_the_data_of_the_pictures(phone: Path) -> None:
    found = section(phone)
    assert found.judgement is not None
    judged = found.judgement.cells[0]
    figure = replace(found.figures[0], spec={"data": {"values": [{"subnet": ATTACK}]}})
    evil = replace(judged, cell=replace(judged.cell, subnet=ATTACK))
    html = render_page([replace(found, figures=(figure,), worst=(evil,))])
    assert "<script>alert" not in html
    data = Page(html).charts["chart-0-measured"]["data"]
    assert data == {"fields": ["subnet"], "rows": [[ATTACK]]}


def test_text_that_is_no_text_is_still_a_page(
    change_meta: Callable[[dict[str, object]], None], phone: Path
) -> None:
    deep: dict[str, object] = {}
    for _ in range(50):
        deep = {"deeper": deep}
    change_meta(
        {"facts": {"name": "\ud800\x1b[31m", "deep": deep, "none": None, "long": "x" * 9999}}
    )
    html = render_page([section(phone)])
    assert "\x1b" not in html
    assert html.encode()
    assert "x" * 1000 not in html


def test_a_table_alone_still_gets_its_predictions_judged(phone: Path) -> None:
    phone.with_suffix(".meta.json").unlink()
    phone.with_suffix(".journal.jsonl").unlink()
    page = Page(render_page([section(phone)]))
    assert set(page.charts) == {"chart-0-measured", "chart-0-residuals"}
    assert "What is missing" in page.text
    assert "phone.journal.jsonl is not beside the table" in page.text
    assert "phone.meta.json is not beside the table" in page.text
    assert "No plan held cells out" in page.text
    assert "Protocol" not in page.text


def test_without_a_journal_the_meta_file_speaks(phone: Path) -> None:
    before = section(phone).remarks
    phone.with_suffix(".journal.jsonl").unlink()
    found = section(phone)
    assert [each.title for each in found.remarks] == [each.title for each in before]
    assert {each.name for each in found.figures} == {"measured", "residuals"}


def test_what_casts_doubt_on_the_figures_is_said_on_the_page(phone: Path) -> None:
    heading = "What casts doubt on the figures"
    assert heading not in Page(render_page([section(phone)])).text
    path = meta_path(phone)
    said = "4 threads share CPUs 0, 1: <they> wait for each other"
    write_meta(path, read_meta(path).model_copy(update={"caveats": (said,)}))
    page = Page(render_page([section(phone)]))
    assert heading in page.text
    assert said in page.text


def test_without_a_meta_file_the_journal_speaks(phone: Path) -> None:
    before = section(phone)
    phone.with_suffix(".meta.json").unlink()
    found = section(phone)
    assert found.remarks == before.remarks
    assert len(found.figures) == len(FIGURES)
    assert any("facts about the device, the protocol" in each for each in found.missing)


def test_a_space_from_a_file_has_to_be_named(phone: Path) -> None:
    table = read_table(phone)
    rows = [replace(row, cell=replace(row.cell, space="mine")) for row in table.rows]
    write_table(phone, replace(table, rows=tuple(rows)))
    phone.with_suffix(".meta.json").unlink()
    phone.with_suffix(".journal.jsonl").unlink()
    found = section(phone)
    assert found.figures == ()
    assert any("the file that defines it with --space" in each for each in found.missing)
    assert Page(render_page([found])).count("figure") == 0


def test_a_table_of_predictions_only_is_no_error(phone: Path) -> None:
    table = read_table(phone)
    write_table(phone, replace(table, rows=tuple(r for r in table.rows if not r.n_runs)))
    phone.with_suffix(".meta.json").unlink()
    phone.with_suffix(".journal.jsonl").unlink()
    found = section(phone)
    assert found.remarks == ()
    assert any("no cell was measured" in each for each in found.missing)


def test_one_session_says_nothing_about_noise(tmp_path: Path) -> None:
    found = section(profile_on_paper(tmp_path / "once.csv", sessions=1, fit=6))
    assert "Noise of a session" not in {each.title for each in found.remarks}
    assert any("the noise is not known" in each for each in found.missing)
    assert len(found.figures) == len(FIGURES)


def test_pictures_of_large_journals_on_ten_devices_stay_under_2_mb(phone: Path) -> None:
    """Pictures are filled to their limits, which hold whatever the size of the journal."""
    found = section(phone)
    full = []
    for figure in found.figures:
        some = values(figure.spec)
        limit = MOST_TESTED if figure.name in ("measured", "residuals") else MOST_POINTS
        many = (some * (limit // len(some) + 1))[:limit]
        full.append(replace(figure, spec={**figure.spec, "data": {"values": many}}))
    html = render_page([replace(found, figures=tuple(full))] * 10)
    assert len(html.encode()) < 2_000_000


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed to draw the page with")
def test_a_browser_draws_every_picture(phone: Path, tmp_path: Path) -> None:
    found = section(phone)
    (tmp_path / "page.html").write_text(render_page([found, found]))
    options = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
        "--disable-background-networking --disable-component-update --virtual-time-budget=20000 "
        f"--user-data-dir={tmp_path / 'chromium'} --window-size=1200,3000 --dump-dom"
    )
    drawn = subprocess.run(
        [str(CHROMIUM), *options.split(), (tmp_path / "page.html").as_uri()],
        capture_output=True,
        text=True,
        timeout=90,
        check=True,
    ).stdout
    body = drawn[: drawn.index('<script type="application/json"')]
    assert re.search(r'<html[^>]* data-drawn="(light|dark)"', drawn)
    assert "could not be drawn" not in body
    assert len(re.findall(r'<svg[^>]*class="marks"', body)) == 2 * len(FIGURES)
    assert body.count("inside its interval</text>") == 4
