"""What trainings leave and take: states, records of splits, released weights, predictors."""

from __future__ import annotations

import contextlib
import itertools
import shlex
import sys
from pathlib import Path
from random import Random
from unittest import mock

import pytest

from compofa.supernet.spaces import get_space
from rigs.fuzzing.mutations import damaged_json
from rigs.image_sets import write_idx

SMALL_SPACE = (
    "name: small\nwidth: 0.05\nclasses: 3\ninput_channels: 1\nstem_stride: 1\nresolutions: [12]\n"
)

TRAINING = (
    "teacher --space space.yaml --data idx --out run --batch-size 10 --scale 0.0011 --device cpu "
    "--workers 0"
)
"""Takes a fraction of a second."""


def write_training(folder: Path) -> None:
    """A training that ended a step before its end."""
    from compofa.supernet.training.run_files.state import read_state, write_state

    (folder / "space.yaml").write_text(SMALL_SPACE)
    write_idx(folder / "idx", train=60, test=12, size=12)
    with contextlib.chdir(folder), pytest.raises(SystemExit, match="0"):
        train(TRAINING)
    path = folder / "run" / "state.pt"
    state = read_state(path)
    state.phase, state.step = 0, 1
    write_state(path, state)
    (folder / "run" / "supernet.pt").unlink()


def train(line: str) -> None:
    """Runs `compofa-train` in this process."""
    from compofa.supernet.commands.train_command import main

    with mock.patch.object(sys, "argv", ["compofa-train", *shlex.split(line)]):
        main()


def go_on_with_training(_: Random) -> None:
    """The same command once more."""
    train(TRAINING)


def go_on_with_other_state(rng: Random) -> None:
    """The same command once more, where the state is whole but says something else."""
    _change_content(Path("run/state.pt"), rng)
    train(TRAINING)


def read_other_checkpoint(rng: Random) -> None:
    """A checkpoint that is whole but says something else."""
    from compofa.supernet import load_checkpoint

    _change_content(Path("c.pt"), rng)
    load_checkpoint(Path("c.pt"))


def _change_content(path: Path, rng: Random) -> None:
    import torch

    torch.save(damaged_json(torch.load(path, weights_only=True), rng), path)


def write_split_record(folder: Path) -> None:
    """A set of images and what was held out of it."""
    from compofa.supernet import open_data, split_data
    from compofa.supernet.data.split import write_split

    write_idx(folder / "idx", train=24, test=4, size=8)
    write_split(folder / "split.json", split_data(open_data(folder / "idx")))


def read_split_record(_: Random) -> None:
    """As `--split-file` does."""
    from compofa.supernet import open_data
    from compofa.supernet.data.split import recorded_split

    recorded_split(Path("split.json"), open_data(Path("idx")))


def write_released_weights(folder: Path) -> None:
    """Weights under the names of the released checkpoints, and a predictor of their layout."""
    import numpy as np
    import torch

    from compofa.supernet import Supernet
    from compofa.supernet.accuracy_predictor.perceptron import Perceptron
    from compofa.supernet.accuracy_predictor.released_layout import INPUTS, LAYOUT, write_released
    from compofa.supernet.checkpoints.released import _layout
    from compofa.supernet.families.registry import family_of

    (folder / "space.yaml").write_text(SMALL_SPACE.replace("small", "released"))
    space = get_space(str(folder / "space.yaml"))
    name_of = family_of(space).released_name
    assert name_of is not None
    supernet = Supernet(_layout(space, name_of, {}), kernel_transform=False)
    state = {name_of(name, space): tensor for name, tensor in supernet.state_dict().items()}
    torch.save({"state_dict": state}, folder / "released.pth")
    rng = np.random.default_rng(0)
    widths = (INPUTS, 6, 1)
    weights = tuple(
        rng.standard_normal((after, before)).astype(np.float32)
        for before, after in itertools.pairwise(widths)
    )
    biases = tuple(np.zeros(len(weight), dtype=np.float32) for weight in weights)
    write_released(folder / "predictor.pth", Perceptron(LAYOUT, weights, biases))


def import_weights(_: Random) -> None:
    """As `compofa-train import` does."""
    train("import released.pth --space space.yaml --out c.pt --json")


def import_other_weights(rng: Random) -> None:
    """Released weights in a file that is whole but says something else."""
    _change_content(Path("released.pth"), rng)
    train("import released.pth --space space.yaml --out c.pt --json")


def read_released_predictor(_: Random) -> None:
    """As `compofa-search --accuracy` does."""
    from compofa.supernet.accuracy_predictor.released_layout import read_released

    read_released(Path("predictor.pth"))


def read_other_predictor(rng: Random) -> None:
    """A released predictor in a file that is whole but says something else."""
    _change_content(Path("predictor.pth"), rng)
    read_released_predictor(rng)
