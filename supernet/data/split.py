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

from compofa.common.errors import UserError, file_error
from compofa.common.files import write_atomically
from compofa.supernet.data.dataset import DataSet
from compofa.supernet.data.images import Part, Positions

MOST_HELD_OUT = 10_000
"""As many as OFA's accuracy predictor was fitted to (Cai et al., ICLR 2020, appendix A)."""

FORMAT = "compofa split"


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

    def contradicts(self, metadata: Mapping[str, object]) -> bool:
        """Whether a checkpoint's metadata tells of these images, but of others held out."""
        images, heldout = (metadata.get(name) == self.record[name] for name in DIGESTS)
        return images and not heldout


def split_data(data: DataSet, seed: int = 0, heldout: int | None = None) -> Split:
    """Parts `data`; the same seed and number give the same parts.

    Args:
        data: where it has no test images of its own, as many as are held out are set aside too.
        seed: of the draw.
        heldout: how many to hold out; a tenth of the training images if None, 10,000 at most.

    Raises:
        UserError: too few images are left to train on.
    """
    images = data.train
    count = min(MOST_HELD_OUT, len(images) // 10) if heldout is None else heldout
    reserved = count * (1 if data.test is not None else 2)
    if count < 1 or len(images) - reserved < 2:
        message = f"{len(images)} training images are too few to hold {max(count, 1)} out"
        raise UserError(message, path=data.path)
    drawn = np.random.default_rng(seed).permutation(len(images))
    test = Part(images, np.sort(drawn[count:reserved]))
    if data.test is not None:
        test = Part(data.test, np.arange(len(data.test)))
    parts = Part(images, np.sort(drawn[reserved:])), Part(images, np.sort(drawn[:count])), test
    record: dict[str, str | int] = {
        "format": FORMAT,
        "version": 1,
        "kind": data.kind,
        "seed": seed,
        "train": len(parts[0]),
        "heldout": count,
        "test": len(test),
        "images_sha256": images.digest,
        "heldout_sha256": _digest(parts[1].positions),
        "test_images_sha256": test.images.digest,
        "test_sha256": _digest(test.positions),
    }
    return Split(*parts, record)


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
    try:
        record: Any = json.loads(path.read_bytes())
    except OSError as error:
        raise file_error(error, path, "cannot read the record of the split") from None
    except ValueError:
        record = None
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise UserError("not the record of a split", path=path)
    seed, heldout = record.get("seed"), record.get("heldout")
    if not isinstance(seed, int) or not isinstance(heldout, int) or seed < 0:
        raise UserError("a damaged record of a split", path=path)
    split = split_data(data, seed, heldout)
    changed = [name for name, value in split.record.items() if record.get(name) != value]
    if changed:
        message = f"the data in {data.path} is not what it was: {', '.join(changed)} differ"
        raise UserError(message, path=path)
    return split
