"""`compofa-profile import-lut` and `export-lut`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from compofa.common.errors import UserError
from compofa.profiler.block_tables.block_files import BlockTime, write_block_files
from compofa.profiler.commands.lut_commands import export_lut_command, import_lut_command
from compofa.profiler.results.table import read_table, write_table
from compofa.supernet.graph import graph_blocks
from compofa.supernet.spaces import SPACES

W12 = SPACES["compofa-w1.2"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A block table of `compofa-w1.2` at two resolutions; every block takes 1 ms."""
    blocks = {
        resolution: {
            block.key: BlockTime(1.0, 0.1, 9)
            for subnet in W12.enumerate()
            for block in graph_blocks(W12, subnet, resolution)
        }
        for resolution in (160, 224)
    }
    write_block_files(tmp_path / "lut", blocks)
    return tmp_path / "lut"


def test_import_writes_a_table_of_every_subnet(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "t.csv"
    import_lut_command(folder, "compofa-w1.2", "phone", out)
    assert len(read_table(out).rows) == 243 * 2
    # Stem, first block, 10 to 20 elastic blocks and a head of four.
    assert capsys.readouterr().out == (
        f"{out}: 486 cells, 16.000 ms (d22222 at 160) to 26.000 ms (d44444 at 224)\n"
    )


def test_import_takes_chosen_resolutions_and_prints_json(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "t.csv"
    import_lut_command(folder, "compofa-w1.2", "phone", out, resolutions="224", json_=True)
    assert json.loads(capsys.readouterr().out) == {
        "table": str(out), "cells": 243, "fastest_ms": 16.0, "slowest_ms": 26.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("space", "device", "resolutions", "said"),
    [
        ("compofa", "phone", None, "space compofa needs block"),
        ("compfa", "phone", None, "did you mean 'compofa'"),
        ("compofa-w1.2", "pho\nne", None, "the device's name holds characters that do not print"),
        ("compofa-w1.2", "", None, "the device's name is empty"),
        ("compofa-w1.2", "phone", "161", "no resolution 161"),
        ("compofa-w1.2", "phone", "160;224", "--resolutions must be a list of sizes"),
    ],
)
def test_import_refuses_what_it_cannot_do_and_writes_nothing(
    folder: Path, tmp_path: Path, space: str, device: str, resolutions: str | None, said: str
) -> None:
    with pytest.raises(UserError) as caught:
        import_lut_command(folder, space, device, tmp_path / "t.csv", resolutions)
    assert said in str(caught.value)
    assert not (tmp_path / "t.csv").exists()


def test_export_of_a_block_table_is_the_same_table(folder: Path, tmp_path: Path) -> None:
    export_lut_command(folder, tmp_path / "again")
    before, after = (
        {path.name: path.read_bytes() for path in place.iterdir()}
        for place in (folder, tmp_path / "again")
    )
    assert before
    assert after == before


def test_export_of_whole_subnets_can_be_imported_with_the_same_latencies(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import_lut_command(folder, "compofa-w1.2", "phone", tmp_path / "t.csv")
    export_lut_command(tmp_path / "t.csv", tmp_path / "fitted")
    assert (
        "at 160, sums of blocks differ from the table by at most 0.00%" in capsys.readouterr().out
    )
    import_lut_command(tmp_path / "fitted", "compofa-w1.2", "phone", tmp_path / "u.csv")
    before, after = read_table(tmp_path / "t.csv").rows, read_table(tmp_path / "u.csv").rows
    for row, again in zip(before, after, strict=True):
        assert again.latency_ms == pytest.approx(row.latency_ms, rel=1e-6)


def test_export_says_in_json_how_well_the_blocks_fit(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import_lut_command(folder, "compofa-w1.2", "phone", tmp_path / "t.csv", "160", json_=True)
    capsys.readouterr()
    export_lut_command(tmp_path / "t.csv", tmp_path / "fitted", json_=True)
    said = json.loads(capsys.readouterr().out)
    assert said["blocks"].keys() == {"160"}
    assert 0 <= said["largest_relative_error"]["160"] < 1e-6


def test_export_of_several_spaces_asks_which(folder: Path, tmp_path: Path) -> None:
    import_lut_command(folder, "compofa-w1.2", "phone", tmp_path / "t.csv")
    path = tmp_path / "t.csv"
    text = path.read_text().replace(",compofa-w1.2,d22222,", ",compofa,d22222,")
    path.write_text(text)
    with pytest.raises(
        UserError, match=r"holds several spaces: compofa, compofa-w1\.2 \(choose with --space\)"
    ):
        export_lut_command(path, tmp_path / "fitted")


def test_export_to_a_place_that_is_a_file_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot make the folder: file exists"):
        export_lut_command(folder, tmp_path / "file")


def test_the_table_of_a_measured_device_is_exported_too(folder: Path, tmp_path: Path) -> None:
    import_lut_command(folder, "compofa-w1.2", "phone", tmp_path / "t.csv")
    table = read_table(tmp_path / "t.csv")
    write_table(tmp_path / "some.csv", type(table)(table.setup, table.rows[:40]))
    export_lut_command(tmp_path / "some.csv", tmp_path / "fitted", space="compofa-w1.2")
    assert [path.name for path in (tmp_path / "fitted").iterdir()] == ["160_lookup_table.yaml"]
