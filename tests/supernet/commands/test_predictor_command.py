"""compofa-train predictor, as a user runs it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from compofa.search.accuracy.accuracy import load_accuracy
from compofa.search.accuracy.fitted import FittedAccuracy
from compofa.search.accuracy.released_predictor import read_predictor
from compofa.supernet.accuracy_predictor import perceptron
from compofa.supernet.checkpoints.checkpoint import save_checkpoint
from compofa.supernet.commands import train_command as train
from compofa.supernet.evaluation.accuracy_file import (
    AccuracyRow,
    read_accuracy_table,
    write_accuracy_table,
)
from compofa.supernet.spaces import SPACES
from compofa.supernet.supernet import Supernet
from rigs.commands import Ended, Run
from rigs.image_sets import write_idx

COMPOFA = SPACES["compofa"]
Predictor = Callable[..., Ended]


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks are fitted in no time; what matters here is around it."""
    monkeypatch.setattr(perceptron, "STEPS", 30)


def table(path: Path, space: str = "compofa") -> Path:
    """Made-up accuracies of 35 subnets: deeper is better, and so are more pixels."""
    subnets = COMPOFA.enumerate()[::7]
    rows = [
        AccuracyRow(space, COMPOFA.key(s), size, 0.6 + sum(s.depths) / 100 + size / 5000, "made")
        for s in subnets
        for size in (160, 224)
    ]
    write_accuracy_table(path, ["made up"], rows)
    return path


@pytest.fixture
def predictor(run: Run, tmp_path: Path) -> Predictor:
    def call(*options: object, out: str = "p.npz") -> Ended:
        return run(train.main, "predictor", "--out", tmp_path / out, "--device", "cpu", *options)

    return call


def test_a_table_is_fitted_and_the_errors_are_told(predictor: Predictor, tmp_path: Path) -> None:
    ended = predictor("--accuracy", table(tmp_path / "a.csv"))
    assert (ended.code, ended.err) == (0, "")
    first, heading, *rows = ended.out.splitlines()
    assert first == f"{tmp_path / 'p.npz'}: gp, fitted to 70 cells of compofa"
    assert heading.split() == ["model", "resolution", "cells", "RMSE,", "points", "rank"]
    assert [row.split()[:3] for row in rows] == [
        [name, size, count]
        for name in ("gp", "mlp")
        for size, count in (("160", "7"), ("224", "7"), ("all", "14"))
    ]


def test_the_search_knows_the_whole_space_by_it(predictor: Predictor, tmp_path: Path) -> None:
    predictor("--accuracy", table(tmp_path / "a.csv"), "--model", "gp")
    source = load_accuracy(tmp_path / "p.npz", COMPOFA)
    subnets = COMPOFA.enumerate()
    assert isinstance(source, FittedAccuracy)
    found = source.top1_of(COMPOFA, COMPOFA.arrays(subnets), np.full(243, 224))
    expected = [0.6 + sum(s.depths) / 100 + 224 / 5000 for s in subnets]
    assert found == pytest.approx(expected, abs=2e-3)


def test_ofas_layout_is_written_for_its_ending(predictor: Predictor, tmp_path: Path) -> None:
    ended = predictor("--accuracy", table(tmp_path / "a.csv"), out="p.pth")
    assert ended.code == 0
    assert "p.pth: mlp, fitted to" in ended.out
    found = read_predictor(tmp_path / "p.pth").top1_of(
        COMPOFA, COMPOFA.arrays(COMPOFA.enumerate()), np.full(243, 224)
    )
    assert np.abs(found - 0.79).max() < 0.2


def test_another_predictor_is_compared_on_the_same_table(
    predictor: Predictor, tmp_path: Path
) -> None:
    accuracies = table(tmp_path / "a.csv")
    predictor("--accuracy", accuracies, "--model", "gp", out="old.npz")
    ended = predictor(
        "--accuracy", accuracies, "--model", "gp", "--compare", tmp_path / "old.npz", "--json"
    )
    found = json.loads(ended.out)
    assert (found["model"], found["space"], found["cells"]) == ("gp", "compofa", 70)
    assert [error["cells"] for error in found["errors"]["old.npz"]] == [35, 35, 70]
    assert found["errors"]["old.npz"][-1]["rmse"] < 2e-3


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a small space, and its data set."""
    path = tmp_path_factory.mktemp("predictor")
    write_idx(path / "data", train=100)
    space = replace(
        SPACES["ofa-mbv3"], name="small", width=0.05, classes=3, in_channels=1, resolutions=(12,)
    )
    torch.manual_seed(0)
    save_checkpoint(path / "c.pt", Supernet(space), {})
    return path


def test_a_checkpoint_is_measured_first(
    predictor: Predictor, trained: Path, tmp_path: Path
) -> None:
    where = ("--checkpoint", trained / "c.pt", "--data", trained / "data")
    ended = predictor(*where, "--sample", 12, "--json")
    assert ended.code == 0
    assert json.loads(ended.out)["cells"] == 12
    _, rows = read_accuracy_table(tmp_path / "p.csv")
    assert len(rows) == 12
    assert rows[0].source == "measured on 10 held-out images"


def test_ofas_layout_is_refused_by_name_before_anything_is_measured(
    predictor: Predictor, trained: Path, tmp_path: Path
) -> None:
    where = ("--checkpoint", trained / "c.pt", "--data", trained / "data")
    ended = predictor(*where, "--sample", 12, out="p.pth")
    assert ended.code == 2
    assert "OFA's layout cannot hold this predictor: it is for ImageNet's 1000 classes" in ended.err
    assert not list(tmp_path.iterdir())


MISTAKES = {
    "another ending": ((), "p.txt", "a predictor's file ends in one of .npz, .pth, .pt"),
    "a process in OFA's layout": (("--model", "gp"), "p.pth", "not a Gaussian process"),
    "nothing to fit to": ((), "p.npz", "give --accuracy TABLE, or --checkpoint and --data"),
    "no data": (("--checkpoint", "c.pt"), "p.npz", "give --accuracy TABLE, or --checkpoint and"),
    "an unknown space": (("--accuracy", "a.csv", "--space", "x"), "p.npz", "unknown space 'x'"),
    "no table": (("--accuracy", "none.csv"), "p.npz", "no such file"),
}


@pytest.mark.parametrize(("options", "out", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes_end_with_exit_code_2(
    predictor: Predictor, options: tuple[object, ...], out: str, message: str
) -> None:
    ended = predictor(*options, out=out)
    assert ended.code == 2
    assert message in ended.err
    assert ended.err.count("\n") == 1


def test_a_table_of_an_unknown_space_needs_to_be_told_which(
    predictor: Predictor, tmp_path: Path
) -> None:
    accuracies = table(tmp_path / "a.csv", space="mine")
    ended = predictor("--accuracy", accuracies)
    assert ended.code == 2
    assert "is of space mine, which is not built in (give the space file" in ended.err
    ended = predictor("--accuracy", accuracies, "--space", "compofa")
    assert "has no rows of space compofa (it has rows of mine)" in ended.err


def test_a_wrong_key_is_told_with_its_table(predictor: Predictor, tmp_path: Path) -> None:
    accuracies = table(tmp_path / "a.csv")
    accuracies.write_text(accuracies.read_text().replace("d22222", "d92222"))
    ended = predictor("--accuracy", accuracies)
    assert ended.code == 2
    assert ended.err.startswith(f"error: {accuracies}: ")
