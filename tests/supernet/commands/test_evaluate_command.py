"""compofa-train evaluate, as a user runs it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch

from compofa.search.accuracy.accuracy_table import AccuracyTable
from compofa.supernet.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from compofa.supernet.commands import export_command as export
from compofa.supernet.commands import train_command as train
from compofa.supernet.data.batches.loading import Loading, PlainBatches
from compofa.supernet.data.dataset import open_data
from compofa.supernet.data.split import DIGESTS, recorded_split, split_data, write_split
from compofa.supernet.evaluation.accuracy_file import read_accuracy_table
from compofa.supernet.spaces import SPACES
from compofa.supernet.supernet import Supernet
from rigs.commands import Ended, Run
from rigs.image_sets import write_idx

SMALL: dict[str, Any] = {"width": 0.05, "classes": 3, "in_channels": 1, "resolutions": (12, 16)}
SPACE = replace(SPACES["compofa"], name="small", **SMALL)
Evaluate = Callable[..., Ended]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set and checkpoints of two spaces; one checkpoint was trained on another split."""
    path = tmp_path_factory.mktemp("evaluate")
    write_idx(path / "data", train=100)
    torch.manual_seed(0)
    save_checkpoint(path / "c.pt", Supernet(SPACE), {})
    large = replace(SPACES["ofa-mbv3"], name="large", **SMALL)
    save_checkpoint(path / "large.pt", Supernet(large), {})
    (path / "run").mkdir()
    save_checkpoint(path / "run" / "supernet.pt", Supernet(SPACE), {})
    write_split(path / "run" / "split.json", split_data(open_data(path / "data"), 7, 25))
    return path


@pytest.fixture
def evaluate(run: Run, folder: Path, tmp_path: Path) -> Evaluate:
    """Runs the command on the data set, into a.csv."""

    def call(*options: object, checkpoint: str = "c.pt") -> Ended:
        where = ("--checkpoint", folder / checkpoint, "--data", folder / "data")
        out = ("--out", tmp_path / "a.csv", "--device", "cpu")
        return run(train.main, "evaluate", *where, *out, *options)

    return call


def test_all_subnets_at_all_resolutions_are_measured(evaluate: Evaluate, tmp_path: Path) -> None:
    ended = evaluate("--calibration-images", 20)
    assert (ended.code, ended.err) == (0, "")
    assert "486 rows of small, the best d" in ended.out
    found = AccuracyTable.read(tmp_path / "a.csv")
    keys = {SPACE.key(subnet) for subnet in SPACE.enumerate()}
    assert set(found.values["small"]) == {(key, size) for key in keys for size in (12, 16)}
    assert found.sources == ("measured on 10 held-out images",)


SOME = ("--subnet", "d22222", "--subnet", "d44444", "--resolutions", "12")


