"""Images are parted once: from a seed, without overlap, and on record."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compofa.common.errors import UserError
from compofa.supernet.data.dataset import DataSet, open_data
from compofa.supernet.data.images import PixelImages
from compofa.supernet.data.split import (
    DIGESTS,
    recorded_split,
    split_data,
    split_like,
    write_split,
)
from rigs.image_sets import learnable, picture, write_folders, write_idx


def images(count: int) -> PixelImages:
    pixels, labels = learnable(count, 4)
    return PixelImages(pixels[:, None], labels.astype("int64"))


@given(st.integers(12, 200), st.booleans(), st.integers(0, 5))
def test_every_image_is_in_one_part(count: int, has_test: bool, seed: int) -> None:
    data = DataSet(Path(), "idx", images(count), images(5) if has_test else None)
    split = split_data(data, seed)
    own = [split.train, split.heldout] + ([] if has_test else [split.test])
    assert sorted(p for part in own for p in part.positions.tolist()) == list(range(count))
    assert len(split.heldout) == count // 10
    assert len(split.test) == (5 if has_test else count // 10)


def test_the_same_seed_gives_the_same_parts_and_another_does_not(tmp_path: Path) -> None:
    data = open_data(write_idx(tmp_path / "d"))
    first, again, other = (split_data(data, seed) for seed in (0, 0, 1))
    assert first.record == again.record
    assert first.record["heldout_sha256"] != other.record["heldout_sha256"]
    assert first.heldout.positions.tolist() == again.heldout.positions.tolist()


def test_a_record_gives_the_split_back(tmp_path: Path) -> None:
    data = open_data(write_idx(tmp_path / "d"))
    split = split_data(data, seed=3, heldout=9)
    write_split(tmp_path / "split.json", split)
    again = recorded_split(tmp_path / "split.json", data)
    assert again.heldout.positions.tolist() == split.heldout.positions.tolist()


def test_a_record_of_other_images_is_refused(tmp_path: Path) -> None:
    folder = write_folders(tmp_path / "d")
    write_split(tmp_path / "split.json", split_data(open_data(folder)))
    (folder / "train" / "red" / "new.jpg").write_bytes(picture((250, 0, 0)))
    with pytest.raises(UserError, match="has changed since"):
        recorded_split(tmp_path / "split.json", open_data(folder))


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", json.dumps({"format": "compofa split"}), 10_000 * "["]
)
def test_a_damaged_record_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "split.json").write_text(content)
    with pytest.raises(UserError, match="the record of (a split|the split is damaged)"):
        recorded_split(tmp_path / "split.json", open_data(write_idx(tmp_path / "d")))


@given(st.lists(st.integers(2, 40), min_size=2, max_size=8), st.booleans(), st.data())
def test_every_class_is_held_out_in_proportion_and_left_to_train_on(
    sizes: list[int], has_test: bool, data: st.DataObject
) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    pixels = np.zeros((len(labels), 1, 2, 2), np.uint8)
    parts = 1 if has_test else 2
    heldout = data.draw(st.integers(1, max(1, sum((size - 1) // parts for size in sizes))))
    test = PixelImages(pixels, labels) if has_test else None
    try:
        split = split_data(DataSet(Path(), "idx", PixelImages(pixels, labels), test), 0, heldout)
    except UserError:
        assert heldout > sum((size - 1) // parts for size in sizes)
        return
    assert len(split.heldout) == heldout
    taken = np.bincount(split.heldout.labels, minlength=len(sizes))
    left = np.bincount(split.train.labels, minlength=len(sizes))
    assert left.min() >= 1
    exact = heldout * np.array(sizes) / sum(sizes)
    roomy = (np.array(sizes) - 1) // parts >= np.ceil(exact)
    if roomy.all():
        assert np.abs(taken - exact).max() < 1


def test_a_record_of_version_1_gives_the_split_of_that_version(tmp_path: Path) -> None:
    data = open_data(write_idx(tmp_path / "d"))
    earlier = split_data(data, version=1)
    # What it was before splits were stratified.
    drawn = np.random.default_rng(0).permutation(64)
    assert earlier.heldout.positions.tolist() == sorted(drawn[:6].tolist())
    write_split(tmp_path / "split.json", earlier)
    again = recorded_split(tmp_path / "split.json", data)
    assert again.record == earlier.record
    metadata = {name: earlier.record[name] for name in DIGESTS}
    assert split_data(data).contradicts(metadata)
    assert split_like(data, metadata).record == earlier.record


def test_a_record_of_a_later_version_is_refused(tmp_path: Path) -> None:
    data = open_data(write_idx(tmp_path / "d"))
    record = dict(split_data(data).record) | {"version": 3}
    (tmp_path / "split.json").write_text(json.dumps(record))
    with pytest.raises(UserError, match="of version 3, but this program reads versions 1 and 2"):
        recorded_split(tmp_path / "split.json", data)


def test_classes_that_are_never_validated_are_said(tmp_path: Path) -> None:
    data = open_data(write_idx(tmp_path / "d"))
    assert split_data(data).gaps == ()
    (told,) = split_data(data, heldout=2).gaps
    assert told.startswith("1 of 3 classes are never validated")


def test_too_few_images_to_hold_some_out(tmp_path: Path) -> None:
    data = open_data(write_idx(tmp_path / "d", train=9))
    with pytest.raises(UserError, match="9 training images are too few"):
        split_data(data)
    with pytest.raises(UserError, match="too few to hold 8 out"):
        split_data(data, heldout=8)


def test_an_unknown_part_is_refused(tmp_path: Path) -> None:
    split = split_data(open_data(write_idx(tmp_path / "d")))
    assert split.part("heldout") is split.heldout
    with pytest.raises(UserError, match="train, heldout, test"):
        split.part("valid")
