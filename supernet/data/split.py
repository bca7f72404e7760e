"""Splits a data set into training, held-out and test images, by a seed and with a record.

All choices during and after training are made by the held-out images. The test images are for final
results only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from compofa.common.arrays import IntArray
from compofa.common.errors import UserError
from compofa.common.files import read_bounded, write_atomically
from compofa.supernet.data.dataset import DataSet
from compofa.supernet.data.images import Labels, Part, Positions

MOST_HELD_OUT = 10_000
"""As many as those by which OFA's predictor was fitted (Cai et al., ICLR 2020, appendix A)."""

FORMAT = "compofa split"

LARGEST = 1_000_000
"""Bytes. A larger record is refused."""

VERSION = 2
"""The version of new splits. Splits of version 1 can still be made again from their records."""

DIGESTS = ("images_sha256", "heldout_sha256")
"""The entries of a record that are copied to a checkpoint, to tell what it was trained on."""


@dataclass(frozen=True)
class Split:
    """The three parts of a data set.

    Attributes:
        train, heldout, test: the parts.
        record: how the split was made, and digests by which equal splits are recognised.
    """

    train: Part
    heldout: Part
    test: Part
    record: Mapping[str, str | int]

    def part(self, name: str) -> Part:
        """The part called train, heldout or test.

        Raises:
            UserError: `name` is none of these.
        """
        parts = {"train": self.train, "heldout": self.heldout, "test": self.test}
        if name not in parts:
            hint = f"known: {', '.join(parts)}"
            raise UserError(f"{name!r} is not a part of a split", hint=hint)
        return parts[name]

    @property
    def gaps(self) -> tuple[str, ...]:
        """Notes about classes that have no held-out or no test images, one for each part."""
        classes = int(self.train.images.labels.max()) + 1
        sentences = []
        for name, part in (("validated", self.heldout), ("tested", self.test)):
            missing = np.flatnonzero(np.bincount(part.labels, minlength=classes) == 0)
            if len(missing):
                some = ", ".join(map(str, missing[:5])) + (", ..." if len(missing) > 5 else "")
                sentences.append(
                    f"{len(missing)} of {classes} classes are never {name}, because none of the "
                    f"{len(part)} images is of such a class (labels {some})"
                )
        return tuple(sentences)

    def contradicts(self, metadata: Mapping[str, object]) -> bool:
        """Whether a checkpoint was trained on the same images, but with others held out.

        Args:
            metadata: the metadata of the checkpoint.
        """
        images, heldout = (metadata.get(name) == self.record[name] for name in DIGESTS)
        return images and not heldout


