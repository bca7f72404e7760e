"""The order of training is a function of seed and step, and covers every image."""

from __future__ import annotations

import numpy as np
import pytest

from compofa.supernet.data.batches.order import MIXED_GROUPS, Batching, TrainingOrder
from compofa.supernet.data.images import FileImages, Part, PixelImages
from rigs.image_sets import learnable


def part(count: int) -> Part:
    pixels, labels = learnable(count, 4)
    images = PixelImages(pixels[:, None], labels.astype("int64"))
    return Part(images, np.arange(10, 10 + count))


def order(count: int, batch_size: int, seed: int = 0) -> TrainingOrder:
    return TrainingOrder(Batching(part(count), batch_size, (16, 20, 24)), (seed,))


def test_an_epoch_sees_every_image_once() -> None:
    epoch = order(60, 20)
    assert epoch.steps_per_epoch == 3
    seen = [p for step in range(3, 6) for p in epoch.request(step).positions.tolist()]
    assert sorted(seen) == list(range(10, 70))


def test_what_does_not_fill_a_batch_is_left_out_in_turns() -> None:
    epochs = order(21, 20)
    left_out = {
        (set(range(10, 31)) - set(epochs.request(step).positions.tolist())).pop()
        for step in range(40)
    }
    assert epochs.steps_per_epoch == 1
    assert len(left_out) > 10


def test_fewer_images_than_a_batch_are_one_batch() -> None:
    assert order(5, 20).batch_size == 5


def test_a_step_is_the_same_whenever_it_is_asked_for() -> None:
    first, again = order(60, 20), order(60, 20)
    requests = list(first.requests(range(8)))
    late = again.request(7)
    assert late.positions.tolist() == requests[7].positions.tolist()
    assert (late.resolution, late.seed) == (requests[7].resolution, requests[7].seed)


def test_epochs_and_seeds_differ() -> None:
    found = {
        tuple(order(60, 60, seed).request(step).positions.tolist())
        for seed in (0, 1)
        for step in (0, 1)
    }
    assert len(found) == 4


@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_share_a_batch_at_one_resolution(ranks: int) -> None:
    alone = order(60, 20)
    shares = [alone.request(4, rank, ranks) for rank in range(ranks)]
    together = sorted(p for share in shares for p in share.positions.tolist())
    assert together == sorted(alone.request(4).positions.tolist())
    assert {share.resolution for share in shares} == {alone.resolution(4)}
    assert len({share.seed for share in shares}) == ranks


def test_all_resolutions_occur() -> None:
    assert {order(60, 20).resolution(step) for step in range(30)} == {16, 20, 24}


class Shards(FileImages):
    """Pictures in many shards, never read."""

    def __init__(self, shards: int, each: int) -> None:
        self.groups = np.repeat(np.arange(shards), each)
        self.labels = np.zeros(shards * each, dtype=np.int64)

    def name(self, position: int) -> str:
        return str(position)

    def content(self, position: int) -> bytes:
        raise NotImplementedError

    @property
    def digest(self) -> str:
        return "none"


def test_pictures_of_the_same_shards_are_close_together() -> None:
    shards = Shards(4 * MIXED_GROUPS, 5)
    whole = TrainingOrder(
        Batching(Part(shards, np.arange(len(shards))), 5 * MIXED_GROUPS, (32,)), (0,)
    )
    seen: list[int] = []
    for step in range(4):
        positions = whole.request(step).positions
        seen += positions.tolist()
        assert shards.groups is not None
        assert len(np.unique(shards.groups[positions])) == MIXED_GROUPS
        assert positions.tolist() != sorted(positions.tolist())
    assert sorted(seen) == list(range(len(shards)))
