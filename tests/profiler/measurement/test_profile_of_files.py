"""Profiles of the user's own model files: the rows, and what becomes of bad files."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from compofa.common.errors import UserError
from compofa.profiler.commands.selftest_command import selftest_cells
from compofa.profiler.measurement.device_access import TimeLimits
from compofa.profiler.measurement.plan import PlanSize
from compofa.profiler.measurement.profile import Outcome, ProfileRequest, profile
from compofa.profiler.measurement.progress import Display
from compofa.profiler.measurement.remeasure import Remeasurement, remeasure
from compofa.profiler.models.collection import user_model_file
from compofa.profiler.models.collection.collection import Collection
from compofa.profiler.models.collection.find_models import collection_of, parse_shapes
from compofa.profiler.report.section import make_section
from compofa.profiler.report.table_page import render_page
from compofa.profiler.results.evidence import load_evidence
from compofa.profiler.results.journal import ModelLine, Timing, journal_path, of_kind, read_journal
from compofa.profiler.results.meta import meta_path
from compofa.profiler.results.table import Cell, read_table
from compofa.profiler.statistics.interval import Estimate
from compofa.profiler.transports.device import Device
from compofa.profiler.transports.local import LocalDevice
from rigs.model_files import (
    write_hungry,
    write_nan,
    write_onnx,
    write_strings,
    write_unknown_operator,
)
from rigs.protocols import QUICK

DEVICE = LocalDevice(name="here")


def measure(
    files: Sequence[Path] | Collection,
    out: Path,
    device: Device = DEVICE,
    display: Display | None = None,
    batch_sizes: tuple[int, ...] = (1,),
    measure: PlanSize = "auto",
) -> Outcome:
    asked = ProfileRequest(
        space=files if isinstance(files, Collection) else collection_of("files", files, []),
        resolutions=(),
        batch_sizes=batch_sizes,
        out=out,
        measure=measure,
        protocol=QUICK,
        patience_s=0,
    )
    return profile(device, asked, display or Display("here", quiet=True))


def failures(outcome: Outcome) -> dict[str, str]:
    """What failed, by the name of the model."""
    return {name.split("@")[0]: why for name, why in outcome.written.meta.failures.items()}


def test_every_file_is_a_row_at_each_batch_size(tmp_path: Path) -> None:
    fixed = write_onnx(tmp_path / "fixed.onnx")
    name = "any'; name \u00e9$(x)"
    dynamic = write_onnx(tmp_path / f"{name}.onnx", shape=("n", 3, 16, 16), external="w 1.bin")
    outcome = measure([fixed, dynamic], tmp_path / "here.csv", batch_sizes=(1, 4))
    table = read_table(tmp_path / "here.csv")
    assert [row.cell for row in table.rows] == [
        Cell("files", "fixed", 8, 1),
        Cell("files", name, 16, 1),
        Cell("files", name, 16, 4),
    ]
    assert all(row.source == "measured" and row.latency_ms for row in table.rows)
    assert table.extra == ("macs", "parameters", "weight_bytes")
    of_one = 4 * 3 * 9
    assert [row.extra for row in table.rows] == [
        (of_one * 8 * 8, of_one, 4 * of_one),
        (of_one * 16 * 16, of_one, 4 * of_one),
        (of_one * 16 * 16 * 4, of_one, 4 * of_one),
    ]
    told = outcome.written.meta.models["fixed@8x1"]
    assert told.inputs == ("image=1,3,8,8 float32", "shift=1,1,1,1 float32")
    assert told.checked_with == "onnxruntime on this computer"


def test_bad_files_are_failed_rows_and_the_rest_is_measured(tmp_path: Path) -> None:
    good = write_onnx(tmp_path / "good.onnx")
    (tmp_path / "junk.onnx").write_text("no model at all")
    (tmp_path / "cut.onnx").write_bytes(good.read_bytes()[:-60])
    os.truncate(os.open(tmp_path / "huge.onnx", os.O_CREAT | os.O_WRONLY), 8 << 30)
    write_unknown_operator(tmp_path / "operator.onnx")
    write_strings(tmp_path / "strings.onnx")
    write_nan(tmp_path / "nan.onnx")
    write_hungry(tmp_path / "hungry.onnx")
    write_onnx(tmp_path / "open.onnx", shape=(1, 3, "h", "w"))
    outcome = measure(collection_of("files", [], [tmp_path]), tmp_path / "here.csv")
    rows = {row.cell.subnet: row for row in read_table(tmp_path / "here.csv").rows}
    assert rows["good"].status in ("ok", "unconverged")
    assert {name for name, row in rows.items() if row.status == "failed"} == {*rows} - {"good"}
    said = failures(outcome)
    expected = {
        "junk": "no ONNX file",
        "cut": "no ONNX file",
        "huge": "larger than 4 GB",
        "operator": "cannot load the model: .*Frobnicate",
        "strings": "the input x is of type string, which cannot be drawn",
        "nan": "4 of the 4 values of the output y are not finite",
        "hungry": "cannot run the model: .*llocat",
        "open": r"the size of image=1,3,\?,\? is left open .* --input-shape image=",
    }
    for name, pattern in expected.items():
        assert re.search(pattern, said[name]), said[name]
        assert "\n" not in said[name]
        assert str(tmp_path) not in said[name]


def test_where_no_file_can_be_measured_the_mistake_is_told(tmp_path: Path) -> None:
    path = write_strings(tmp_path / "strings.onnx")
    with pytest.raises(UserError, match="of type string"):
        measure([path], tmp_path / "here.csv")
    assert not (tmp_path / "here.csv").exists()


def test_a_slow_model_is_given_up_after_one_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_model_file, "LONGEST_RUN_S", 1e-9)
    outcome = measure([write_onnx(tmp_path / "slow.onnx")], tmp_path / "here.csv")
    assert "a run takes" in failures(outcome)["slow"]


def test_two_models_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    paths = [write_onnx(tmp_path / "a.onnx"), write_onnx(tmp_path / "b" / "a.onnx")]
    with pytest.raises(UserError, match="two models are called a"):
        collection_of("files", paths, [])


class Tampering(Display):
    """Does something as soon as a cell of a second session begins."""

    def __init__(self, act: Callable[[], object]) -> None:
        super().__init__("here", quiet=True)
        self._act, self._session = act, 0

    def session(self, number: int, expected: int, cells: int, what: str = "session") -> None:
        self._session = number

    def cell(self, cell: Cell, estimate: Estimate | None) -> None:
        if self._session == 2:
            self._act()


def test_a_file_that_changes_is_a_failed_row_until_it_is_measured_anew(tmp_path: Path) -> None:
    changing, steady = (write_onnx(tmp_path / f"{name}.onnx") for name in ("changing", "steady"))
    first = changing.read_bytes()

    def change() -> None:
        write_onnx(changing, channels=6)

    outcome = measure([changing, steady], tmp_path / "here.csv", display=Tampering(change))
    assert "changing.onnx was changed while it was being measured" in failures(outcome)["changing"]
    rows = {row.cell.subnet: row for row in outcome.written.table.rows}
    assert rows["changing"].status == "failed"
    assert rows["steady"].n_sessions == 2
    kept = of_kind(read_journal(journal_path(tmp_path / "here.csv"))[1], Timing)
    assert any(timing.cell and timing.cell.subnet == "changing" for timing in kept)
    # What was measured of the earlier file does not count for the new one.
    outcome = measure([changing, steady], tmp_path / "here.csv")
    rows = {row.cell.subnet: row for row in outcome.written.table.rows}
    assert rows["changing"].n_sessions == 2
    assert rows["changing"].extra[1] == 6 * 3 * 9
    changing.write_bytes(first)


def test_a_profile_of_files_that_is_complete_measures_nothing_again(tmp_path: Path) -> None:
    files = [write_onnx(tmp_path / "a.onnx"), tmp_path / "junk.onnx"]
    files[1].write_text("no model")
    first = measure(files, tmp_path / "here.csv")
    lines = journal_path(tmp_path / "here.csv").read_bytes()
    second = measure(files, tmp_path / "here.csv")
    assert journal_path(tmp_path / "here.csv").read_bytes() == lines
    assert second.written.table == first.written.table


def test_a_table_of_files_chooses_what_is_measured(tmp_path: Path) -> None:
    paths = [write_onnx(tmp_path / f"{name}.onnx") for name in "abc"]
    base = measure(paths[:2], tmp_path / "base.csv")
    cells = tuple(row.cell for row in base.written.table.rows)
    new = measure(paths, tmp_path / "new.csv", measure=cells)
    assert [row.cell.subnet for row in new.written.table.rows] == ["a", "b"]
    with pytest.raises(UserError, match="b of files at 8, batch size 1, is not a cell"):
        measure(paths[:1], tmp_path / "other.csv", measure=cells)


def test_inputs_outputs_and_columns_of_the_users_own(tmp_path: Path) -> None:
    write_onnx(tmp_path / "net.onnx", shape=(1, 3, "h", "w"))
    image = np.ones((1, 3, 8, 8), np.float32)
    shift = np.full((1, 1, 1, 1), 0.5, np.float32)
    np.savez(tmp_path / "in.npz", image=image, shift=shift)
    np.savez(tmp_path / "bad.npz", sum=np.zeros((1, 4, 8, 8), np.float32), top=np.float32(0))
    manifest = tmp_path / "models.yaml"
    manifest.write_text(
        "right: {file: net.onnx, input_data: in.npz, columns: {mAP: 41.5}}\n"
        "wrong: {file: net.onnx, input_data: in.npz, expected: bad.npz}\n"
        "shaped: {file: net.onnx, inputs: {image: [1, 3, 12, 12]}}\n"
    )
    outcome = measure(collection_of("mine", [], [manifest]), tmp_path / "here.csv")
    table = read_table(tmp_path / "here.csv")
    rows = {row.cell.subnet: row for row in table.rows}
    assert rows["right"].cell == Cell("mine", "right", 8, 1)
    assert rows["shaped"].cell.resolution == 12
    assert dict(zip(table.extra, rows["right"].extra, strict=True))["mAP"] == 41.5
    assert "the output sum differs by" in failures(outcome)["wrong"]
    assert outcome.written.meta.models["wrong@8x1"].checked_with == "bad.npz"


def test_a_shape_that_fits_no_input_is_refused(tmp_path: Path) -> None:
    files = [write_onnx(tmp_path / f"{name}.onnx", shape=(1, 3, "h", "w")) for name in "ab"]
    given = collection_of("files", files, [])
    asked = given.with_options(parse_shapes(["imaje=1,3,8,8", "image=1,3,8,8"]))
    with pytest.raises(UserError, match=r"no model has an input 'imaje'"):
        measure(asked, tmp_path / "here.csv")
    outcome = measure(given.with_options(parse_shapes(["image=1,3,8,8"])), tmp_path / "here.csv")
    assert outcome.written.count("failed") == 0


def test_outputs_that_nothing_here_can_compute_are_said_to_be_unchecked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from compofa.profiler.models.collection import read_collection

    monkeypatch.setattr(read_collection, "host_runtime", lambda _: None)
    measure([write_onnx(tmp_path / "a.onnx")], tmp_path / "here.csv")
    meta = json.loads(meta_path(tmp_path / "here.csv").read_text())
    assert meta["models"]["a@8x1"]["checked_with"] == ""
    assert meta["caveats"] == [
        "a: its outputs were not checked: nothing on this computer runs ONNX files"
    ]


def test_a_file_for_another_runtime_says_which_would_take_it(tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(bytes(100))
    with pytest.raises(UserError, match=r"onnxruntime runs \.onnx files") as caught:
        measure([path], tmp_path / "here.csv")
    assert "tflite" in str(caught.value)
    assert "benchmark_model" in str(caught.value)


def test_the_journal_says_what_was_read_of_each_file(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "a.onnx")
    measure([path], tmp_path / "here.csv")
    (line,) = of_kind(read_journal(journal_path(tmp_path / "here.csv"))[1], ModelLine)
    assert (line.file, line.format, line.size) == ("a.onnx", "onnx", path.stat().st_size)
    assert replace(line, macs=None).parameters == 108


def test_models_of_a_table_are_measured_again_if_they_are_the_same(tmp_path: Path) -> None:
    paths = [write_onnx(tmp_path / f"{name}.onnx") for name in "ab"]
    table = tmp_path / "here.csv"
    measure(paths, table)
    given = collection_of("files", paths, [])
    cell = Cell("files", "a", 8, 1)

    def again(collection: Collection) -> int:
        wanted = Remeasurement(table, collection, [cell], lambda *_: True, 3)
        told = remeasure(DEVICE, wanted, Display("here", quiet=True), TimeLimits(patience_s=0))
        return {row.cell: row.n_sessions for row in told.table.rows}[cell]

    assert again(given) == 3
    with pytest.raises(UserError, match="with --models"):
        again(Collection("files", ()))
    with pytest.raises(UserError, match="a is not among the models"):
        again(collection_of("files", paths[1:], []))
    write_onnx(paths[0], channels=5)
    with pytest.raises(UserError, match="the file of a has changed since"):
        again(given)


def test_the_page_lists_the_models_and_what_they_cost(tmp_path: Path) -> None:
    write_nan(tmp_path / "nan.onnx")
    write_onnx(tmp_path / "a<b>.onnx")
    measure(collection_of("files", [], [tmp_path]), tmp_path / "here.csv")
    section = make_section(load_evidence(tmp_path / "here.csv"))
    assert [(each.name, each.latency == "failed") for each in section.models] == [
        ("a<b>", False),
        ("nan", True),
    ]
    assert section.models[0].cost == ("0.00691", "0.000108", "0.000432")
    assert section.models[0].checked == "onnxruntime on this computer"
    assert not any("redictions" in each for each in section.missing)
    page = render_page([section])
    assert "a&lt;b&gt;" in page
    assert "million MACs" in page


def test_a_selftest_draws_some_of_the_files(tmp_path: Path) -> None:
    given = collection_of("files", [write_onnx(tmp_path / f"{name}.onnx") for name in "abc"], [])
    asked = ProfileRequest(given, (), (1,), tmp_path / "here.csv", seed=3)
    plan = selftest_cells(DEVICE, asked, 2)
    assert len({cell.subnet for cell in plan.measured}) == len(plan.cells) == 2
    assert selftest_cells(DEVICE, asked, 2) == plan
    assert len(selftest_cells(DEVICE, asked, 8).cells) == 3
