"""The cost of a training so far: images, arithmetic, time."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from compofa.supernet.graph import graph_blocks
from compofa.supernet.space import Space
from compofa.supernet.subnet import Subnet


@dataclass
class TrainingCost:
    """Sums over the steps of a training, without validation.

    Attributes:
        images: the number of images that were loaded, over all ranks.
        passes: the number of forward and backward passes of single images, one for each image and
            subnet.
        taught: the number of forward passes of single images through the teacher.
        macs: the multiply-accumulates of the forward passes. Backward passes need about twice as
            many in addition.
        teacher_macs: the multiply-accumulates of the teacher.
        seconds: the elapsed time.
        cpu_seconds: the CPU time of the first process.
    """

    images: int = 0
    passes: int = 0
    taught: int = 0
    macs: int = 0
    teacher_macs: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Adds the time that passes within it."""
        clock, cpu = time.perf_counter(), time.process_time()
        yield
        self.seconds += time.perf_counter() - clock
        self.cpu_seconds += time.process_time() - cpu

    def add(self, images: int, macs: Sequence[int], teacher_macs: int | None) -> None:
        """Adds a step.

        Args:
            images: the number of images.
            macs: the multiply-accumulates per image of each subnet.
            teacher_macs: those of the teacher; None without a teacher.
        """
        self.images += images
        self.passes += images * len(macs)
        self.macs += images * sum(macs)
        if teacher_macs is not None:
            self.taught += images
            self.teacher_macs += images * teacher_macs

    def as_json(self) -> dict[str, int | float]:
        """The sums as plain values."""
        return dataclasses.asdict(self)


def subnet_macs(space: Space, subnet: Subnet, resolution: int) -> int:
    """The multiply-accumulates per image of a subnet."""
    return sum(block.macs for block in graph_blocks(space, subnet, resolution))
