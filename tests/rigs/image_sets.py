"""Small data sets in every format, written to a folder."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]


def idx(array: Pixels) -> bytes:
    """`array` as the content of an idx file."""
    header = struct.pack(f">2xBB{array.ndim}I", 8, array.ndim, *array.shape)
    return header + array.tobytes()


def learnable(count: int, size: int, classes: int = 3, seed: int = 0) -> tuple[Pixels, Pixels]:
    """Grey images [n, size, size] that show their class as a bright bar, and their labels."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(count) % classes).astype(np.uint8)
    images = rng.integers(0, 80, (count, size, size), dtype=np.uint8)
    height = size // classes
    for image, label in zip(images, labels, strict=True):
        image[label * height : (label + 1) * height] += 150
    return images, labels


def write_idx(folder: Path, train: int = 64, test: int = 16, size: int = 12) -> Path:
    """A set of learnable images like MNIST's, the test images compressed."""
    folder.mkdir(exist_ok=True)
    for name, count, seed, suffix in (("train", train, 0, ""), ("t10k", test, 1, ".gz")):
        images, labels = learnable(count, size, seed=seed)
        for kind, array in (
            (f"images-idx3-ubyte{suffix}", images),
            (f"labels-idx1-ubyte{suffix}", labels),
        ):
            content = idx(array)
            (folder / f"{name}-{kind}").write_bytes(gzip.compress(content) if suffix else content)
    return folder


def picture(colour: Sequence[int], width: int = 40, height: int = 30, kind: str = "JPEG") -> bytes:
    """An image file of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), tuple(colour)).save(buffer, kind)
    return buffer.getvalue()


COLOURS = {"blue": (20, 20, 220), "green": (20, 220, 20), "red": (220, 20, 20)}
"""Of the classes of `write_folders` and `write_shards`, in the order of their labels."""


def write_folders(
    folder: Path, per_class: int = 8, parts: Sequence[str] = ("train", "val")
) -> Path:
    """Class folders of one colour each, JPEG and PNG, in every one of `parts`."""
    for part in parts:
        for name, colour in COLOURS.items():
            (folder / part / name).mkdir(parents=True)
            for number in range(per_class):
                kind, suffix = ("PNG", "png") if number % 2 else ("JPEG", "JPEG")
                path = folder / part / name / f"{number}.{suffix}"
                path.write_bytes(picture(colour, 40 + number, kind=kind))
    return folder


def write_shard(path: Path, members: Mapping[str, bytes]) -> Path:
    """A tar file of `members`."""
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def write_shards(folder: Path, shards: int = 3, pictures: int = 6) -> Path:
    """WebDataset shards to train on, and one to test with."""
    folder.mkdir(exist_ok=True)
    names = [f"train-{number:04}.tar" for number in range(shards)] + ["val-0000.tar"]
    for name in names:
        members: dict[str, bytes] = {}
        for number in range(pictures):
            label = number % len(COLOURS)
            members[f"{number:05}.jpg"] = picture(list(COLOURS.values())[label])
            members[f"{number:05}.cls"] = str(label).encode()
        write_shard(folder / name, members)
    return folder


def write_cifar(folder: Path, images: int = 6) -> Path:
    """CIFAR-10 or CIFAR-100, whichever the folder is named for, in the binary version."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    labels, names = 1, [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
    if folder.name == "cifar100":
        labels, names = 2, ["train.bin", "test.bin"]
    for name in names:
        classes = np.arange(images * labels).reshape(images, labels) % 3
        pixels = rng.integers(0, 256, (images, 3072))
        records = np.concatenate([classes, pixels], axis=1).astype(np.uint8)
        (folder / name).write_bytes(records.tobytes())
    return folder
