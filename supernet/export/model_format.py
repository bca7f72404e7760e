"""What a format of model files is: its name, what it can hold, and how it is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from compofa.supernet.export.dtype import Dtype
from compofa.supernet.graph import Graph

if TYPE_CHECKING:
    from compofa.common.arrays import Float32Array
    from compofa.supernet.export.weights import Weights


@dataclass(frozen=True)
class ModelContent:
    """A network that is to be written.

    Attributes:
        weights: folded ones, by `weight_shapes`'s names; a description leaves them out.
        dtype: what the file is to compute in.
        batch_size: images per inference; None leaves it open where the format can, else it is 1.
        dynamic: leaves the size of the images open.
        calibration: inputs [n, channels, height, width] that a quantised dtype learns ranges from,
            n being the batch size.
        checkpoint_sha256: of the file that the weights come from; None for random ones.
    """

    graph: Graph
    weights: Weights
    dtype: Dtype = Dtype.FLOAT32
    batch_size: int | None = 1
    dynamic: bool = False
    calibration: Iterable[Float32Array] = ()
    checkpoint_sha256: str | None = None


@dataclass(frozen=True)
class ModelFormat:
    """A format of model files.

    Attributes:
        suffix: how files of it are usually named.
        dtypes: that a file of it can compute in.
        write: makes the content of a file. It raises UserError where the network does not fit into
            the format, and MissingExtra where a package that writes it is not installed.
        dynamic: whether the size of the images can be left open.
    """

    name: str
    suffix: str
    dtypes: tuple[Dtype, ...]
    write: Callable[[ModelContent], bytes]
    dynamic: bool = False

    def __str__(self) -> str:
        return self.name