def split_data(
    data: DataSet, seed: int = 0, heldout: int | None = None, version: int = VERSION
) -> Split:
    """Splits a data set. The same seed, number and version give the same parts.

    Args:
        data: the data set. If it has no test images, as many images as are held out are set aside
            as test images.
        seed: the random seed.
        heldout: how many images to hold out; None for a tenth of the training images, but at most
            10,000.
        version: 2 holds out images of each class in proportion to its size, and leaves at least one
            to train on. 1, as in earlier records, draws from all images equally.

    Raises:
        UserError: too few images would be left to train on.
    """
    images = data.train
    count = min(MOST_HELD_OUT, len(images) // 10) if heldout is None else heldout
    # Without test images, as many images again are set aside for testing.
    reserved = count * (1 if data.test is not None else 2)
    message = f"{len(images)} training images are too few to hold {max(count, 1)} out"
    if count < 1 or len(images) - reserved < 2:
        raise UserError(message, path=data.path)
    rng = np.random.default_rng(seed)
    if version == 1:
        drawn = rng.permutation(len(images))
        parts = drawn[:count], drawn[count:reserved], drawn[reserved:]
    else:
        shares = _shares(np.bincount(images.labels), count, reserved // count)
        if shares is None:
            hint = "every class needs at least one image to train on"
            raise UserError(message, path=data.path, hint=hint)
        parts = _stratified(rng, images.labels, shares, reserved // count)
    held, set_aside, train = (Part(images, np.sort(each)) for each in parts)
    test = set_aside if data.test is None else Part(data.test, np.arange(len(data.test)))
    record: dict[str, str | int] = {
        "format": FORMAT,
        "version": version,
        "kind": data.kind,
        "seed": seed,
        "train": len(train),
        "heldout": count,
        "test": len(test),
        "images_sha256": images.digest,
        "heldout_sha256": _digest(held.positions),
        "test_images_sha256": test.images.digest,
        "test_sha256": _digest(test.positions),
    }
    return Split(train, held, test, record)


def _shares(sizes: IntArray, count: int, parts: int) -> IntArray | None:
    """How many images of each class to take for each part, [classes]; None if there are too few.

    They are in proportion to the sizes of the classes, rounded by the largest remainders.

    Args:
        sizes: the number of images of each class, [classes].
        count: the number of images to take for each part.
        parts: the number of parts, which are of the same size.
    """
    most: IntArray = (sizes - 1) // parts
    exact = count * sizes / sizes.sum()
    shares: IntArray = np.minimum(exact.astype(np.int64), most)
    while shares.sum() < count:
        # A class without images to spare must not be chosen, however large its remainder.
        lacking = np.where(shares < most, exact - shares, -np.inf)
        neediest = np.argsort(-lacking, kind="stable")[: count - int(shares.sum())]
        neediest = neediest[np.isfinite(lacking[neediest])]
        if not len(neediest):
            return None
        shares[neediest] += 1
    return shares


def _stratified(
    rng: np.random.Generator, labels: Labels, shares: IntArray, parts: int
) -> tuple[Positions, Positions, Positions]:
    """The positions to hold out, to set aside as test images (with two parts), and to train on."""
    by_class = np.split(np.argsort(labels, kind="stable"), np.cumsum(np.bincount(labels))[:-1])
    held, aside, train = [], [], []
    for positions, share in zip(by_class, shares, strict=True):
        drawn = rng.permutation(positions)
        held.append(drawn[:share])
        aside.append(drawn[share : share * parts])
        train.append(drawn[share * parts :])
    return np.concatenate(held), np.concatenate(aside), np.concatenate(train)


def split_like(data: DataSet, metadata: Mapping[str, object], heldout: int | None = None) -> Split:
    """The split of `data` that a checkpoint was trained with, as far as it can be told.

    That is the usual split, unless the checkpoint was trained with one of an earlier version.

    Args:
        data: the data set.
        metadata: the metadata of the checkpoint.
        heldout: as in `split_data`.

    Raises:
        UserError: too few images would be left to train on.
    """
    usual = split_data(data, heldout=heldout)
    # The same images with others held out: the split was perhaps made by version 1.
    if usual.contradicts(metadata):
        earlier = split_data(data, heldout=heldout, version=1)
        if not earlier.contradicts(metadata):
            return earlier
    return usual


def _digest(positions: Positions) -> str:
    return hashlib.sha256(positions.astype("<i8").tobytes()).hexdigest()


def write_split(path: Path, split: Split) -> None:
    """Writes the record of a split as JSON.

    Raises:
        UserError: the file cannot be written.
    """
    write_atomically(path, json.dumps(split.record, indent=1) + "\n", "the record of the split")


def recorded_split(path: Path, data: DataSet) -> Split:
    """Makes the split of `data` again from its record.

    Raises:
        UserError: `path` is not such a record, or the data has changed since.
    """
    raw = read_bounded(path, LARGEST, "the record of the split")
    try:
        record: Any = json.loads(raw)
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise UserError("it is not the record of a split", path=path)
    seed, heldout, version = (record.get(name) for name in ("seed", "heldout", "version"))
    if not isinstance(seed, int) or not isinstance(heldout, int) or seed < 0:
        raise UserError("the record of the split is damaged", path=path)
    if version not in (1, VERSION):
        message = f"the split is of version {version!r}, but this program reads versions 1 and 2"
        raise UserError(message, path=path)
    split = split_data(data, seed, heldout, version)
    changed = [name for name, value in split.record.items() if record.get(name) != value]
    if changed:
        message = f"the data in {data.path} has changed since: {', '.join(changed)} differ"
        raise UserError(message, path=path)
    return split