def test_rows_that_are_there_are_kept(evaluate: Evaluate, tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    evaluate(*SOME)
    marked = table.read_text().replace("held-out images", "held-out images and kept")
    table.write_text(marked)
    ended = evaluate("--subnet", "d22222", "--subnet", "d33333", "--resolutions", "12")
    assert ended.code == 0
    _, rows = read_accuracy_table(table)
    kept = {row.subnet: "kept" in row.source for row in rows}
    assert kept == {"d22222": True, "d33333": False, "d44444": True}


def test_what_is_there_already_is_not_measured_again(evaluate: Evaluate, tmp_path: Path) -> None:
    evaluate(*SOME)
    before = (tmp_path / "a.csv").stat()
    assert evaluate(*SOME).code == 0
    assert (tmp_path / "a.csv").stat().st_ino == before.st_ino


def test_a_table_of_other_conditions_is_left_alone(evaluate: Evaluate, tmp_path: Path) -> None:
    evaluate(*SOME)
    before = (tmp_path / "a.csv").read_bytes()
    ended = evaluate(*SOME, "--calibration-images", 10)
    assert ended.code == 2
    assert (
        "the table was made under other conditions: 'batch norm: 90 training images, seed 0', now"
        in (ended.err)
    )
    assert (tmp_path / "a.csv").read_bytes() == before


def test_what_was_measured_before_a_failure_is_kept(
    evaluate: Evaluate, folder: Path, tmp_path: Path
) -> None:
    """Only subnets whose first unit is deepest have that block; they come last."""
    supernet = load_checkpoint(folder / "c.pt").supernet
    supernet.state_dict()["units.0.3.expand.conv.weight"].fill_(float("nan"))
    save_checkpoint(folder / "broken.pt", supernet, {})
    ended = evaluate("--resolutions", "12", checkpoint="broken.pt")
    assert ended.code == 2
    assert "layer units.0.3.expand gives numbers that are not finite" in ended.err
    _, rows = read_accuracy_table(tmp_path / "a.csv")
    assert {row.subnet[:2] for row in rows} == {"d2", "d3"}
    assert len(rows) == 2 * 81


def test_fresh_discards_it(evaluate: Evaluate, tmp_path: Path) -> None:
    evaluate(*SOME)
    assert evaluate(*SOME[:2], "--resolutions", "16", "--fresh").code == 0
    _, rows = read_accuracy_table(tmp_path / "a.csv")
    assert [(row.subnet, row.resolution) for row in rows] == [("d22222", 16)]


def test_the_same_command_gives_the_same_table(evaluate: Evaluate, tmp_path: Path) -> None:
    evaluate(*SOME)
    first = (tmp_path / "a.csv").read_bytes()
    evaluate(*SOME, "--fresh", "--batch-size", 3)
    assert (tmp_path / "a.csv").read_bytes() == first


def test_the_split_of_the_training_is_used(evaluate: Evaluate, tmp_path: Path) -> None:
    """Held-out images must be those that the training did not see."""
    ended = evaluate(*SOME, checkpoint="run/supernet.pt")
    assert "measured on 25 held-out images" in ended.out


def test_test_images_are_only_looked_at_when_asked_for(evaluate: Evaluate, tmp_path: Path) -> None:
    ended = evaluate(*SOME, "--split", "test")
    assert "test images" in ended.out
    remarks, _ = read_accuracy_table(tmp_path / "a.csv")
    assert any(remark.startswith("images: test part of data, sha256 ") for remark in remarks)


def test_json_names_the_best(evaluate: Evaluate, tmp_path: Path) -> None:
    found = json.loads(evaluate(*SOME, "--json").out)
    _, rows = read_accuracy_table(tmp_path / "a.csv")
    best = max(rows, key=lambda row: row.top1)
    assert (found["space"], found["rows"]) == ("small", 2)
    assert found["best"]["subnet"] == best.subnet
    assert found["best"]["top1"] == pytest.approx(best.top1, abs=1e-6)


def test_a_sample_of_a_large_space_is_the_same_for_a_seed(
    evaluate: Evaluate, tmp_path: Path
) -> None:
    options = ("--sample", 3, "--seed", 4, "--resolutions", "12", "--fresh")
    assert evaluate(*options, checkpoint="large.pt").code == 0
    first = (tmp_path / "a.csv").read_bytes()
    evaluate(*options, checkpoint="large.pt")
    assert (tmp_path / "a.csv").read_bytes() == first
    assert len(read_accuracy_table(tmp_path / "a.csv")[1]) == 3


MISTAKES = {
    "a key of no subnet": (("--subnet", "d99999"), "unit 1: depth 9 is not one of 2, 3, 4"),
    "keys and a sample": (("--subnet", "d22222", "--sample", 3), "--sample cannot be combined"),
    "no number": (("--resolutions", "12,big"), "must be a list of whole numbers, not '12,big'"),
    "no resolution": (("--resolutions", "4"), "--resolutions must be from 8 to 4096, not 4"),
    "an unknown device": (("--device", "tpu"), "unknown device 'tpu'"),
    "no record": (("--split-file", "none.json"), "cannot read the record of the split"),
}


@pytest.mark.parametrize(("options", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes_end_with_exit_code_2(
    evaluate: Evaluate, options: tuple[object, ...], message: str
) -> None:
    ended = evaluate(*options)
    assert ended.code == 2
    assert message in ended.err
    assert ended.err.count("\n") == 1


def test_a_space_too_large_to_list_needs_a_sample(evaluate: Evaluate) -> None:
    ended = evaluate(checkpoint="large.pt")
    assert ended.code == 2
    assert "too many to measure (measure a sample with --sample N, or single ones" in ended.err


def test_a_data_set_of_other_classes_is_told(run: Run, folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "c.pt", Supernet(replace(SPACE, classes=5)), {})
    where = ("--checkpoint", tmp_path / "c.pt", "--data", folder / "data")
    ended = run(train.main, "evaluate", *where, "--out", tmp_path / "a.csv")
    assert ended.code == 2
    assert "3 classes, but space small has 5" in ended.err


def test_an_exported_subnet_is_as_accurate_as_its_row_says(
    evaluate: Evaluate, run: Run, folder: Path, tmp_path: Path
) -> None:
    """Through onnxruntime, on the same images, with batch norm statistics of its own."""
    evaluate("--subnet", "d23432", "--resolutions", "16", checkpoint="run/supernet.pt")
    (row,) = read_accuracy_table(tmp_path / "a.csv")[1]
    which = ("--subnet", "d23432", "--resolution", 16, "--checkpoint", folder / "run/supernet.pt")
    ended = run(export.main, *which, "--data", folder / "data", "--out", tmp_path / "s.onnx")
    assert (ended.code, ended.err) == (0, "")
    session = onnxruntime.InferenceSession(tmp_path / "s.onnx")
    data = open_data(folder / "data")
    heldout = recorded_split(folder / "run" / "split.json", data).heldout
    right = [
        (session.run(None, {"input": images.numpy()})[0].argmax(1) == labels.numpy()).mean()
        for images, labels in PlainBatches(Loading(1), heldout, 16, 25)
    ]
    assert right == pytest.approx([row.top1], abs=1e-6)


def test_a_checkpoint_moved_away_from_its_split_is_refused(
    evaluate: Evaluate, folder: Path
) -> None:
    record = json.loads((folder / "run" / "split.json").read_text())
    metadata = {name: record[name] for name in DIGESTS}
    save_checkpoint(folder / "moved.pt", Supernet(SPACE), metadata)
    ended = evaluate(checkpoint="moved.pt")
    assert ended.code == 2
    assert "with other images held out than those that are held out by default" in ended.err
    which = ("--subnet", "d22222", "--resolutions", "12", "--split-file")
    assert evaluate(*which, folder / "run" / "split.json", checkpoint="moved.pt").code == 0
