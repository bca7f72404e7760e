"""Scalars for TensorBoard, where its package is installed and curves are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from compofa.common.errors import require_package


class Curves:
    """Writes the events of a run; the horizontal axis is steps over all phases.

    Attributes:
        at: the step that the next scalars belong to.
    """

    def __init__(self, folder: Path) -> None:
        """Writes into `folder`; where a training went on from before, the newer values count.

        Raises:
            MissingExtra: tensorboard is not installed.
        """
        require_package("tensorboard", "tensorboard")
        from torch.utils.tensorboard.writer import SummaryWriter

        self.at = 0
        writer: Any = SummaryWriter
        self._writer = writer(str(folder))

    def step(self, **scalars: float) -> None:
        """Numbers of a training step."""
        for name, value in scalars.items():
            self._writer.add_scalar(f"training/{name}", value, self.at)

    def accuracy(self, tops: Mapping[str, float]) -> None:
        """Top-1 on the held-out images, by subnet."""
        for key, value in tops.items():
            self._writer.add_scalar(f"top1/{key}", value, self.at)

    def close(self) -> None:
        """Writes what is left."""
        self._writer.close()
