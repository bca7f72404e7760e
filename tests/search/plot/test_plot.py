"""The picture: what it shows, and that the page needs nothing from outside."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver as Browser
from selenium.webdriver.support.ui import WebDriverWait

from compofa.search.accuracy.accuracy import load_accuracy
from compofa.search.answer import Answer, ask
from compofa.search.candidates import Candidates, Latencies, join
from compofa.search.plot.drawing import _unit_labels
from compofa.search.plot.plot import MOST_POINTS, plot_spec, write_plot
from rigs.tables import COMPOFA, make_table

LIMITS = (15.0,)


def joined(*devices: str) -> Candidates:
    tables = [
        Latencies(Path("t.csv"), make_table(device, slope=1 + i / 2))
        for i, device in enumerate(devices)
    ]
    return join(tables, COMPOFA, load_accuracy(None, COMPOFA))


def panels(candidates: Candidates, answer: Answer) -> list[dict[str, Any]]:
    """The panels of accuracy against latency, one per table."""
    found: list[dict[str, Any]] = plot_spec(candidates, answer)["vconcat"][0]["hconcat"]
    return found


def drawn(panel: dict[str, Any], kind: str) -> set[tuple[str, int]]:
    """The subnets that a panel draws as `kind`."""
    values = [value for layer in panel["layer"] for value in layer["data"]["values"]]
    return {(v["subnet"], v["resolution"]) for v in values if v.get("kind") == kind}


def test_every_cell_the_front_and_the_chosen_subnet_are_drawn() -> None:
    candidates = joined("phone")
    answer = ask(candidates, [LIMITS], top=1)
    (panel,) = panels(candidates, answer)
    assert len(drawn(panel, "cell")) == 486
    members = ask(candidates, []).results
    assert drawn(panel, "Pareto front") == {(each.subnet, each.resolution) for each in members}
    best = answer.results[0]
    assert drawn(panel, "chosen") == {(best.subnet, best.resolution)}


def test_axes_carry_their_units_and_hovering_names_the_subnet() -> None:
    candidates = joined("phone")
    (panel,) = panels(candidates, ask(candidates, []))
    encoding = panel["layer"][0]["encoding"]
    assert encoding["x"]["title"] == "Latency on phone (ms)"
    assert encoding["y"]["title"] == "Predicted top-1 (%)"
    fields = [each["field"] for each in encoding["tooltip"]]
    assert fields[:2] == ["subnet", "resolution"]
    assert {"top1_percent", "latency_ms", "interval"} <= set(fields)


def test_each_table_has_a_panel_of_its_own() -> None:
    candidates = joined("phone", "board")
    answer = ask(candidates, [(15.0, 40.0)], top=1)
    both = panels(candidates, answer)
    titles = [panel["layer"][0]["encoding"]["x"]["title"] for panel in both]
    assert titles == ["Latency on phone (ms)", "Latency on board (ms)"]
    assert drawn(both[0], "chosen") == drawn(both[1], "chosen")


def test_a_large_table_is_thinned_but_keeps_front_and_choice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert MOST_POINTS >= 1215
    monkeypatch.setattr("compofa.search.plot.plot.MOST_POINTS", 100)
    candidates = joined("phone")
    answer = ask(candidates, [LIMITS], top=1)
    (panel,) = panels(candidates, answer)
    assert len(drawn(panel, "cell")) <= 100
    assert len(drawn(panel, "Pareto front")) == len(ask(candidates, []).results)
    assert len(drawn(panel, "chosen")) == 1


def test_the_page_carries_everything_it_needs(tmp_path: Path) -> None:
    candidates = joined("phone")
    write_plot(tmp_path / "p.html", candidates, ask(candidates, [LIMITS], top=1))
    page = (tmp_path / "p.html").read_text()
    assert not re.search(r"""(src|href)\s*=\s*["'`]?(https?:)?//""", page)
    assert not re.search(r"""(import|fetch)\s*\(?\s*["'`]https?:""", page)
    assert "d22222" in page
    assert "Latency on phone (ms)" in page


