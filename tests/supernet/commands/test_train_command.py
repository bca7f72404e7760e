"""compofa-train import, as a user runs it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from compofa.supernet.checkpoints.checkpoint import load_checkpoint
from compofa.supernet.commands import train_command as train
from compofa.supernet.spaces import SPACES
from rigs.commands import Run

File = Callable[[str], Path]


def test_a_released_file_becomes_a_checkpoint(
    run: Run, released_file: File, tmp_path: Path
) -> None:
    released, out = released_file("compofa"), tmp_path / "c.pt"
    ended = run(train.main, "import", released, "--space", "compofa", "--out", out)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == f"{out}: compofa, 7.37 M parameters, from compofa.pth\n"
    loaded = load_checkpoint(out)
    assert loaded.supernet.space == SPACES["compofa"]
    assert loaded.metadata == {
        "imported_from": "compofa.pth",
        "imported_sha256": hashlib.sha256(released.read_bytes()).hexdigest(),
    }


def test_json_reports_what_was_written(run: Run, released_file: File, tmp_path: Path) -> None:
    out = tmp_path / "c.pt"
    options = ("--space", "compofa-elastic", "--out", out, "--json")
    ended = run(train.main, "import", released_file("ofa-mbv3"), *options)
    found = json.loads(ended.out)
    assert found["space"] == "compofa-elastic"
    assert found["kernel_transform"] is True
    assert found["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()


def test_an_imported_checkpoint_is_not_imported_again(
    run: Run, released_file: File, tmp_path: Path
) -> None:
    out = tmp_path / "c.pt"
    run(train.main, "import", released_file("compofa"), "--space", "compofa", "--out", out)
    ended = run(train.main, "import", out, "--space", "compofa", "--out", tmp_path / "d.pt")
    assert ended.code == 2
    assert "already a checkpoint of compofa" in ended.err


def test_a_wrong_space_names_those_that_fit(run: Run, released_file: File, tmp_path: Path) -> None:
    out = tmp_path / "c.pt"
    options = ("--space", "compofa", "--out", out)
    ended = run(train.main, "import", released_file("ofa-mbv3-w1.2"), *options)
    assert ended.code == 2
    assert ended.err.count("\n") == 1
    assert "they fit compofa-w1.2, compofa-elastic-w1.2, ofa-mbv3-w1.2" in ended.err
    assert not out.exists()


def test_a_truncated_file_is_named(run: Run, released_file: File, tmp_path: Path) -> None:
    cut = tmp_path / "cut.pth"
    cut.write_bytes(released_file("compofa").read_bytes()[:100_000])
    ended = run(train.main, "import", cut, "--space", "compofa", "--out", tmp_path / "c.pt")
    assert ended.code == 2
    assert ended.err == f"error: {cut}: the released checkpoint is truncated or damaged\n"


def test_resnet_spaces_cannot_be_imported_into(
    run: Run, released_file: File, tmp_path: Path
) -> None:
    options = ("--space", "ofa-resnet50", "--out", tmp_path / "c.pt")
    ended = run(train.main, "import", released_file("compofa"), *options)
    assert ended.code == 2
    assert "released checkpoints cannot be imported into space ofa-resnet50" in ended.err


MISTAKES = {
    "a missing file": (["import", "no.pth", "--space", "compofa", "--out", "c.pt"], "no such file"),
    "an unknown space": (["import", "no.pth", "--space", "x", "--out", "c.pt"], "unknown space"),
    "no space": (["import", "no.pth", "--out", "c.pt"], "Missing option '--space'"),
    "an unknown command": (["impart"], "No such command 'impart'"),
}


@pytest.mark.parametrize(("options", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes_end_with_exit_code_2(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[object], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = run(train.main, *options)
    assert ended.code == 2
    assert message in " ".join(ended.err.replace("│", "").split())
