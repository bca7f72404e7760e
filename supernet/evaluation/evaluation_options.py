"""Options for measuring accuracies, such as the images and the amount of calibration."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from compofa.common.errors import UserError
from compofa.common.files import sha256

if TYPE_CHECKING:
    from compofa.supernet.data.dataset import DataSet
    from compofa.supernet.data.split import Split
    from compofa.supernet.evaluation.accuracy_run import AccuracyRun, Conditions
    from compofa.supernet.evaluation.bn_calibration import BatchNormStatistics
    from compofa.supernet.ranks import Ranks
    from compofa.supernet.subnet import Subnet
    from compofa.supernet.supernet import Supernet

CALIBRATION_IMAGES = 1000
"""The number of training images from which batch norm statistics are computed.

OFA uses 2,000. From a few hundred on, accuracies hardly change, while memory grows.
"""

BATCH_SIZE = 256


class SplitPart(StrEnum):
    """The images on which subnets are measured; test images are for final results only."""

    HELDOUT = "heldout"
    TEST = "test"


_WORDS = {SplitPart.HELDOUT: "held-out", SplitPart.TEST: "test"}


@dataclass(frozen=True)
class EvaluationOptions:
    """How accuracies are measured.

    Attributes:
        checkpoint: the file of the supernet.
        data: the folder of the data set.
        split: the images to classify.
        split_file: the record of the split; None for `split.json` beside the checkpoint.
        calibration_images: the number of training images for the batch norm statistics.
        batch_size: the number of images that are processed together.
        workers: the number of processes that decode pictures, for each GPU; None for the default,
            which depends on the data.
        seed: the random seed.
        fresh: whether the rows of an old table are discarded.
    """

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
        """Loads the checkpoint's supernet onto the device of `ranks`.

        Raises:
            UserError: the checkpoint cannot be read.
        """
        from compofa.supernet.checkpoints.checkpoint import load_checkpoint

        return load_checkpoint(self.checkpoint).supernet.to(ranks.device)

    def run(self, out: Path, supernet: Supernet, ranks: Ranks) -> AccuracyRun:
        """Prepares a run that measures with these options and writes the table `out`.

        Raises:
            UserError: the data cannot be read or does not fit the space, or the table was measured
                under other conditions.
        """
        from compofa.supernet.evaluation.accuracy_run import AccuracyRun

        return AccuracyRun(out, supernet, self._conditions(supernet, ranks), ranks, self.fresh)

    def statistics(
        self, supernet: Supernet, subnet: Subnet, resolution: int
    ) -> BatchNormStatistics:
        """Computes the batch norm statistics with which `subnet` is measured.

        Raises:
            UserError: the data cannot be read or does not fit the space.
        """
        from compofa.supernet.evaluation.bn_calibration import calibrate, device_of
        from compofa.supernet.ranks import Ranks

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
        """The split from the record beside the checkpoint; a new one if there is no record."""
        from compofa.supernet.checkpoints.checkpoint import load_checkpoint
        from compofa.supernet.data.split import recorded_split, split_like

        path = self.split_file or self.checkpoint.parent / "split.json"
        recorded = self.split_file is not None or path.exists()
        metadata = load_checkpoint(self.checkpoint).metadata
        split = recorded_split(path, data) if recorded else split_like(data, metadata)
        if split.contradicts(metadata):
            said = f"those in {path}" if recorded else "those that are held out by default"
            raise UserError(
                f"the supernet was trained with other images held out than {said}",
                path=self.checkpoint,
                hint="give the split.json of its training with --split-file",
            )
        return split

    def _remarks(self, split: Split) -> tuple[str, ...]:
        record, name = split.record, self.split.value
        calibration = min(self.calibration_images, len(split.train))
        return (
            "Top-1 accuracy of subnets of a supernet, by compofa-train evaluate.",
            f"checkpoint: {self.checkpoint.name}, sha256 {sha256(self.checkpoint.read_bytes())}",
            f"images: {name} part of {self.data.name}, sha256 {record[f'{name}_sha256']}",
            f"batch norm: {calibration} training images, seed {self.seed}",
        )
