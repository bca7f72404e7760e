"""What a training has cost so far: images, arithmetic, time."""

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
    """Sums over the steps of a training, validation left out.

    Attributes:
        images: loaded, over all ranks.
        passes: images that went through a network forward and backward: images x subnets.
        taught: images that went through the teacher, forward alone.
        macs: multiply-accumulates of the forward passes; backward takes about twice as many more.
        teacher_macs: of the teacher's.
        seconds: by the clock.
        cpu_seconds: of the first process's CPUs.
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
        """Counts the time of what is done in it."""
        clock, cpu = time.perf_counter(), time.process_time()
        yield
        self.seconds += time.perf_counter() - clock
        self.cpu_seconds += time.process_time() - cpu

    def add(self, images: int, macs: Sequence[int], teacher_macs: int | None) -> None:
        """One step with subnets of so many MACs, and a teacher if there is one."""
        self.images += images
        self.passes += images * len(macs)
        self.macs += images * sum(macs)
        if teacher_macs is not None:
            self.taught += images
            self.teacher_macs += images * teacher_macs

    def as_json(self) -> dict[str, int | float]:
        """As plain values."""
        return dataclasses.asdict(self)


def subnet_macs(space: Space, subnet: Subnet, resolution: int) -> int:
    """Multiply-accumulates of one image."""
    return sum(block.macs for block in graph_blocks(space, subnet, resolution))
