"""What a reproduction is made with, and the folder that it works in."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compofa.common.errors import UserError
from compofa.common.files import write_atomically
from compofa.supernet.space import Space
from compofa.supernet.spaces import get_space

SPACE_FILE = """\
name: fashion-{base}
base: {base}
width: 0.35
classes: 10
input_channels: 1
resolutions: [28]
stem_stride: 1
"""

RECIPES = {"progressive": "ofa-mbv3", "compound": "compofa", "deps": "compofa"}
"""The base of the space that each recipe trains."""


@dataclass(frozen=True)
class Settings:
    """Everything that results depend on.

    Attributes:
        images, test_images: the first so many of each part.
        heldout: of `images`, how many are not trained on: subnets are chosen by them.
        scale: multiplies all published epochs.
        lr_scale: multiplies all published learning rates.
        seeds: trainings of each recipe.
        calibration: training images for the batch norm statistics of each subnet.
        sample: subnets that OFA's predictor is fitted to.
        profile_seconds: spent on each latency table, and again while it lacks cells that the
            latency model needs.
    """

    images: int
    test_images: int
    heldout: int
    scale: float
    lr_scale: float
    batch_size: int
    seeds: int
    calibration: int
    sample: int
    profile_seconds: int


class Workshop:
    """The folder of one reproduction: every file that it makes, by what it is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data = path / "data"
        self.inventory = path / "devices.yaml"

    def prepare(self, settings: Settings) -> None:
        """Makes the folder, or checks that what is in it was made with the same settings.

        Raises:
            UserError: it was not.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        record, made = self.path / "settings.json", dataclasses.asdict(settings)
        if record.exists():
            found: dict[str, Any] = json.loads(record.read_text())
            # More seeds only add to what is there.
            if found | {"seeds": settings.seeds} != made:
                raise UserError(
                    f"it was begun with other settings: {found}",
                    path=self.path,
                    hint="--work names another folder",
                )
        write_atomically(record, json.dumps(made, indent=1) + "\n")
        for base in set(RECIPES.values()):
            write_atomically(self.space_file(base), SPACE_FILE.format(base=base))
        write_atomically(self.inventory, "local: {transport: local, threads: 1}\n")

    def space_file(self, base: str) -> Path:
        return self.path / f"{base}.yaml"

    def space(self, base: str) -> Space:
        return get_space(str(self.space_file(base)))

    @property
    def teacher(self) -> Path:
        """The folder of the teacher's training."""
        return self.path / "teacher"

    def training(self, recipe: str, seed: int) -> Path:
        """The folder of one training."""
        return self.path / f"{recipe}-{seed}"

    def accuracy(self, recipe: str, seed: int, split: str) -> Path:
        """The accuracies of all compound subnets of one supernet."""
        return self.path / f"{recipe}-{seed}-{split}.csv"

    def latency(self, base: str) -> Path:
        """The latency table of a space."""
        return self.path / f"latency-{base}.csv"

    def profiled(self, base: str) -> bool:
        """Whether a latency model could be fitted to what has been measured."""
        about = self.latency(base).with_suffix(".meta.json")
        return about.exists() and json.loads(about.read_text())["held_out_error"] is not None

    def predictor(self, seed: int) -> Path:
        """The accuracy predictor of one OFA supernet."""
        return self.path / f"predictor-{seed}.npz"

    def found(self, seed: int) -> Path:
        """What OFA's search found with it."""
        return self.path / f"found-{seed}.csv"

    def found_accuracy(self, seed: int) -> Path:
        """How good on test images what was found is."""
        return self.path / f"found-{seed}-test.csv"
