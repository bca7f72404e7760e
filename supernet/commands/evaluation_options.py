"""What `compofa-train evaluate` and `compofa-train predictor` are asked alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from compofa.common.console import note
from compofa.common.errors import UserError
from compofa.common.files import sha256
from compofa.supernet.graph import LARGEST_RESOLUTION, SMALLEST_RESOLUTION

if TYPE_CHECKING:
    from compofa.supernet.data.dataset import DataSet
    from compofa.supernet.data.split import Split
    from compofa.supernet.evaluation.accuracy_run import AccuracyRun, Conditions
    from compofa.supernet.evaluation.bn_calibration import BatchNormStatistics
    from compofa.supernet.space import Space
    from compofa.supernet.subnet import Subnet
    from compofa.supernet.supernet import Supernet
    from compofa.supernet.training.ranks import Ranks


CALIBRATION_IMAGES = 1000
"""OFA takes 2,000; beyond some hundred, accuracies hardly change, while memory grows."""

BATCH_SIZE = 256

MOST_SUBNETS = 10_000
"""Of larger spaces, single subnets or a sample are measured."""


class SplitPart(StrEnum):
    """What subnets are measured on: test images are for the last look alone."""

    HELDOUT = "heldout"
    TEST = "test"


_WORDS = {SplitPart.HELDOUT: "held-out", SplitPart.TEST: "test"}

CheckpointOption = Annotated[Path, typer.Option(help="The supernet's weights.")]
DataOption = Annotated[
    Path, typer.Option(help="Folder of the data set: class folders, shards, idx or CIFAR files.")
]
SplitOption = Annotated[SplitPart, typer.Option(help="Which images to classify.")]
SplitFileOption = Annotated[
    Path | None,
    typer.Option(help="Record of the split; split.json beside the checkpoint unless given."),
]
ResolutionsOption = Annotated[
    str | None,
    typer.Option(
        metavar="R,R,...", help="Input sizes; those of the checkpoint's space if left out."
    ),
]
CalibrationOption = Annotated[
    int, typer.Option(min=1, help="Training images for the batch norm statistics.")
]
BatchOption = Annotated[int, typer.Option(min=1, help="Images at once.")]
WorkersOption = Annotated[
    int | None, typer.Option(min=0, help="Processes that decode pictures, for each GPU.")
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
SeedOption = Annotated[int, typer.Option(min=0, help="Of what is drawn at random.")]
FreshOption = Annotated[bool, typer.Option("--fresh", help="Discard the rows of an old table.")]


@dataclass(frozen=True)
class EvaluationOptions:
    """How accuracies are measured; see the options of the same names."""

    checkpoint: Path
    data: Path
    split: SplitPart = SplitPart.HELDOUT
    split_file: Path | None = None
    calibration_images: int = CALIBRATION_IMAGES
    batch_size: int = BATCH_SIZE
    workers: int | None = None
    seed: int = 0
    fresh: bool = False

    def load(self, ranks: Ranks) -> Supernet:
        """The checkpoint's supernet, on the device of `ranks`."""
        from compofa.supernet.checkpoints.checkpoint import load_checkpoint

        return load_checkpoint(self.checkpoint).supernet.to(ranks.device)

    def run(self, out: Path, supernet: Supernet, ranks: Ranks) -> AccuracyRun:
        """A run that measures as these options say, into the table `out`.

        Raises:
            UserError: the data cannot be read or does not suit the space; the table is another.
        """
        from compofa.supernet.evaluation.accuracy_run import AccuracyRun

        return AccuracyRun(out, supernet, self._conditions(supernet, ranks), ranks, self.fresh)

    def statistics(
        self, supernet: Supernet, subnet: Subnet, resolution: int
    ) -> BatchNormStatistics:
        """The batch norm statistics that `subnet` is measured with.

        Raises:
            UserError: the data cannot be read or does not suit the space.
        """
        from compofa.supernet.evaluation.bn_calibration import calibrate, device_of
        from compofa.supernet.training.ranks import Ranks

        here = self._conditions(supernet, Ranks(0, 1, device_of(supernet)))
        return calibrate(supernet, subnet, here.calibration_images(resolution))

    def _conditions(self, supernet: Supernet, ranks: Ranks) -> Conditions:
        from compofa.supernet.data.batches.loading import Loading, usual_workers
        from compofa.supernet.data.dataset import open_data
        from compofa.supernet.evaluation.accuracy_run import Conditions

        data = open_data(self.data)
        data.check_space(supernet.space)
        split = self._split(data)
        workers = usual_workers(data.train, ranks.beside) if self.workers is None else self.workers
        images = split.part(self.split)
        return Conditions(
            calibration=split.train.sample(self.calibration_images, self.seed),
            images=images,
            loading=Loading(supernet.space.in_channels, ranks.device, workers),
            batch_size=self.batch_size,
            source=f"measured on {len(images)} {_WORDS[self.split]} images",
            remarks=self._remarks(split),
        )

    def _split(self, data: DataSet) -> Split:
        """The split on record beside the checkpoint; anew, where there is none."""
        from compofa.supernet.checkpoints.checkpoint import load_checkpoint
        from compofa.supernet.data.split import recorded_split, split_data

        path = self.split_file or self.checkpoint.parent / "split.json"
        recorded = self.split_file is not None or path.exists()
        found = recorded_split(path, data) if recorded else split_data(data)
        if found.contradicts(load_checkpoint(self.checkpoint).metadata):
            said = f"those of {path}" if recorded else "those that are held out by default"
            raise UserError(
                f"it was trained with other images held out than {said}",
                path=self.checkpoint,
                hint="give the split.json of its training as --split-file",
            )
        return found

    def _remarks(self, split: Split) -> tuple[str, ...]:
        record, name = split.record, self.split.value
        calibration = min(self.calibration_images, len(split.train))
        return (
            "Top-1 accuracy of subnets of a supernet, by compofa-train evaluate.",
            f"checkpoint: {self.checkpoint.name}, sha256 {sha256(self.checkpoint.read_bytes())}",
            f"images: {name} part of {self.data.name}, sha256 {record[f'{name}_sha256']}",
            f"batch norm: {calibration} training images, seed {self.seed}",
        )


