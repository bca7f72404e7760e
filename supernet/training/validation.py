"""Measures subnets on the held-out images during training. Test images are not used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from compofa.supernet.data.batches.loading import Loading, PlainBatches
from compofa.supernet.data.images import Part
from compofa.supernet.data.split import Split
from compofa.supernet.evaluation.evaluation import Score, evaluate
from compofa.supernet.evaluation.evaluation_options import CALIBRATION_IMAGES
from compofa.supernet.subnet import Subnet
from compofa.supernet.supernet import Supernet


@dataclass(frozen=True)
class Validation:
    """How subnets are validated.

    Attributes:
        split: the images.
        loading: how batches are made.
        resolution: the resolution in pixels.
        batch_size: the number of images that are processed together.
        half: whether subnets compute in bfloat16, as in training.
    """

    split: Split
    loading: Loading
    resolution: int
    batch_size: int
    half: bool

    def scores(self, supernet: Supernet, subnets: Sequence[Subnet]) -> list[Score]:
        """Measures the accuracy of `subnets`, in that order; all ranks must call this method."""
        calibration = self._plain(self.split.train.sample(CALIBRATION_IMAGES))
        images = self._plain(self.split.heldout)
        device = self.loading.device.type
        with torch.autocast(device, dtype=torch.bfloat16, enabled=self.half):
            scores = {
                score.subnet: score
                for score in evaluate(
                    supernet,
                    subnets,
                    (batch.images for batch in calibration),
                    lambda: images,
                    group=1,
                )
            }
        return [scores[subnet] for subnet in subnets]

    def _plain(self, part: Part) -> PlainBatches:
        return PlainBatches(self.loading, part, self.resolution, self.batch_size)
