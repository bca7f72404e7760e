"""The images of each training step, as a function of the seed and the step.

There is therefore no state that would have to be saved.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from compofa.supernet.data.images import Part, Positions

MIXED_GROUPS = 64
"""How many shards are shuffled together: few enough to stay in the system's cache of files."""


@dataclass(frozen=True)
class BatchRequest:
    """One batch to load.

    Attributes:
        positions: the positions of the images in their data set.
        resolution: the side of the square images in the batch, in pixels.
        seed: the seed of random crops and colours; None for no random changes.
    """

    positions: Positions
    resolution: int
    seed: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Batching:
    """The images to train on, and the form of their batches.

    Attributes:
        part: the images.
        batch_size: the size over all ranks. If there are fewer images, all of them are one batch.
        resolutions: the resolutions, of which each step uses one at random.
    """

    part: Part
    batch_size: int
    resolutions: tuple[int, ...]


class TrainingOrder:
    """The order in which the images of a part are trained on, over all ranks.

    Each epoch is a new permutation. Images at its end that do not fill a batch are left out; they
    are different ones in every epoch. All ranks use the same resolution in a step.

    Attributes:
        part: the images.
        batch_size: the size of a batch over all ranks.
        steps_per_epoch: the number of batches in an epoch.
    """

    def __init__(self, batching: Batching, seed: tuple[int, ...]) -> None:
        """Plans the batches; each seed gives a different order."""
        self.part = batching.part
        self.batch_size = min(batching.batch_size, len(self.part))
        self.steps_per_epoch = len(self.part) // self.batch_size
        self._resolutions = batching.resolutions
        self._seed = seed
        self._epoch = lru_cache(maxsize=1)(self._permutation)

    def request(self, step: int, rank: int = 0, ranks: int = 1) -> BatchRequest:
        """The part of a batch that `rank` loads; `step` counts from 0 over all epochs."""
        epoch, batch = divmod(step, self.steps_per_epoch)
        start = batch * self.batch_size
        positions = self._epoch(epoch)[start : start + self.batch_size][rank::ranks]
        return BatchRequest(positions, self.resolution(step), (*self._seed, 2, step, rank))

    def requests(self, steps: range, rank: int = 0, ranks: int = 1) -> Iterator[BatchRequest]:
        """The requests of several steps, as of `request`."""
        return (self.request(step, rank, ranks) for step in steps)

    def resolution(self, step: int) -> int:
        """The resolution of a step in pixels."""
        rng = np.random.default_rng((*self._seed, 1, step))
        return self._resolutions[rng.integers(len(self._resolutions))]

    def _permutation(self, epoch: int) -> Positions:
        rng = np.random.default_rng((*self._seed, 0, epoch))
        groups = self.part.images.groups
        if groups is None:
            return rng.permutation(self.part.positions)
        return _grouped(rng, self.part.positions, groups[self.part.positions])


def _grouped(rng: np.random.Generator, positions: Positions, groups: Positions) -> Positions:
    """A random permutation in which positions of the same groups stay close together."""
    numbers, group = np.unique(groups, return_inverse=True)
    # Groups are shuffled and put into heaps of `MIXED_GROUPS`; positions are shuffled in a heap.
    heap = rng.permutation(len(numbers))[group] // MIXED_GROUPS
    return positions[np.lexsort((rng.random(len(positions)), heap))]
