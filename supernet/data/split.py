"""Training, held-out and test images: parted once, from a seed, and on record.

Everything that is chosen during and after training is chosen by the held-out images. The test
images are for the last look alone.
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
"""As many as OFA's accuracy predictor was fitted to (Cai et al., ICLR 2020, appendix A)."""

FORMAT = "compofa split"

LARGEST = 1_000_000
"""Bytes of a record; larger ones are refused."""

VERSION = 2
"""Of the splits that are made; those of version 1 are made again from their records."""

DIGESTS = ("images_sha256", "heldout_sha256")
"""What a checkpoint's metadata takes from a record, to tell what it was trained on."""


@dataclass(frozen=True)
class Split:
    """The three parts of a data set.

    Attributes:
        record: says in plain values how it was made, and digests that tell whether another split
            is the same one.
    """

    train: Part
    heldout: Part
    test: Part
    record: Mapping[str, str | int]

    def part(self, name: str) -> Part:
        """The part called train, heldout or test.

        Raises:
            UserError: none of these.
        """
        parts = {"train": self.train, "heldout": self.heldout, "test": self.test}
        if name not in parts:
            raise UserError(f"{name!r} is no part of a split: {', '.join(parts)}")
        return parts[name]

    @property
    def gaps(self) -> tuple[str, ...]:
        """What people should know of classes without images, one sentence each."""
        classes = int(self.train.images.labels.max()) + 1
        sentences = []
        for name, part in (("validated", self.heldout), ("tested", self.test)):
            missing = np.flatnonzero(np.bincount(part.labels, minlength=classes) == 0)
            if len(missing):
                some = ", ".join(map(str, missing[:5])) + (", ..." if len(missing) > 5 else "")
                sentences.append(
                    f"{len(missing)} of {classes} classes are never {name}, for no image of "
                    f"theirs is among the {len(part)} (labels {some})"
                )
        return tuple(sentences)

    def contradicts(self, metadata: Mapping[str, object]) -> bool:
        """Whether a checkpoint's metadata tells of these images, but of others held out."""
        images, heldout = (metadata.get(name) == self.record[name] for name in DIGESTS)
        return images and not heldout


def split_data(
    data: DataSet, seed: int = 0, heldout: int | None = None, version: int = VERSION
) -> Split:
    """Parts `data`; the same seed, number and version give the same parts.

    Args:
        data: where it has no test images of its own, as many as are held out are set aside too.
        seed: of the draw.
        heldout: how many to hold out; a tenth of the training images if None, 10,000 at most.
        version: 2 holds out of each class in proportion to its images, and leaves it one to train
            on at least; 1, of earlier records, draws from all images alike.

    Raises:
        UserError: too few images are left to train on.
    """
    images = data.train
    count = min(MOST_HELD_OUT, len(images) // 10) if heldout is None else heldout
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
            hint = "every class needs an image to train on"
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
    """How many of each class to take for each of so many parts; None where that is too many.

    In proportion to the classes' sizes, what is left over going to the largest remainders.
    """
    most: IntArray = (sizes - 1) // parts
    exact = count * sizes / sizes.sum()
    shares: IntArray = np.minimum(exact.astype(np.int64), most)
    while shares.sum() < count:
        # Classes that have none left to give come last, whatever their share.
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
    """Positions to hold out, to set aside (where there are two parts) and to train on."""
    by_class = np.split(np.argsort(labels, kind="stable"), np.cumsum(np.bincount(labels))[:-1])
    held, aside, train = [], [], []
    for positions, share in zip(by_class, shares, strict=True):
        drawn = rng.permutation(positions)
        held.append(drawn[:share])
        aside.append(drawn[share : share * parts])
        train.append(drawn[share * parts :])
    return np.concatenate(held), np.concatenate(aside), np.concatenate(train)


def split_like(data: DataSet, metadata: Mapping[str, object], heldout: int | None = None) -> Split:
    """The usual split of `data`, or the one of an earlier version that a checkpoint was trained by.

    Args:
        data: what to part.
        metadata: of the checkpoint.
        heldout: as for `split_data`.

    Raises:
        UserError: too few images are left to train on.
    """
    usual = split_data(data, heldout=heldout)
    if usual.contradicts(metadata):
        earlier = split_data(data, heldout=heldout, version=1)
        if not earlier.contradicts(metadata):
            return earlier
    return usual


def _digest(positions: Positions) -> str:
    return hashlib.sha256(positions.astype("<i8").tobytes()).hexdigest()


def write_split(path: Path, split: Split) -> None:
    """Puts the split on record as JSON.

    Raises:
        UserError: it cannot be written.
    """
    write_atomically(path, json.dumps(split.record, indent=1) + "\n", "the record of the split")


def recorded_split(path: Path, data: DataSet) -> Split:
    """The split of `data` that is on record at `path`, made again.

    Raises:
        UserError: there is no such record, or the data has changed since.
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
        raise UserError("it is a damaged record of a split", path=path)
    if version not in (1, VERSION):
        message = f"it is the record of a split of version {version!r}, this program reads 1 and 2"
        raise UserError(message, path=path)
    split = split_data(data, seed, heldout, version)
    changed = [name for name, value in split.record.items() if record.get(name) != value]
    if changed:
        message = f"the data in {data.path} is not what it was: {', '.join(changed)} differ"
        raise UserError(message, path=path)
    return split
