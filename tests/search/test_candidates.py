"""Joining tables with accuracies: what is kept, what is left out and said, what is refused."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compofa.common.errors import UserError
from compofa.profiler.results.table import Table
from compofa.search.accuracy.accuracy import load_accuracy
from compofa.search.accuracy.sources import AccuracySource
from compofa.search.answer import ask
from compofa.search.candidates import Candidates, Latencies, common_space, join, load_latencies
from compofa.supernet.graph import build_graph
from compofa.supernet.spaces import SPACES
from rigs.tables import COMPOFA, make_table


@pytest.fixture(scope="module")
def shipped() -> AccuracySource:
    return load_accuracy(None, COMPOFA)


def named(table: Table, name: str = "t.csv") -> Latencies:
    return Latencies(Path(name), table)


def test_every_cell_with_a_latency_and_an_accuracy_is_a_candidate(shipped: AccuracySource) -> None:
    found = join([named(make_table())], COMPOFA, shipped)
    assert len(found) == 243 * 2
    assert found.latency_ms.shape == (486, 1)
    assert found.notes == ()


def test_failed_cells_are_never_chosen_and_unconverged_ones_are_marked(
    shipped: AccuracySource,
) -> None:
    table = make_table(resolutions=(160,))
    first, second, *rest = table.rows
    failed = replace(
        first, latency_ms=None, ci_low_ms=None, ci_high_ms=None, p90_ms=None, status="failed"
    )
    rows = (failed, replace(second, status="unconverged"), *rest)
    found = join([named(replace(table, rows=rows))], COMPOFA, shipped)
    assert failed.cell not in found.cells
    fastest = ask(found, [(second.latency_ms or 0.0,)]).results
    statuses = {each.subnet: each.status for each in fastest}
    assert statuses[second.cell.subnet] == ("unconverged",)


def test_a_table_whose_cells_all_failed_is_refused(shipped: AccuracySource) -> None:
    table = make_table(resolutions=(160,))
    rows = tuple(
        replace(row, latency_ms=None, ci_low_ms=None, ci_high_ms=None, status="failed")
        for row in table.rows
    )
    with pytest.raises(UserError, match=r"t\.csv: every cell of the table failed"):
        join([named(replace(table, rows=rows))], COMPOFA, shipped)


def test_cells_at_resolutions_without_accuracies_are_left_out_by_name(
    shipped: AccuracySource,
) -> None:
    found = join([named(make_table(resolutions=(128, 160, 172)))], COMPOFA, shipped)
    assert {cell.resolution for cell in found.cells} == {160}
    (note,) = found.notes
    assert note.startswith("486 cells were left out: no accuracy is known at resolutions 128, 172")
    assert "covers 160, 176, 192, 208, 224" in note


@pytest.mark.parametrize("resolution", [128, 172])
def test_a_table_of_nothing_else_is_refused(shipped: AccuracySource, resolution: int) -> None:
    with pytest.raises(UserError, match=f"no accuracy is known at resolution {resolution} "):
        join([named(make_table(resolutions=(resolution,)))], COMPOFA, shipped)


def test_several_batch_sizes_need_a_choice(shipped: AccuracySource) -> None:
    one, eight = make_table(resolutions=(160,)), make_table(resolutions=(160,), batch_size=8)
    both = named(replace(one, rows=one.rows + eight.rows))
    with pytest.raises(UserError, match=r"batch sizes 1, 8 \(choose one with --batch-size\)"):
        join([both], COMPOFA, shipped)
    found = join([both], COMPOFA, shipped, batch_size=8)
    assert {cell.batch_size for cell in found.cells} == {8}
    with pytest.raises(UserError, match=r"no cells of batch size 4 \(it has 1, 8\)"):
        join([both], COMPOFA, shipped, batch_size=4)


def test_resolutions_can_be_chosen_and_must_exist(shipped: AccuracySource) -> None:
    found = join([named(make_table())], COMPOFA, shipped, resolutions=[224])
    assert {cell.resolution for cell in found.cells} == {224}
    with pytest.raises(UserError, match=r"no cells of resolution 192 \(it has 160, 224\)"):
        join([named(make_table())], COMPOFA, shipped, resolutions=[192])


def test_several_tables_are_joined_cell_by_cell(shipped: AccuracySource) -> None:
    phone, board = make_table(), make_table("board", resolutions=(224, 192), factor=3)
    found = join([named(phone), named(board, "b.csv")], COMPOFA, shipped)
    assert {cell.resolution for cell in found.cells} == {224}
    np.testing.assert_allclose(found.latency_ms[:, 1], 3 * found.latency_ms[:, 0])
    assert found.notes == ("243 cells are not in every table and were left out",)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (make_table(resolutions=(192,)), "b.csv: the table has resolution 192, but t.csv has 160"),
        (make_table(batch_size=8), "b.csv: the table has batch size 8, but t.csv has 1"),
    ],
)
def test_tables_with_nothing_in_common_are_told_apart(
    shipped: AccuracySource, other: Table, said: str
) -> None:
    with pytest.raises(UserError) as caught:
        join([named(make_table()), named(other, "b.csv")], COMPOFA, shipped)
    assert said in str(caught.value)


def test_a_key_of_another_space_is_named(shipped: AccuracySource) -> None:
    table = make_table()
    row = table.rows[0]
    wrong = replace(row, cell=replace(row.cell, subnet="d99999"))
    with pytest.raises(UserError, match=r"t\.csv: 'd99999' is not a subnet of space compofa"):
        join([named(replace(table, rows=(wrong,)))], COMPOFA, shipped)


def test_the_space_is_the_tables_own() -> None:
    assert common_space([named(make_table())], None) is COMPOFA


@pytest.mark.parametrize(
    ("spaces", "chosen", "said"),
    [
        (["compofa", "compofa-w1.2"], None, "1.csv: the table is of space compofa-w1.2, but 0.csv"),
        (["mine"], None, "0.csv: unknown space 'mine' (a space of your own is given as --space"),
        (["compofa"], "compofa-w1.2", "0.csv: the table is of space compofa, not compofa-w1.2"),
    ],
)
def test_tables_of_different_spaces_are_refused(
    spaces: list[str], chosen: str | None, said: str
) -> None:
    tables = [named(make_table(space=name), f"{i}.csv") for i, name in enumerate(spaces)]
    with pytest.raises(UserError) as caught:
        common_space(tables, SPACES[chosen] if chosen else None)
    assert said in str(caught.value)


def test_a_table_of_several_spaces_needs_a_choice() -> None:
    one, two = make_table(), make_table(space="compofa-w1.2")
    both = named(replace(one, rows=one.rows + two.rows))
    with pytest.raises(UserError, match="holds spaces compofa, compofa-w1"):
        common_space([both], None)
    assert common_space([both], SPACES["compofa-w1.2"]).name == "compofa-w1.2"


def test_a_folder_of_block_tables_serves_as_a_table(reference: Path) -> None:
    folder, space = reference / "note10_lut", SPACES["compofa-w1.2"]
    found = load_latencies(folder, space)
    assert (found.device, len(found.table.rows)) == ("note10_lut", 1215)
    with pytest.raises(UserError, match="does not say which space"):
        load_latencies(folder, None)


def test_macs_and_parameters_are_those_of_the_graph(shipped: AccuracySource) -> None:
    found = join([named(make_table())], COMPOFA, shipped)
    macs = found.block_totals(lambda block: block.macs)
    params = found.block_totals(lambda block: block.params)
    for i in range(0, len(found), 37):
        cell = found.cells[i]
        graph = build_graph(COMPOFA, COMPOFA.parse(cell.subnet), cell.resolution)
        assert (macs[i], params[i]) == (graph.macs, graph.params)


@settings(deadline=None)
@given(st.sets(st.integers(0, 242)))
def test_keeping_some_keeps_their_values(chosen: set[int]) -> None:
    whole, where = _whole(), sorted(chosen)
    kept = whole.keep(np.isin(np.arange(243), where))
    assert kept.cells == tuple(whole.cells[i] for i in where)
    assert kept.top1.tolist() == whole.top1[where].tolist()
    assert [row.cell for row in kept.rows[0]] == list(kept.cells)


@cache
def _whole() -> Candidates:
    table = named(make_table(resolutions=(160,)))
    return join([table], COMPOFA, load_accuracy(None, COMPOFA))