def resolutions_of(text: str | None, space: Space) -> tuple[int, ...]:
    """The resolutions that an option names, or those of the space.

    Raises:
        UserError: it is no list of resolutions.
    """
    if text is None:
        return space.resolutions
    found = []
    for part in text.split(","):
        if not (part.isascii() and part.isdigit() and len(part) < 6):
            raise UserError(f"--resolutions {text!r}: expected whole numbers with commas between")
        if not SMALLEST_RESOLUTION <= int(part) <= LARGEST_RESOLUTION:
            bounds = f"{SMALLEST_RESOLUTION} to {LARGEST_RESOLUTION}"
            raise UserError(f"--resolutions {text!r}: {part} is out of bounds, {bounds}")
        found.append(int(part))
    return tuple(dict.fromkeys(found))


def chosen_subnets(
    space: Space, keys: Sequence[str] | None, sample: int | None, seed: int
) -> tuple[Subnet, ...]:
    """The subnets that the options ask for: named ones, some at random, or all.

    Raises:
        UserError: a key is wrong, or there are too many subnets.
    """
    import numpy as np

    if keys and sample:
        raise UserError("--subnet names subnets and --sample draws some: give one of them")
    if keys:
        return tuple(space.parse(key) for key in keys)
    if sample is None or sample >= space.size:
        if space.size > MOST_SUBNETS:
            message = f"space {space.name} has {space.size:.3g} subnets, too many to measure"
            raise UserError(message, hint="--sample N measures some, --subnet KEY one")
        return space.enumerate()
    rng = np.random.default_rng(seed)
    found: dict[Subnet, None] = {}
    while len(found) < sample:
        found[space.sample(rng)] = None
    return tuple(found)


def tell_memory(
    supernet: Supernet, subnets: Sequence[Subnet], resolution: int, images: int
) -> None:
    """Says how much memory the calibration of batch norm will take for activations."""
    from compofa.supernet.evaluation.bn_calibration import calibration_bytes
    from compofa.supernet.evaluation.prefix_tree import prefix_tree

    tree = prefix_tree(supernet.space, subnets, resolution)
    gigabytes = images * calibration_bytes(tree) / 1e9
    if gigabytes >= 1:
        note(
            f"batch norm is calibrated on {images} images: their activations take up to "
            f"{gigabytes:.1f} GB at {resolution} (--calibration-images takes fewer)"
        )
