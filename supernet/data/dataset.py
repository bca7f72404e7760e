"""Recognises the data set in a folder: image folders, idx files, CIFAR's binary files, shards."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from compofa.common.errors import UserError
from compofa.supernet.data.formats.cifar import cifar_images, which_cifar
from compofa.supernet.data.formats.folder import class_folders, folder_images, list_pictures
from compofa.supernet.data.formats.idx import TEST, TRAIN, has_idx, idx_images
from compofa.supernet.data.formats.shards import ShardImages
from compofa.supernet.data.images import Images
from compofa.supernet.space import Space

TRAIN_FOLDERS = ("train", "training")
TEST_FOLDERS = ("val", "valid", "validation", "test")
"""Usual names of the folder with the test images; the first one that exists is used."""


@dataclass(frozen=True)
class DataSet:
    """The labelled images of a data set.

    Attributes:
        path: the folder.
        kind: folder, shards, idx, cifar10 or cifar100.
        train: the training images, from which held-out images are split off.
        test: the test images; None if the data set has none, in which case `split` sets some aside.
    """

    path: Path
    kind: str
    train: Images
    test: Images | None

    @cached_property
    def classes(self) -> int:
        """The number of classes: one more than the highest label."""
        return 1 + max(int(each.labels.max()) for each in (self.train, self.test) if each)

    def check_space(self, space: Space) -> None:
        """Raises UserError if networks of `space` have other input channels or classes."""
        if space.in_channels not in (1, 3):
            message = f"space {space.name} has {space.in_channels} input channels, but images have "
            message += "1 or 3"
            raise UserError(message, path=self.path)
        if space.classes != self.classes:
            message = f"the data set has {self.classes} classes, but space {space.name} has "
            hint = f"write a space file with `classes: {self.classes}`; see docs/spaces.md"
            raise UserError(f"{message}{space.classes}", path=self.path, hint=hint)


def open_data(path: Path) -> DataSet:
    """Recognises the data set in the folder `path`.

    Pictures are listed, the headers of shards are read, and small images are loaded into memory.

    Raises:
        UserError: the folder has no data set that can be recognised, or a file of it is damaged.
    """
    if not path.is_dir():
        message = "not a folder" if path.exists() else "no such folder"
        raise UserError(message, path=path, hint="--data must be the folder of a data set")
    if has_idx(path):
        return _checked(path, "idx", idx_images(path, TRAIN), idx_images(path, TEST))
    cifar = which_cifar(path)
    if cifar is not None:
        return _checked(path, cifar, *cifar_images(path, cifar))
    train, test = _subfolder(path, TRAIN_FOLDERS), _subfolder(path, TEST_FOLDERS)
    shards = sorted((train or path).glob("*.tar"))
    if shards:
        return _sharded(path, shards, sorted(test.glob("*.tar")) if train and test else [])
    if train is not None:
        images = folder_images(train)
        tested = folder_images(test, images.classes, all_classes=False) if test else None
        return _checked(path, "folder", images, tested)
    if class_folders(path):
        return _checked(path, "folder", folder_images(path), None)
    raise _unrecognised(path)


def _sharded(path: Path, shards: list[Path], tests: list[Path]) -> DataSet:
    """The data set of some shards; without `tests`, test shards are recognised by their names."""
    if not tests:
        tests = [shard for shard in shards if shard.name.startswith(TEST_FOLDERS)]
        shards = [shard for shard in shards if shard not in tests]
    if not shards:
        raise UserError("there are test shards, but none to train on", path=path)
    return _checked(path, "shards", ShardImages(shards), ShardImages(tests) if tests else None)


def _subfolder(path: Path, names: tuple[str, ...]) -> Path | None:
    return next((path / name for name in names if (path / name).is_dir()), None)


def _checked(path: Path, kind: str, train: Images | None, test: Images | None) -> DataSet:
    if train is None or not len(train):
        raise UserError("there are no images to train on", path=path)
    labels = np.bincount(train.labels)
    # A gap in the labels means that they do not count from 0, or that a class was not copied.
    if not labels.all():
        message = f"no image to train on has the label {int(np.argmin(labels))}"
        raise UserError(message, path=path)
    return DataSet(path, kind, train, test)


def _unrecognised(path: Path) -> UserError:
    loose = list_pictures(path, nested=False)
    message = (
        "it holds pictures without class folders"
        if loose
        else "it holds no data set that can be recognised"
    )
    hint = (
        "it may have train/CLASS/*.jpg (and val/), CLASS/*.jpg, *.tar shards, MNIST's idx files "
        "or CIFAR's .bin files"
    )
    return UserError(message, path=path, hint=hint)
