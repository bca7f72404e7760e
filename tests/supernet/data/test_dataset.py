"""Data sets are recognised by what lies in a folder, and damage is named."""

from __future__ import annotations

import gzip
import math
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from compofa.common.errors import UserError
from compofa.supernet.data.dataset import open_data
from compofa.supernet.data.formats.folder import FolderImages
from compofa.supernet.data.formats.idx import read_idx
from compofa.supernet.data.images import FileImages, PixelImages
from compofa.supernet.spaces import SPACES
from rigs.image_sets import idx, picture, write_folders, write_idx, write_shard, write_shards


def write_cifar(folder: Path, files: dict[str, int], labels: int) -> Path:
    """Files of so many records: label bytes 7, 1 and so on, pixels all equal to the position."""
    folder.mkdir()
    for name, count in files.items():
        records = [bytes([7, i % 2][-labels:]) + bytes([i]) * 3072 for i in range(count)]
        (folder / name).write_bytes(b"".join(records))
    return folder


def test_idx_files_plain_or_compressed(tmp_path: Path) -> None:
    data = open_data(write_idx(tmp_path / "mnist"))
    assert (data.kind, data.classes) == ("idx", 3)
    assert isinstance(data.train, PixelImages)
    assert data.train.pixels.shape == (64, 1, 12, 12)
    assert data.test is not None
    assert data.test.labels.tolist() == [i % 3 for i in range(16)]


@given(array=arrays(np.uint8, array_shapes(min_dims=1, max_dims=4, max_side=5)))
def test_idx_files_round_trip(tmp_path_factory: pytest.TempPathFactory, array: np.ndarray) -> None:
    path = tmp_path_factory.mktemp("idx") / "file"
    path.write_bytes(idx(array))
    assert np.array_equal(read_idx(path), array)


@given(shape=st.lists(st.integers(0, 300), max_size=3), content=st.binary(max_size=40))
def test_an_idx_file_of_another_size_is_refused(
    tmp_path_factory: pytest.TempPathFactory, shape: list[int], content: bytes
) -> None:
    assume(math.prod(shape) != len(content))
    path = tmp_path_factory.mktemp("idx") / "file"
    path.write_bytes(struct.pack(f">2xBB{len(shape)}I", 8, len(shape), *shape) + content)
    with pytest.raises(
        UserError, match=f"{len(content)} bytes of data follow the header, which says"
    ):
        read_idx(path)


@given(content=st.binary(max_size=40))
def test_bytes_that_are_no_idx_file_are_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    assume(not content.startswith(b"\0\0\x08"))
    path = tmp_path_factory.mktemp("idx") / "file"
    path.write_bytes(content)
    with pytest.raises(UserError, match="not an idx file|truncated"):
        read_idx(path)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_an_idx_file_beyond_bounds_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: Callable[[bytes], bytes]
) -> None:
    monkeypatch.setattr("compofa.supernet.data.formats.idx.LARGEST", 1000)
    path = tmp_path / "file"
    path.write_bytes(pack(idx(np.zeros(992, dtype=np.uint8))))
    assert read_idx(path).shape == (992,)
    path.write_bytes(pack(idx(np.zeros(993, dtype=np.uint8))))
    with pytest.raises(UserError, match="the file has more than 1,000 bytes"):
        read_idx(path)


def test_cifar_10(tmp_path: Path) -> None:
    files = {f"data_batch_{i}.bin": 4 for i in range(1, 6)} | {"test_batch.bin": 2}
    data = open_data(write_cifar(tmp_path / "c", files, labels=1))
    assert (data.kind, len(data.train), data.classes) == ("cifar10", 20, 2)
    assert isinstance(data.train, PixelImages)
    assert data.train.pixels.shape == (20, 3, 32, 32)
    assert (data.train.pixels[3] == 3).all()


def test_cifar_100_has_the_fine_labels(tmp_path: Path) -> None:
    data = open_data(write_cifar(tmp_path / "c", {"train.bin": 4, "test.bin": 2}, labels=2))
    assert data.kind == "cifar100"
    assert data.train.labels.tolist() == [0, 1, 0, 1]


def test_a_truncated_cifar_file_is_named(tmp_path: Path) -> None:
    folder = write_cifar(tmp_path / "c", {"train.bin": 4, "test.bin": 2}, labels=2)
    (folder / "test.bin").write_bytes(b"\0" * 100)
    with pytest.raises(UserError, match=r"test\.bin: the file is truncated or damaged"):
        open_data(folder)


def test_imagenet_folders(tmp_path: Path) -> None:
    data = open_data(write_folders(tmp_path))
    assert (data.kind, len(data.train), data.classes) == ("folder", 24, 3)
    assert isinstance(data.train, FileImages)
    assert data.train.labels.tolist() == [0] * 8 + [1] * 8 + [2] * 8
    assert data.train.name(8).endswith("train/green/0.JPEG")
    assert data.train.open(8).size == (40, 30)
    assert data.test is not None


def test_class_folders_alone_have_no_test_images(tmp_path: Path) -> None:
    write_folders(tmp_path, parts=("",))
    assert open_data(tmp_path).test is None


