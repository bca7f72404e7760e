"""Which images a step sees: a function of the seed and the step, so there is no state to lose."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from compofa.supernet.data.images import Part, Positions

MIXED_GROUPS = 64
"""Shards whose pictures are mixed with each other; few enough to stay in the system's cache."""


@dataclass(frozen=True)
class BatchRequest:
    """One batch to load.

    Attributes:
        positions: of the images in their set.
        resolution: side of the square that networks see.
        seed: of the random views; None asks for the plain view.
    """

    positions: Positions
    resolution: int
    seed: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Batching:
    """Which images are trained on, and how they come in batches.

    Attributes:
        batch_size: over all ranks; all images make one batch, where there are fewer.
        resolutions: each step takes one of them at random.
    """

    part: Part
    batch_size: int
    resolutions: tuple[int, ...]


class TrainingOrder:
    """The order in which the images of a part are trained on, epoch by epoch, over all ranks.

    Each epoch is a new permutation. What does not fill a batch at its end is left out: other images
    every time. All ranks see the same resolution at a step.

    Attributes:
        steps_per_epoch: batches in one pass over the part.
    """

    def __init__(self, batching: Batching, seed: tuple[int, ...]) -> None:
        """Plans the batches; other seeds give other orders."""
        self.part = batching.part
        self.batch_size = min(batching.batch_size, len(self.part))
        self.steps_per_epoch = len(self.part) // self.batch_size
        self._resolutions = batching.resolutions
        self._seed = seed
        self._epoch = lru_cache(maxsize=1)(self._permutation)

    def request(self, step: int, rank: int = 0, ranks: int = 1) -> BatchRequest:
        """What `rank` of `ranks` loads for step `step`, counted from 0 over all epochs."""
        epoch, batch = divmod(step, self.steps_per_epoch)
        start = batch * self.batch_size
        positions = self._epoch(epoch)[start : start + self.batch_size][rank::ranks]
        return BatchRequest(positions, self.resolution(step), (*self._seed, 2, step, rank))

    def requests(self, steps: range, rank: int = 0, ranks: int = 1) -> Iterator[BatchRequest]:
        """The requests of several steps."""
        return (self.request(step, rank, ranks) for step in steps)

    def resolution(self, step: int) -> int:
        """The resolution of a step."""
        rng = np.random.default_rng((*self._seed, 1, step))
        return self._resolutions[rng.integers(len(self._resolutions))]

    def _permutation(self, epoch: int) -> Positions:
        rng = np.random.default_rng((*self._seed, 0, epoch))
        groups = self.part.images.groups
        if groups is None:
            return rng.permutation(self.part.positions)
        return _grouped(rng, self.part.positions, groups[self.part.positions])


def _grouped(rng: np.random.Generator, positions: Positions, groups: Positions) -> Positions:
    """A permutation in which positions of the same few groups stay close together."""
    numbers, group = np.unique(groups, return_inverse=True)
    # Groups in random order, so many of them to a heap; positions are random within a heap.
    heap = rng.permutation(len(numbers))[group] // MIXED_GROUPS
    return positions[np.lexsort((rng.random(len(positions)), heap))]
