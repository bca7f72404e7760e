"""Block tables: read, added up, written, and fitted to tables of whole subnets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from compofa.common.errors import UserError
from compofa.profiler.block_tables.block_files import BlockTime, read_block_files, write_block_files
from compofa.profiler.block_tables.block_fit import fit_blocks
from compofa.profiler.block_tables.block_table import BlockTable, import_lut, read_block_table
from compofa.profiler.block_tables.slot_terms import block_totals
from compofa.supernet.graph import build_graph, graph_blocks
from compofa.supernet.space import Space
from compofa.supernet.spaces import SPACES, get_space

W12 = SPACES["compofa-w1.2"]


@pytest.fixture(scope="module")
def note10(reference: Path) -> BlockTable:
    """The published table of the Note10: width 1.2, 17 resolutions."""
    return read_block_table(reference / "note10_lut")


def made_up(space: Space, resolution: int = 160) -> dict[int, dict[str, BlockTime]]:
    """A block time for every block that subnets of an enumerable space have."""
    keys = {
        block.key
        for subnet in space.enumerate()
        for block in graph_blocks(space, subnet, resolution)
    }
    ordered = enumerate(sorted(keys), start=1)
    return {resolution: {key: BlockTime(0.01 * i, 0.001 * i, 50 + i) for i, key in ordered}}


def test_every_published_cell_is_the_sum_of_its_blocks(reference: Path, note10: BlockTable) -> None:
    table = import_lut(reference / "note10_lut", W12, "note10")
    assert len(table.rows) == 243 * 5
    for row in table.rows:
        blocks = graph_blocks(W12, W12.parse(row.cell.subnet), row.cell.resolution)
        times = note10.blocks[row.cell.resolution]
        expected = sum(times[block.key].mean_ms for block in blocks)
        assert row.latency_ms == pytest.approx(expected, abs=1e-9)


def test_the_published_cells_span_10_to_60_ms(reference: Path) -> None:
    rows = import_lut(reference / "note10_lut", W12, "note10").rows
    first = min(rows, key=lambda row: row.latency_ms or 0)
    last = max(rows, key=lambda row: row.latency_ms or 0)
    assert (first.cell.subnet, first.cell.resolution) == ("d22222", 160)
    assert first.latency_ms == pytest.approx(10.269, abs=5e-4)
    assert last.latency_ms == pytest.approx(60.50, abs=5e-3)


def test_a_sum_of_blocks_is_called_a_prediction_without_an_interval(reference: Path) -> None:
    row = import_lut(reference / "note10_lut", W12, "note10").rows[0]
    assert (row.source, row.ci_low_ms, row.n_runs) == ("predicted", None, 0)


def test_published_files_are_written_again_byte_for_byte(
    reference: Path, note10: BlockTable, tmp_path: Path
) -> None:
    write_block_files(tmp_path, note10.blocks)
    published = {p.name: p.read_bytes() for p in (reference / "note10_lut").iterdir()}
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == published


def test_blocks_of_another_width_are_never_charged(note10: BlockTable) -> None:
    w10 = SPACES["compofa"]
    with pytest.raises(UserError) as caught:
        note10.latency(w10, w10.enumerate()[0], 160)
    message = str(caught.value)
    assert "160_lookup_table.yaml: space compofa needs block Conv-input:160x160x3" in message
    assert "its blocks are those of compofa-w1.2, compofa-elastic-w1.2, ofa-mbv3-w1.2" in message
    with pytest.raises(UserError, match="space compofa needs block"):
        note10.latencies(w10, w10.enumerate(), 160)


def test_a_resolution_that_was_not_measured_is_named(note10: BlockTable) -> None:
    with pytest.raises(UserError, match=r"no resolution 161 \(it has 160, 164"):
        note10.latency(W12, W12.enumerate()[0], 161)


def test_many_subnets_at_once_cost_what_each_costs_alone(note10: BlockTable) -> None:
    space, rng = SPACES["ofa-mbv3-w1.2"], np.random.default_rng(0)
    subnets = [space.sample(rng) for _ in range(50)]
    alone = [note10.latency(space, subnet, 192) for subnet in subnets]
    np.testing.assert_allclose(note10.latencies(space, subnets, 192), alone, rtol=1e-12)


@pytest.mark.parametrize(
    "name", ["ofa-mbv3", "compofa-elastic", "ofa-proxyless-w1.3", "ofa-resnet50"]
)
def test_block_totals_are_those_of_the_graph(name: str) -> None:
    space, rng = SPACES[name], np.random.default_rng(1)
    subnets = [space.sample(rng) for _ in range(20)]
    macs = block_totals(space, subnets, 176, lambda block: block.macs)
    assert macs.tolist() == [build_graph(space, subnet, 176).macs for subnet in subnets]


def test_a_resnet_space_is_added_up_too(tmp_path: Path) -> None:
    space = SPACES["compofa-resnet50"]
    write_block_files(tmp_path, made_up(space))
    table = import_lut(tmp_path, space, "gpu")
    assert len(table.rows) == space.size
    assert all(row.latency_ms and row.latency_ms > 0 for row in table.rows)


def test_a_space_too_large_to_list_is_refused(reference: Path) -> None:
    with pytest.raises(UserError, match="too many to list"):
        import_lut(reference / "note10_lut", get_space("ofa-mbv3-w1.2"), "note10")


def test_resolutions_can_be_chosen(reference: Path) -> None:
    table = import_lut(reference / "note10_lut", W12, "note10", [164, 220])
    assert sorted({row.cell.resolution for row in table.rows}) == [164, 220]


def test_a_table_without_the_spaces_resolutions_asks_for_a_choice(tmp_path: Path) -> None:
    write_block_files(tmp_path, made_up(W12, 100))
    with pytest.raises(UserError, match=r"has resolutions 100; space compofa-w1\.2 uses 160"):
        import_lut(tmp_path, W12, "note10")


BLOCK = "Conv-input:4x4x3-output:2x2x8:\n  count: 3\n  mean: 1.5\n  std: 0.5\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ": the block table is empty"),
        ("- 1\n- 2\n", ":1: expected a mapping of blocks to mean, std and count"),
        ("a: 3\n", ":1: expected a mapping of blocks to mean, std and count"),
        ("[1, 2]: {mean: 1}\n", ":1: a key must be plain text"),
        (BLOCK + BLOCK, ":5: 'Conv-input:4x4x3-output:2x2x8' is given twice"),
        (BLOCK.replace("mean: 1.5", "mean: .nan"), ":3: mean must be a finite number, not '.nan'"),
        (BLOCK.replace("mean: 1.5", "mean: nan"), ":3: mean must be a finite number, not 'nan'"),
        (BLOCK.replace("mean: 1.5", "mean: -1"), ":3: mean must not be negative, as -1.0 is"),
        (BLOCK.replace("count: 3", "count: 2.5"), ":2: count must be a whole number"),
        (BLOCK.replace("std: 0.5", "std: [1]"), ":4: std must be plain text"),
        (BLOCK.replace("  std: 0.5\n", ""), ":1: block 'Conv-input:4x4x3-output:2x2x8' has no std"),
        (BLOCK + "  max: 3\n", ":5: expected mean, std and count, not 'max'"),
        (BLOCK + "  mean: 3\n", ":5: 'mean' is given twice"),
        (BLOCK + "b: {mean: ]\n", ":5: not valid YAML"),
        ("a: !!python/object/apply:os.getcwd []\n", ":1: expected a mapping"),
        ("[" * 1_000_000, ":1: expected a mapping"),
        ("a: " + "[" * 1_000_000, ":1: expected a mapping"),
        ("a: &a {mean: 1, std: 1, count: 1}\nb: *a\n", ":2: expected a mapping"),
        (BLOCK + "---\n" + BLOCK, ":6: a block table is one YAML document"),
    ],
)
def test_a_bad_file_is_named_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "160_lookup_table.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        read_block_table(tmp_path)
    message = str(caught.value)
    assert "\n" not in message
    place, _, rest = said[1:].partition(" ")
    assert message.startswith(f"{path}:{place}")
    assert rest in message


def test_a_file_that_is_not_utf8_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "160_lookup_table.yaml").write_bytes(BLOCK.encode() + b"\xff")
    with pytest.raises(UserError, match=r"160_lookup_table\.yaml:5: not UTF-8 text"):
        read_block_table(tmp_path)


def test_a_folder_without_block_tables_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.yaml").write_text(BLOCK)
    with pytest.raises(UserError, match="no block table in this folder"):
        read_block_files(tmp_path)
    with pytest.raises(UserError, match="cannot read the block table: no such file"):
        read_block_files(tmp_path / "none")


def test_fitted_blocks_reproduce_an_additive_table_and_predict_unseen_subnets(
    tmp_path: Path,
) -> None:
    write_block_files(tmp_path, made_up(W12))
    whole = import_lut(tmp_path, W12, "phone")
    half = replace(whole, rows=whole.rows[::2])
    fit = fit_blocks(half, W12)
    assert fit.errors[160].max() < 1e-6
    fitted = BlockTable(tmp_path, fit.blocks)
    for row in whole.rows[1::2]:
        found = fitted.latency(W12, W12.parse(row.cell.subnet), 160)
        assert found == pytest.approx(row.latency_ms, rel=1e-5)


def test_fitted_blocks_say_how_far_from_additive_a_table_is(tmp_path: Path) -> None:
    write_block_files(tmp_path, made_up(W12))
    whole = import_lut(tmp_path, W12, "phone")
    first, *rest = whole.rows
    bent = replace(whole, rows=(replace(first, latency_ms=2 * (first.latency_ms or 0)), *rest))
    assert fit_blocks(bent, W12).errors[160].max() > 0.1


def test_fitted_blocks_are_not_negative_and_claim_no_spread(tmp_path: Path) -> None:
    write_block_files(tmp_path, made_up(W12))
    blocks = fit_blocks(import_lut(tmp_path, W12, "phone"), W12).blocks[160]
    assert blocks.keys() == made_up(W12)[160].keys()
    times = blocks.values()
    assert all(time.mean_ms >= 0 and time.std_ms == 0 and time.count > 0 for time in times)


def test_a_table_of_two_batch_sizes_is_not_fitted(tmp_path: Path) -> None:
    write_block_files(tmp_path, made_up(W12))
    first, *rest = import_lut(tmp_path, W12, "phone").rows
    mixed = replace(first, cell=replace(first.cell, batch_size=8))
    table = import_lut(tmp_path, W12, "phone")
    with pytest.raises(UserError, match="batch sizes 1, 8, and a block table is of a single one"):
        fit_blocks(replace(table, rows=(mixed, *rest)), W12)
