"""The page of a comparison, used as a person uses it: mouse, keyboard, light and dark."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from selenium.webdriver import Chrome as Browser
from selenium.webdriver import Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

from compofa.profiler.comparison.changes import compare_tables
from compofa.profiler.comparison.formats.comparison_page import render_comparison_page
from compofa.profiler.comparison.verdict import Compared, Report
from compofa.profiler.results.table import Cell
from compofa.profiler.statistics.compare import Ratio, Verdict

from .conftest import CELLS, FRONT, MakeSide

Open = Callable[[Report], Browser]
ATTACK = "</script><script>alert('x')</script><img src=x onerror=alert(1)>"


@pytest.fixture
def two_devices(report: Report, side: MakeSide) -> Report:
    """A phone on which a cell became slower, and a board on which nothing changed."""
    board = compare_tables(side(3, device="board"), side(4, device="board"))
    return Report((*report.devices, Compared(board, FRONT)), ("gone.csv",))


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    def open_page(report: Report) -> Browser:
        (tmp_path / "page.html").write_text(render_comparison_page(report))
        browser.get((tmp_path / "page.html").as_uri())
        WebDriverWait(browser, 30).until(lambda page: theme(page) is not None)
        return browser

    yield open_page
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def theme(page: Browser) -> str | None:
    """The theme in which the pictures are drawn; None while they are not."""
    return page.find_element(By.TAG_NAME, "html").get_attribute("data-drawn")


def column(page: Browser, number: int) -> list[str]:
    rows = page.find_elements(By.CSS_SELECTOR, "#table tbody tr")
    return [row.find_elements(By.CSS_SELECTOR, "td, th")[number].text for row in rows]


def focused(page: Browser) -> WebElement:
    return page.switch_to.active_element


def test_the_page_opens_with_the_verdict_and_the_slowest_cells(
    two_devices: Report, opened: Open
) -> None:
    page = opened(two_devices)
    assert page.find_element(By.TAG_NAME, "h1").text.startswith("Slower: on phone, board")
    assert len(page.find_elements(By.CSS_SELECTOR, "figure svg.marks")) == 4
    assert "could not be drawn" not in page.page_source.partition("application/json")[0]
    assert column(page, 1)[0] == CELLS[0].subnet
    assert column(page, 9)[0] == "slower"
    assert page.get_log("browser") == []


def test_a_click_on_a_heading_sorts_and_another_turns_it_round(
    two_devices: Report, opened: Open
) -> None:
    page = opened(two_devices)
    head = page.find_elements(By.CSS_SELECTOR, "#table thead th")[4]
    for direction, wanted in (("ascending", False), ("descending", True)):
        head.find_element(By.TAG_NAME, "button").click()
        assert head.get_attribute("aria-sort") == direction
        latencies = [float(text) for text in column(page, 4)]
        assert latencies == sorted(latencies, reverse=wanted)


def test_cells_are_filtered_and_sorted_with_keys_alone(two_devices: Report, opened: Open) -> None:
    page = opened(two_devices)
    page.execute_script("document.querySelector('a[href=\"#all-cells\"]').focus()")
    focused(page).send_keys(Keys.ENTER)
    while focused(page).get_attribute("name") != "text":
        focused(page).send_keys(Keys.TAB)
    focused(page).send_keys(CELLS[0].subnet)
    assert column(page, 1) == [CELLS[0].subnet] * 2
    assert "2 of 2 cells" in page.find_element(By.ID, "shown").text
    focused(page).send_keys(Keys.TAB, "b")
    assert focused(page).get_attribute("name") == "device"
    focused(page).send_keys("board")
    assert column(page, 0) == ["board"]
    while focused(page).get_attribute("data-column") != "4":
        focused(page).send_keys(Keys.TAB)
    focused(page).send_keys(Keys.SPACE)
    head = page.find_elements(By.CSS_SELECTOR, "#table thead th")[4]
    assert head.get_attribute("aria-sort") == "ascending"


def test_a_verdict_can_be_chosen(two_devices: Report, opened: Open) -> None:
    page = opened(two_devices)
    Select(page.find_element(By.NAME, "verdict")).select_by_visible_text("faster")
    WebDriverWait(page, 10).until(lambda page: column(page, 9) == ["faster"])


@pytest.mark.parametrize("wanted", ["light", "dark"])
def test_the_page_follows_the_system_s_theme(report: Report, opened: Open, wanted: str) -> None:
    page = opened(report)
    media = {"features": [{"name": "prefers-color-scheme", "value": wanted}]}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    WebDriverWait(page, 30).until(lambda page: theme(page) == wanted)
    background = page.find_element(By.TAG_NAME, "body").value_of_css_property("background-color")
    first = re.search(r"\d+", background)
    assert first is not None
    assert (int(first[0]) > 128) == (wanted == "light")


def full(report: Report, devices: int, cells: int) -> Report:
    (compared,) = report.devices
    first = compared.changes.cells[0]
    many = tuple(
        replace(
            first,
            cell=Cell("compofa", f"d{i % 5}2{i % 3}44", 160 + i % 5 * 16, 1),
            ratio=Ratio(1.01234 + i / 1e5, 0.9876, 1.0345, 1.0, Verdict.CANNOT_TELL),
        )
        for i in range(cells)
    )
    changes = replace(compared.changes, cells=many)
    points = tuple((10.123 + i / 7, 0.71234 + i / 1e3) for i in range(80))
    front = replace(FRONT, base=points, new=points)
    return Report((Compared(changes, front),) * devices)


def test_ten_devices_of_1215_cells_stay_under_2_mb_and_are_shown_a_hundred_at_a_time(
    report: Report, opened: Open
) -> None:
    large = full(report, 10, 1215)
    assert len(render_comparison_page(large).encode()) < 2_000_000
    page = opened(large)
    assert len(column(page, 1)) == 100
    page.find_element(By.ID, "more").click()
    assert "600 of 12150 cells shown" in page.find_element(By.ID, "shown").text


def test_names_cannot_break_out_of_the_page(report: Report, opened: Open) -> None:
    (compared,) = report.devices
    changes = compared.changes
    first, *rest = changes.cells
    evil = replace(first, cell=replace(first.cell, subnet=ATTACK))
    table = replace(changes.new.table, setup=replace(changes.new.table.setup, device=ATTACK))
    changes = replace(changes, cells=(evil, *rest), new=replace(changes.new, table=table))
    spoilt = Report((Compared(changes, FRONT),), (ATTACK,))
    html = render_comparison_page(spoilt)
    assert "<script>alert" not in html
    assert not re.search(r"""(src|href)\s*=\s*["'`]?(https?:)?//""", html)
    page = opened(spoilt)
    assert column(page, 1)[0] == ATTACK
    assert page.find_elements(By.TAG_NAME, "img") == []
