"""The type of a format of model files, and the content that it writes."""

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
    """A network to be written.

    Attributes:
        graph: the subnet at one resolution.
        weights: its folded weights, named as by `weight_shapes`.
        dtype: the number type in which the model computes.
        batch_size: the number of images per inference. None leaves it open if the format supports
            that, and is 1 otherwise.
        dynamic: whether to leave the size of the images open.
        calibration: inputs [n, channels, height, width] for the calibration of a quantised dtype,
            where n is the batch size.
        checkpoint_sha256: the digest of the checkpoint; None for random weights.
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
        name: the name that options use.
        suffix: the usual suffix of such files.
        dtypes: the number types in which such a model can compute.
        write: makes the content of a file. It raises UserError if the network does not fit into the
            format, and MissingExtra if a package that it needs is not installed.
        dynamic: whether the size of the images can be left open.
    """

    name: str
    suffix: str
    dtypes: tuple[Dtype, ...]
    write: Callable[[ModelContent], bytes]
    dynamic: bool = False

    def __str__(self) -> str:
        return self.name