def test_shards(tmp_path: Path) -> None:
    data = open_data(write_shards(tmp_path))
    assert (data.kind, len(data.train), data.classes) == ("shards", 18, 3)
    assert data.train.labels.tolist() == [0, 1, 2] * 6
    assert data.train.groups is not None
    assert data.train.groups.tolist() == [0] * 6 + [1] * 6 + [2] * 6
    assert isinstance(data.train, FileImages)
    _, green, _ = data.train.open(7).convert("RGB").resize((1, 1)).tobytes()
    assert green > 200


def test_shards_in_folders_of_their_own(tmp_path: Path) -> None:
    write_shards(tmp_path / "flat")
    for part in ("train", "val"):
        (tmp_path / part).mkdir()
        for shard in (tmp_path / "flat").glob(f"{part}-*.tar"):
            shard.rename(tmp_path / part / shard.name)
    data = open_data(tmp_path)
    assert data.test is not None
    assert (len(data.train), len(data.test)) == (18, 6)


def test_hidden_files_in_a_shard_are_passed_over(tmp_path: Path) -> None:
    members = {"a.jpg": picture((1, 2, 3)), "a.cls": b"0"}
    # What macOS puts beside every file of an archive.
    hidden = {f"._{name}": b"\0\5\x16\7" for name in members}
    write_shard(tmp_path / "a.tar", hidden | members)
    data = open_data(tmp_path)
    assert len(data.train) == 1


def test_pictures_are_found_in_folders_below_their_class(tmp_path: Path) -> None:
    for place in ("cat", "cat/indoors/day", "dog", "dog/.thumbnails"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "1.png").write_bytes(picture((1, 2, 3), kind="PNG"))
    train = open_data(tmp_path).train
    assert isinstance(train, FolderImages)
    names = [Path(train.name(i)).relative_to(tmp_path).as_posix() for i in range(len(train))]
    assert names == ["cat/1.png", "cat/indoors/day/1.png", "dog/1.png"]
    assert train.labels.tolist() == [0, 0, 1]


SHARD_DAMAGE = {
    "no label": ({"1.jpg": b"x"}, "has no label 1.cls"),
    "no picture": ({"1.cls": b"1"}, "no picture beside its label"),
    "a label in words": ({"1.jpg": b"x", "1.cls": b"cat"}, "not a whole number"),
    "nothing": ({}, "without pictures"),
}


@pytest.mark.parametrize(("members", "message"), SHARD_DAMAGE.values(), ids=SHARD_DAMAGE.keys())
def test_what_is_wrong_with_a_shard_is_named(
    tmp_path: Path, members: dict[str, bytes], message: str
) -> None:
    write_shard(tmp_path / "a.tar", members)
    with pytest.raises(UserError, match=message) as raised:
        open_data(tmp_path)
    assert raised.value.path == tmp_path / "a.tar"


def test_a_truncated_shard_is_named(tmp_path: Path) -> None:
    write_shards(tmp_path)
    shard = tmp_path / "train-0001.tar"
    shard.write_bytes(shard.read_bytes()[:700])
    with pytest.raises(UserError, match="damaged") as raised:
        open_data(tmp_path)
    assert raised.value.path == shard


def test_an_empty_class_folder_is_named(tmp_path: Path) -> None:
    write_folders(tmp_path)
    (tmp_path / "train" / "violet").mkdir()
    with pytest.raises(UserError, match="the class 'violet' has no pictures"):
        open_data(tmp_path)


def test_a_class_may_have_no_test_pictures(tmp_path: Path) -> None:
    write_folders(tmp_path)
    for path in (tmp_path / "val" / "red").iterdir():
        path.unlink()
    data = open_data(tmp_path)
    assert data.test is not None
    assert set(data.test.labels.tolist()) == {0, 1}


def test_a_test_class_that_was_not_trained_is_named(tmp_path: Path) -> None:
    write_folders(tmp_path)
    (tmp_path / "val" / "gren").mkdir()
    with pytest.raises(UserError, match="'gren' is not a class .*did you mean 'green'"):
        open_data(tmp_path)


NO_DATA = {
    "nothing": ([], "no data set that can be recognised"),
    "loose pictures": (["a.jpg"], "pictures without class folders"),
    "text": (["readme.txt"], "no data set that can be recognised"),
}


@pytest.mark.parametrize(("files", "message"), NO_DATA.values(), ids=NO_DATA.keys())
def test_a_folder_without_data_says_what_could_be_there(
    tmp_path: Path, files: list[str], message: str
) -> None:
    for name in files:
        (tmp_path / name).write_bytes(picture((0, 0, 0)))
    with pytest.raises(UserError, match=message) as raised:
        open_data(tmp_path)
    assert "CLASS/*.jpg" in str(raised.value)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        open_data(tmp_path / "nowhere")


def test_images_without_their_labels_are_named(tmp_path: Path) -> None:
    folder = write_idx(tmp_path / "mnist")
    (folder / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(UserError, match="no file train-labels"):
        open_data(folder)


def test_a_space_of_other_classes_is_refused_with_the_way_out(tmp_path: Path) -> None:
    data = open_data(write_idx(tmp_path / "mnist"))
    with pytest.raises(UserError, match="3 classes, but space compofa has 1000.*`classes: 3`"):
        data.check_space(SPACES["compofa"])
    data.check_space(replace(SPACES["compofa"], classes=3))
