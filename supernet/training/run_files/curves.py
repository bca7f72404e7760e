"""Writes curves for TensorBoard, which must be installed for that."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from compofa.common.errors import require_package


class Curves:
    """Writes the scalars of a training. The horizontal axis counts steps over all phases.

    Attributes:
        at: the step of the next scalars.
    """

    def __init__(self, folder: Path) -> None:
        """Opens `folder`. If steps are trained again after an interruption, newer values count.

        Raises:
            MissingExtra: tensorboard is not installed.
        """
        require_package("tensorboard", "tensorboard")
        from torch.utils.tensorboard.writer import SummaryWriter

        self.at = 0
        writer: Any = SummaryWriter
        self._writer = writer(str(folder))

    def step(self, **scalars: float) -> None:
        """Writes scalars of a training step."""
        for name, value in scalars.items():
            self._writer.add_scalar(f"training/{name}", value, self.at)

    def accuracy(self, tops: Mapping[str, float]) -> None:
        """Writes top-1 accuracies on the held-out images, given by the subnets' keys."""
        for key, value in tops.items():
            self._writer.add_scalar(f"top1/{key}", value, self.at)

    def close(self) -> None:
        """Writes what is still buffered."""
        self._writer.close()
