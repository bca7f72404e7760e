"""compofa-train teacher, compound, progressive and deps, as a user runs them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from compofa.supernet.checkpoints.checkpoint import load_checkpoint
from compofa.supernet.commands import train_command as train
from compofa.supernet.training.recipes.recipe import RECIPES
from rigs.commands import Run
from rigs.image_sets import write_folders

Options = Callable[[Path], list[str]]


@pytest.fixture
def options(space_file: Path, data_folder: Path) -> Options:
    """Gives the options of a training of a step or two that writes to a folder."""

    def make(folder: Path) -> list[str]:
        return [
            "--space", str(space_file), "--data", str(data_folder), "--out", str(folder),
            "--batch-size", "10", "--scale", "0.002", "--device", "cpu",
        ]  # fmt: skip

    return make


def test_from_a_teacher_to_a_supernet(run: Run, options: Options, tmp_path: Path) -> None:
    teacher, compound = tmp_path / "teacher", tmp_path / "compound"
    ended = run(train.main, "teacher", *options(teacher))
    assert (ended.code, ended.out) == (0, ""), ended.err
    assert f"done: {teacher}/supernet.pt" in ended.err
    assert "held-out top-1: d44444" in ended.err
    ended = run(
        train.main, "compound", *options(compound), "--teacher", teacher / "supernet.pt", "--json"
    )
    found = json.loads(ended.out)
    assert found["checkpoint"] == str(compound / "supernet.pt")
    assert found["costs"][1]["passes"] == 4 * found["costs"][1]["images"]
    assert load_checkpoint(compound / "supernet.pt").metadata["recipe"] == "compound"
    about = json.loads((compound / "run.json").read_text())
    assert about["costs"] == found["costs"]
    assert about["recipe"]["name"] == "compound"
    assert json.loads((compound / "split.json").read_text())["heldout"] == 6
    assert "compound 2" in (compound / "log.txt").read_text()


@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_a_lost_state_is_never_a_fresh_start(
    run: Run, options: Options, tmp_path: Path, damage: str
) -> None:
    assert run(train.main, "teacher", *options(tmp_path)).code == 0
    state = tmp_path / "state.pt"
    content = state.read_bytes()
    state.unlink()
    if damage == "truncated":
        state.write_bytes(content[:-1000])
    ended = run(train.main, "teacher", *options(tmp_path))
    assert ended.code == 2
    message = {"missing": "its state.pt is missing", "truncated": "is truncated or damaged"}
    assert message[damage] in ended.err
    assert ended.err.count("\n") == 1
    assert run(train.main, "teacher", *options(tmp_path), "--fresh").code == 0


def test_pictures_train_with_workers_and_unreadable_ones_are_named(
    run: Run, tmp_path: Path
) -> None:
    space = tmp_path / "space.yaml"
    space.write_text("{name: tiny, width: 0.05, classes: 3, resolutions: [16, 24]}")
    write_folders(tmp_path / "data", per_class=10)
    for name in ("blue", "green", "red"):
        (tmp_path / "data" / "train" / name / "0.JPEG").write_bytes(b"no picture")
    ended = run(
        train.main, "teacher", "--space", space, "--data", tmp_path / "data", "--out",
        tmp_path / "run", "--batch-size", 9, "--scale", 0.006, "--workers", 1,
    )  # fmt: skip
    assert ended.code == 0, ended.err
    assert "left out, 1 so far: " in ended.err
    assert "left out, 1 so far: " in (tmp_path / "run" / "log.txt").read_text()


@pytest.mark.parametrize("name", RECIPES)
def test_a_dry_run_prints_the_recipe(run: Run, name: str) -> None:
    space = "ofa-mbv3" if name == "progressive" else "compofa"
    shown = run(train.main, name, "--space", space, "--dry-run", "--batch-size", 2048)
    assert shown.code == 0
    for phase in RECIPES[name].phases:
        line = next(line for line in shown.out.splitlines() if line.startswith(phase.name))
        assert f"{phase.learning_rate:g}" in line
    printed = run(train.main, name, "--space", space, "--dry-run", "--json")
    assert json.loads(printed.out)["recipe"] == RECIPES[name].as_json()


MISTAKES = {
    "no data": (["teacher"], "training needs --data and --out"),
    "no teacher": (["compound", "--data", ".", "--out", "r"], "compound needs --teacher"),
    "a teacher for nothing": (
        ["deps", "--data", ".", "--out", "r", "--teacher", "t.pt"],
        "deps has no use for --teacher",
    ),
    "a compound space": (
        ["progressive", "--data", ".", "--out", "r"],
        "`compofa-train compound` is for such spaces",
    ),
    "no such teacher": (
        ["compound", "--data", "DATA", "--space", "SPACE", "--out", "r", "--teacher", "t.pt"],
        "t.pt: cannot read the checkpoint: no such file",
    ),
    "no such data": (["teacher", "--data", "nowhere", "--out", "r"], "nowhere: no such folder"),
    "another number of classes": (
        ["teacher", "--data", "DATA", "--out", "r"],
        "3 classes, but space compofa has 1000",
    ),
    "an unknown device": (
        ["teacher", "--data", "DATA", "--out", "r", "--device", "tpu"],
        "unknown device 'tpu'",
    ),
    "no image left": (
        ["teacher", "--data", "DATA", "--space", "SPACE", "--out", "r", "--heldout", "66"],
        "66 training images are too few to hold 66 out",
    ),
}


@pytest.mark.parametrize(("options", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes_end_with_one_line(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, space_file: Path, data_folder: Path,
    options: list[str], message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    places = {"DATA": str(data_folder), "SPACE": str(space_file)}
    ended = run(train.main, *(places.get(option, option) for option in options))
    assert ended.code == 2
    assert message in ended.err
    assert ended.err.count("\n") == 1
    assert not (tmp_path / "r").exists()