def test_a_device_name_cannot_break_out_of_the_page(tmp_path: Path) -> None:
    name = "</script><script>alert('x')</script>"
    candidates = joined(name)
    write_plot(tmp_path / "p.html", candidates, ask(candidates, []))
    page = (tmp_path / "p.html").read_text()
    assert "<script>alert" not in page
    # The script still sees the true name.
    text = re.search(r'"(Latency on [^"]*)"', page)
    assert text is not None
    assert json.loads(f'"{text[1]}"') == f"Latency on {name} (ms)"


def test_a_png_is_an_image_of_a_readable_size(tmp_path: Path) -> None:
    candidates = joined("phone")
    write_plot(tmp_path / "p.png", candidates, ask(candidates, [LIMITS], top=1))
    content = (tmp_path / "p.png").read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = (int.from_bytes(content[i : i + 4]) for i in (16, 20))
    assert width >= 1200
    assert height >= 900


def test_unconverged_cells_say_so_on_hover() -> None:
    table = make_table(resolutions=(160,))
    rows = tuple(replace(row, status="unconverged") for row in table.rows)
    tables = [Latencies(Path("t.csv"), replace(table, rows=rows))]
    candidates = join(tables, COMPOFA, load_accuracy(None, COMPOFA))
    (panel,) = panels(candidates, ask(candidates, []))
    assert panel["layer"][0]["data"]["values"][0]["basis"] == "measured, unconverged"


def test_chosen_subnets_are_drawn_unit_by_unit_beside_the_full_network() -> None:
    candidates = joined("phone")
    answer = ask(candidates, [(15.0,), (25.0,)], top=1)
    rows = plot_spec(candidates, answer)["vconcat"][1]["vconcat"]
    assert len(rows) == len(answer.results) + 1
    for row, subnet in zip(
        rows, [*(each.subnet for each in answer.results), "d44444"], strict=True
    ):
        assert subnet in row["title"]["text"]
        bars = next(each for each in row["layer"] if each.get("name"))["data"]["values"]
        choices = COMPOFA.unit_choices(COMPOFA.parse(subnet))
        expected = [
            (unit, block, expand, f"{kernel}x{kernel}")
            for unit, choice in enumerate(choices, start=1)
            for block, (expand, kernel) in enumerate(
                zip(choice.expands, choice.kernels, strict=True), start=1
            )
        ]
        assert [(b["unit"], b["block"], b["expand"], b["kernel"]) for b in bars] == expected


def test_the_full_network_is_marked() -> None:
    candidates = joined("phone")
    (panel,) = panels(candidates, ask(candidates, []))
    assert drawn(panel, "full network") == {("d44444", 224)}


@pytest.mark.parametrize(
    ("device", "points"), [("Galaxy Note10+", 12), ("xeon-gold", 12), ("RTX 2080 Ti", 12), ("x", 0)]
)
def test_published_points_are_drawn_for_the_paper_s_devices(device: str, points: int) -> None:
    candidates = joined(device)
    answer = ask(candidates, [])
    (panel,) = panels(candidates, answer)
    values = [value for layer in panel["layer"] for value in layer["data"]["values"]]
    assert sum("published" in value.get("kind", "") for value in values) == points
    assert ("Published points" in str(plot_spec(candidates, answer)["title"])) == (points > 0)


def test_pointing_at_a_subnet_marks_it_on_every_device(tmp_path: Path, browser: Browser) -> None:
    candidates = joined("phone", "board")
    path = tmp_path / "p.html"
    write_plot(path, candidates, ask(candidates, [(15.0, 40.0)], top=1))
    browser.get(path.as_uri())
    rings = "//*[local-name()='path'][@stroke-width='2.5']"
    dots = WebDriverWait(browser, 30).until(
        lambda page: page.find_elements(By.CSS_SELECTOR, "g.mark-symbol.panel_0_marks path")
    )
    assert not browser.find_elements(By.XPATH, rings)
    ActionChains(browser).move_to_element(dots[0]).perform()
    WebDriverWait(browser, 10).until(lambda page: len(page.find_elements(By.XPATH, rings)) >= 2)


def test_units_are_counted_from_one() -> None:
    assert [each["unit"] for each in _unit_labels(COMPOFA)] == [f"unit {u}" for u in range(1, 6)]
