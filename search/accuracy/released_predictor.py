"""The accuracy predictor that OFA released, as a source of accuracies for a search.

Its input is a vector of 128 zeros and ones: the kernel (3, 5 or 7) and the expand ratio (3, 4 or 6)
of each of 20 blocks, and the resolution (112 to 224 in steps of 16), all one-hot. A block that the
subnet does not have is all zeros. Reference: once-for-all, accuracy_predictor.py; OFA (ICLR 2020),
appendix A.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from compofa.common.arrays import FloatArray, IntArray
from compofa.common.errors import UserError
from compofa.profiler.models.collection.collection import Collection
from compofa.search.accuracy.sources import Cells
from compofa.supernet.accuracy_predictor.released_layout import (
    LAYOUT,
    is_released,
    read_released,
    why_not_released,
)
from compofa.supernet.space import SEARCHED_RESOLUTIONS, Space
from compofa.supernet.subnet import SubnetArrays

FITTED_RESOLUTIONS = SEARCHED_RESOLUTIONS
"""The resolutions at which its predictions can be used. It has inputs for 112, 128 and 144 as well,
but was not trained with them."""

AT_ONCE = 4096
"""Subnets that are predicted together, so that the layers' activations fit into the CPU's cache."""

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Predictor:
    """The layers of a released predictor.

    Attributes:
        weights: of each layer, [in, out].
        biases: of each layer, [out].
        released: whether the weights are those that OFA released.
    """

    path: Path
    weights: tuple[Array, ...]
    biases: tuple[Array, ...]
    released: bool

    @property
    def description(self) -> str:
        """Says that the accuracies are predictions of OFA's predictor, and names its file."""
        if self.released:
            return f"predicted by OFA's released predictor ({self.path.name})"
        return f"predicted by {self.path.name}, whose weights are not those that OFA released"

    @property
    def predicted(self) -> bool:
        """True: a predictor only predicts."""
        return True

    def resolutions(self, _space: Space | Collection, /) -> tuple[int, ...]:
        """The resolutions that the predictor was trained with."""
        return FITTED_RESOLUTIONS

    def top1(self, cells: Cells) -> FloatArray:
        """Predicts the accuracies of the cells; see `AccuracySource`.

        They are NaN at resolutions that the predictor was not trained with.
        """
        if isinstance(cells.space, Collection):
            raise UserError("this predictor is of subnets, not of model files", path=self.path)
        self._check(cells.space)
        position = {key: i for i, key in enumerate(cells.subnets)}
        which = np.array([position[key] for key in cells.keys], dtype=np.int64)
        top1 = np.full(len(which), np.nan)
        known = np.isin(cells.sizes, FITTED_RESOLUTIONS)
        if known.any():
            encoded = encode(cells.space.arrays(list(cells.subnets.values())))
            size_slots = size_inputs(cells.sizes[known])
            top1[known] = self._forward(encoded, which[known], size_slots)
        return top1

    def deviations(self, cells: Cells) -> FloatArray:
        """NaN: the predictor's error on the weights of this space is not known."""
        return np.full(len(cells.keys), np.nan)

    def top1_of(self, space: Space, subnets: SubnetArrays, sizes: IntArray, /) -> FloatArray:
        """Predicts n subnets at resolutions it was trained with; see `ArrayAccuracy`."""
        self._check(space)
        top1 = np.empty(len(sizes))
        for some in np.array_split(np.arange(len(sizes)), max(1, -(-len(sizes) // AT_ONCE))):
            part = SubnetArrays(subnets.depths[some], subnets.expands[some], subnets.kernels[some])
            size_slots = size_inputs(sizes[some])
            top1[some] = self._forward(encode(part), np.arange(len(some)), size_slots)
        return top1

    def _forward(self, encoded: Array, which: IntArray, size_slots: IntArray) -> FloatArray:
        """Runs the layers for n cells.

        Args:
            encoded: the choices of m subnets, [m, 120]; see `encode`.
            which: the row in `encoded` of each cell's subnet, [n].
            size_slots: the resolution input of each cell, [n]; see `size_inputs`.

        Returns:
            Top-1 accuracies as fractions of one, [n].
        """
        # The first layer is linear, so a subnet's part of it is computed once for all its
        # resolutions.
        first = self.weights[0]
        choices = encoded.astype(first.dtype) @ first[: encoded.shape[1]] + self.biases[0]
        hidden = choices[which] + first[encoded.shape[1] + size_slots]
        for weight, bias in zip(self.weights[1:], self.biases[1:], strict=True):
            np.maximum(hidden, 0, out=hidden)
            hidden = hidden @ weight
            hidden += bias
        top1: FloatArray = hidden[:, 0].astype(np.float64)
        return top1

    def _check(self, space: Space) -> None:
        """Raises UserError if the predictor's input cannot describe the subnets of `space`."""
        reason = why_not_released(space, ())
        if reason is not None:
            raise UserError(f"this predictor cannot be used here: {reason}", path=self.path)


def size_inputs(sizes: IntArray) -> IntArray:
    """The position among the predictor's resolution inputs of each of `sizes`, [n]."""
    return np.searchsorted(LAYOUT.sizes, sizes).astype(np.int64)


def encode(subnets: SubnetArrays) -> Array:
    """The choices of n subnets as zeros and ones, [n, 120]: kernels, then expand ratios."""
    kernels = subnets.kernels[:, :, None] == np.array(LAYOUT.kernels)
    expands = subnets.expands[:, :, None] == np.array(LAYOUT.expands)
    n = len(subnets.depths)
    return np.concatenate([kernels.reshape(n, -1), expands.reshape(n, -1)], axis=1)


def read_predictor(path: Path, dtype: type[np.floating[Any]] = np.float32) -> Predictor:
    """Reads OFA's released predictor. Only tensors are loaded from the file, never code.

    Args:
        path: the file.
        dtype: the number type in which the predictor computes.

    Raises:
        UserError: the file cannot be read, or is not such a predictor.
        MissingExtra: torch is not installed.
    """
    network = read_released(path)
    weights = (np.ascontiguousarray(weight.T, dtype=dtype) for weight in network.weights)
    biases = tuple(bias.astype(dtype) for bias in network.biases)
    return Predictor(path, tuple(weights), biases, is_released(network))
