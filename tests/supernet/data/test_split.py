"""Images are parted once: from a seed, without overlap, and on record."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compofa.common.errors import UserError
from compofa.supernet.data.dataset import DataSet, open_data
from compofa.supernet.data.images import PixelImages
from compofa.supernet.data.split import recorded_split, split_data, write_split
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
    with pytest.raises(UserError, match="is not what it was"):
        recorded_split(tmp_path / "split.json", open_data(folder))


@pytest.mark.parametrize("content", ["", "[]", "{}", json.dumps({"format": "compofa split"})])
def test_a_damaged_record_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "split.json").write_text(content)
    with pytest.raises(UserError, match="record of a split"):
        recorded_split(tmp_path / "split.json", open_data(write_idx(tmp_path / "d")))


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
