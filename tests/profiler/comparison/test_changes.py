"""Verdicts on two tables."""

from __future__ import annotations

import re

import pytest

from compofa.common.errors import UserError
from compofa.profiler.comparison.changes import Changes, compare_tables
from compofa.profiler.comparison.formats.screen import render_screen
from compofa.profiler.comparison.sentences import device_headline
from compofa.profiler.comparison.verdict import Compared, Report
from compofa.profiler.results.table import Cell
from compofa.profiler.statistics.compare import Verdict

from .conftest import CELLS, MakeSide


def test_a_slower_cell_is_found_and_the_slower_host_is_not_its_fault(changes: Changes) -> None:
    assert [each.cell for each in changes.of(Verdict.SLOWER)] == [CELLS[0]]
    assert [each.cell for each in changes.of(Verdict.FASTER)] == [CELLS[1]]
    assert changes.verdict is Verdict.SLOWER
    assert changes.device is not None
    assert changes.device.reference_ratio == pytest.approx(1.06, rel=0.01)
    assert changes.cells[0].ratio.value == pytest.approx(1.08, rel=0.01)
    assert changes.overall.value == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("host", [0.98, 1.0, 1.02])
def test_the_same_networks_on_another_day_are_the_same(side: MakeSide, host: float) -> None:
    assert compare_tables(side(1), side(2, host=host)).verdict is Verdict.SAME


@pytest.mark.parametrize(("host", "said"), [(0.8, r"-20\.\d"), (1.3, r"\+29\.\d")])
def test_how_far_networks_covary_with_quite_another_device_is_not_known(
    side: MakeSide, host: float, said: str
) -> None:
    found = compare_tables(side(1), side(2, host=host))
    assert found.verdict is Verdict.CANNOT_TELL
    assert found.overall.low < 1 < found.overall.high
    meanwhile = rf"the device changed by {said} % meanwhile$"
    assert re.search(meanwhile, device_headline(Compared(found, None)))


def test_noise_that_hides_a_change_is_said(side: MakeSide) -> None:
    new = side(2, noise=0.05, changed={CELLS[0]: 1.08})
    assert compare_tables(side(1, noise=0.05), new).verdict is Verdict.CANNOT_TELL


def test_changes_below_the_smallest_effect_do_not_count(side: MakeSide) -> None:
    new = side(2, changed={CELLS[0]: 1.02})
    assert compare_tables(side(1), new, min_effect=0.05).verdict is Verdict.SAME
    assert compare_tables(side(1), new, min_effect=0.005).verdict is not Verdict.SAME


def test_a_cell_that_can_no_longer_be_measured_is_a_regression(side: MakeSide) -> None:
    found = compare_tables(side(1), side(2, failed=CELLS[:1]))
    assert found.broken == CELLS[:1]
    assert found.verdict is Verdict.SLOWER


def test_cells_of_one_side_are_named_and_not_compared(side: MakeSide) -> None:
    found = compare_tables(side(1, cells=CELLS[:8]), side(2, cells=CELLS[1:]))
    assert found.missing == CELLS[:1]
    assert found.added == CELLS[8:]
    assert {each.cell for each in found.cells} == set(CELLS[1:8])


def test_set_ups_that_differ_are_refused_by_name(side: MakeSide) -> None:
    with pytest.raises(UserError, match=r"of different set-ups: cpu is 'Paper' and 'Other'") as hit:
        compare_tables(side(1), side(2, cpu="Other"))
    assert hit.value.hint == "if that is intended, add --allow-different cpu"
    with pytest.raises(UserError, match="--allow-different speed: the tables record nothing"):
        compare_tables(side(1), side(2), allowed=["speed"])


def test_a_difference_that_is_the_point_is_not_taken_off(side: MakeSide) -> None:
    """A new runtime slows the reference as well: relative to it, nothing would have changed."""
    new = side(2, host=1.2, runtime_version="1.3", runtime_sha256="b")
    base = side(1, runtime_sha256="a")
    found = compare_tables(base, new, allowed=["runtime_version"])
    assert found.device is None
    assert found.verdict is Verdict.SLOWER
    assert found.overall.value == pytest.approx(1.2, rel=0.01)
    assert set(found.differences) == {"runtime_version", "runtime_sha256"}


def test_tables_without_journals_are_compared_by_their_intervals(side: MakeSide) -> None:
    base = side(1, journal=False)
    assert compare_tables(base, side(2, journal=False)).verdict is Verdict.SAME
    slower = compare_tables(base, side(2, journal=False, changed={CELLS[0]: 1.08}))
    assert [each.cell for each in slower.of(Verdict.SLOWER)] == [CELLS[0]]


def test_tables_without_a_common_cell_are_refused(side: MakeSide) -> None:
    with pytest.raises(UserError, match="no cell was measured in both"):
        compare_tables(side(1, cells=CELLS[:4]), side(2, cells=CELLS[4:]))


@pytest.mark.parametrize(("slower", "more"), [(20, None), (21, "... and 1 more"), (9, None)])
def test_the_screen_shows_twenty_changes_and_counts_the_rest(
    side: MakeSide, slower: int, more: str | None
) -> None:
    keys = [f"d{a}{b}{c}22" for a in "234" for b in "234" for c in "234"]
    cells = tuple(Cell("compofa", key, 160, 1) for key in keys)
    new = side(2, cells=cells, changed=dict.fromkeys(cells[:slower], 1.2))
    changes = compare_tables(side(1, cells=cells), new)
    lines = render_screen(Report((Compared(changes, None),))).splitlines()
    assert sum(line.startswith("slower") for line in lines) == min(slower, 20)
    assert [line for line in lines if line.startswith("...")] == ([] if more is None else [more])
