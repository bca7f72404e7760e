"""Batches: the right images, the size asked for, the same view for the same seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from compofa.common.errors import UserError
from compofa.supernet.data.batches.colour import normalise, vary
from compofa.supernet.data.batches.loading import Loading, PlainBatches
from compofa.supernet.data.batches.order import BatchRequest
from compofa.supernet.data.dataset import open_data
from compofa.supernet.data.images import Part, PixelImages, UnreadablePictures
from compofa.supernet.data.split import split_data
from compofa.supernet.data.view import PICTURES, SMALL_IMAGES, random_boxes
from rigs.image_sets import COLOURS, learnable, picture, write_folders, write_shards

PLAIN = replace(SMALL_IMAGES, flip=False)
FIRST = np.arange(4)


def pixel_images(count: int = 9, channels: int = 1) -> PixelImages:
    pixels, labels = learnable(count, 12)
    return PixelImages(np.repeat(pixels[:, None], channels, 1), labels.astype("int64"))


def one(loading: Loading, images: PixelImages, request: BatchRequest) -> torch.Tensor:
    return next(loading.batches(images, [request])).images


def test_plain_images_of_their_own_size_are_only_normalised() -> None:
    images = pixel_images()
    batch = next(Loading(1).batches(images, [BatchRequest(FIRST, 12)]))
    expected = torch.from_numpy(images.pixels[:4].copy()).float() / 255
    assert torch.equal(batch.images, normalise(expected))
    assert batch.labels.tolist() == [0, 1, 2, 0]


@pytest.mark.parametrize("resolution", [8, 12, 20])
@pytest.mark.parametrize("seed", [None, (1, 2)])
def test_any_resolution(resolution: int, seed: tuple[int, ...] | None) -> None:
    found = one(Loading(1), pixel_images(), BatchRequest(FIRST, resolution, seed))
    assert found.shape == (4, 1, resolution, resolution)


def test_the_same_seed_gives_the_same_view_and_others_do_not() -> None:
    loading = Loading(1, augmentation=SMALL_IMAGES)
    views = [
        one(loading, pixel_images(), BatchRequest(FIRST, 12, seed)) for seed in [(1,), (1,), (2,)]
    ]
    assert torch.equal(views[0], views[1])
    assert not torch.equal(views[0], views[2])


def test_a_crop_of_the_whole_image_is_the_image() -> None:
    loading = Loading(1, augmentation=replace(PLAIN, smallest_area=1.0, widest=1.0))
    whole = one(loading, pixel_images(), BatchRequest(FIRST, 12, (0,)))
    assert torch.allclose(whole, one(loading, pixel_images(), BatchRequest(FIRST, 12)), atol=1e-5)


def test_grey_images_become_coloured_and_back() -> None:
    grey = one(Loading(3), pixel_images(channels=1), BatchRequest(FIRST, 12))
    assert grey.shape == (4, 3, 12, 12)
    coloured = one(Loading(1), pixel_images(channels=3), BatchRequest(FIRST, 12))
    assert torch.allclose(
        coloured, one(Loading(1), pixel_images(), BatchRequest(FIRST, 12)), atol=1e-5
    )


def test_crops_stay_inside_and_are_as_large_as_asked_for() -> None:
    boxes = random_boxes(np.random.default_rng(0), 1000, 50, 30, PICTURES)
    left, top, right, bottom = boxes.T
    assert left.min() >= 0
    assert top.min() >= 0
    assert right.max() <= 50
    assert bottom.max() <= 30
    width, height = right - left, bottom - top
    assert np.all((width / height >= 3 / 4 - 1e-9) & (width / height <= 4 / 3 + 1e-9))
    areas = width * height / 1500
    assert 0.08 <= areas.min() < 0.1
    assert areas.max() > 0.7
    assert len(np.unique(boxes, axis=0)) == 1000


def test_a_box_that_never_fits_becomes_the_middle() -> None:
    rng = np.random.default_rng(0)
    whole = replace(PICTURES, smallest_area=1.0)
    assert random_boxes(rng, 2, 100, 10, whole).tolist() == [[45, 0, 55, 10]] * 2


def test_half_of_the_images_are_mirrored() -> None:
    ramp = torch.linspace(0, 1, 8).expand(1000, 1, 8, 8)
    found = vary(ramp, replace(SMALL_IMAGES, flip=True), np.random.default_rng(0))
    mirrored = (found[:, 0, 0, 0] > 0.5).float().mean()
    assert 0.45 < mirrored < 0.55


def test_colours_vary_within_bounds_and_grey_stays_grey() -> None:
    image = torch.tensor([0.2, 0.4, 0.6]).view(1, 3, 1, 1).expand(500, 3, 4, 4)
    found = vary(image, PICTURES, np.random.default_rng(0))
    assert found.min() >= 0
    assert found.max() <= 1
    # Brightness changes all channels by up to an eighth, saturation their distance by up to half.
    distance = found[:, 2] - found[:, 0]
    assert distance.min() > 0.4 * 0.5 * 0.87
    assert distance.max() < 0.4 * 1.5 * 1.13
    assert distance.std() > 0.05
    grey = torch.full((50, 3, 2, 2), 0.5)
    shades = vary(grey, PICTURES, np.random.default_rng(0))
    assert torch.allclose(shades[:, 0], shades[:, 1], atol=1e-6)


@pytest.mark.parametrize("write", [write_folders, write_shards])
@pytest.mark.parametrize("seed", [None, (3,)])
def test_pictures_from_files(
    tmp_path: Path, write: Callable[[Path], Path], seed: tuple[int, ...] | None
) -> None:
    data = open_data(write(tmp_path))
    plain = replace(PICTURES, brightness=0.0, saturation=0.0)
    request = BatchRequest(np.arange(len(data.train)), 24, seed)
    batch = next(Loading(3, augmentation=plain).batches(data.train, [request]))
    assert batch.images.shape == (len(data.train), 3, 24, 24)
    colours = torch.tensor(list(COLOURS.values()))[batch.labels].view(-1, 3, 1, 1) / 255
    # JPEG changes colours a little.
    assert (batch.images - normalise(colours.expand(-1, 3, 24, 24))).abs().max() < 0.05


def test_workers_give_the_same_batches_in_the_same_order(tmp_path: Path) -> None:
    images = open_data(write_folders(tmp_path)).train
    requests = [BatchRequest(np.arange(i, i + 3), 16, (i,)) for i in range(5)]
    alone, helped = (
        list(Loading(3, workers=workers).batches(images, requests)) for workers in (0, 2)
    )
    assert len(alone) == 5
    for ours, theirs in zip(alone, helped, strict=True):
        assert torch.equal(ours.images, theirs.images)
        assert torch.equal(ours.labels, theirs.labels)


def test_evaluation_sees_every_image_even_a_last_one_alone() -> None:
    images = pixel_images(9)
    batches = PlainBatches(Loading(1), Part(images, np.arange(9)), 12, 4)
    assert [len(batch.labels) for batch in batches] == [4, 4, 1]
    assert torch.cat([batch.labels for batch in batches]).tolist() == images.labels.tolist()


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_pictures_of_16_bits_keep_their_brightness(tmp_path: Path, channels: int) -> None:
    for name, level in (("bright", 50_000), ("dark", 5_000)):
        (tmp_path / name).mkdir()
        deep = np.full((20, 20), level, np.uint16)
        for number in range(2):
            Image.fromarray(deep).save(tmp_path / name / f"{number}.png")
    images = open_data(tmp_path).train
    loading = Loading(channels)
    (batch,) = loading.batches(images, [BatchRequest(FIRST, 8)])
    plain = normalise(
        torch.tensor([50_000, 5_000]).view(2, 1, 1, 1).expand(2, channels, 8, 8) / 65535
    )
    assert torch.allclose(batch.images[[0, 2]], plain, atol=0.02)


def test_grey_and_transparent_pictures_are_read(tmp_path: Path) -> None:
    from PIL import Image

    write_folders(tmp_path)
    Image.new("L", (20, 20), 128).save(tmp_path / "train" / "red" / "0.JPEG", "JPEG")
    Image.new("RGBA", (20, 20), (200, 0, 0, 10)).save(tmp_path / "train" / "red" / "1.png")
    part = split_data(open_data(tmp_path)).train
    batches = list(PlainBatches(Loading(3), part, 16, 8))
    assert sum(len(batch.labels) for batch in batches) == len(part)


DAMAGE = {
    "cut short": lambda content: content[: len(content) // 2],
    "no picture": lambda _: b"not a picture",
    "empty": lambda _: b"",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
@pytest.mark.parametrize("workers", [0, 1])
def test_an_unreadable_picture_is_named_counted_and_left_out(
    tmp_path: Path, damage: Callable[[bytes], bytes], workers: int
) -> None:
    write_folders(tmp_path)
    path = tmp_path / "train" / "green" / "1.png"
    path.write_bytes(damage(picture((0, 255, 0), 400, 300, "PNG")))
    told: list[str] = []
    loading = Loading(3, workers=workers, unreadable=UnreadablePictures(tell=told.append))
    images = open_data(tmp_path).train
    for _ in range(2):
        batch = next(loading.batches(images, [BatchRequest(np.arange(24), 16, (0,))]))
        assert batch.labels.tolist() == [0] * 8 + [1] * 7 + [2] * 8
    assert len(told) == 1
    assert f"left out, 1 so far: {path}" in told[0]


def test_too_many_unreadable_pictures_are_an_error(tmp_path: Path) -> None:
    write_folders(tmp_path)
    for path in (tmp_path / "train" / "red").iterdir():
        path.write_bytes(b"?")
    told: list[str] = []
    loading = Loading(3, unreadable=UnreadablePictures(limit=3, tell=told.append))
    with pytest.raises(UserError, match=r"more than 3 pictures cannot be read.*train/red/"):
        next(loading.batches(open_data(tmp_path).train, [BatchRequest(np.arange(24), 16)]))
    assert len(told) == 3
