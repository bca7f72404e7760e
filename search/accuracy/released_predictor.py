"""The accuracy predictor that OFA released, as a source of accuracies for a search.

Its input is 128 zeros and ones: which kernel each of 20 blocks has (3, 5, 7), which expand ratio
(3, 4, 6), and which resolution (112 to 224 in steps of 16); a block that does not exist has none
of either. Reference: once-for-all, accuracy_predictor.py; OFA (ICLR 2020), appendix A.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from compofa.common.arrays import FloatArray, IntArray
from compofa.common.errors import UserError
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
"""Where its figures mean something. It has inputs for 112, 128 and 144 but never saw them."""

AT_ONCE = 4096
"""Subnets predicted in one go, which keeps what the layers hold in the processor's cache."""

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
        """Says that these are predictions, and whose."""
        if self.released:
            return f"predicted by OFA's released predictor ({self.path.name})"
        return f"predicted by {self.path.name}, whose weights are not those that OFA released"

    @property
    def predicted(self) -> bool:
        """All of them are."""
        return True

    def resolutions(self, _space: Space, /) -> tuple[int, ...]:
        """Those it was fitted on."""
        return FITTED_RESOLUTIONS

    def top1(self, cells: Cells) -> FloatArray:
        """Predicts the cells; NaN at resolutions it was not fitted on. See `AccuracySource`."""
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
        """Not known: its published error is that of other weights. See `AccuracySource`."""
        return np.full(len(cells.keys), np.nan)

    def top1_of(self, space: Space, subnets: SubnetArrays, sizes: IntArray, /) -> FloatArray:
        """Predicts n subnets at resolutions it was fitted on. See `ArrayAccuracy`."""
        self._check(space)
        top1 = np.empty(len(sizes))
        for some in np.array_split(np.arange(len(sizes)), max(1, -(-len(sizes) // AT_ONCE))):
            part = SubnetArrays(subnets.depths[some], subnets.expands[some], subnets.kernels[some])
            size_slots = size_inputs(sizes[some])
            top1[some] = self._forward(encode(part), np.arange(len(some)), size_slots)
        return top1

    def _forward(self, encoded: Array, which: IntArray, size_slots: IntArray) -> FloatArray:
        """Accuracies of cells: `which` subnet of `encoded` [m, 120], at which resolution input."""
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
        """Raises UserError where the predictor's input cannot describe the space's subnets."""
        reason = why_not_released(space, ())
        if reason is not None:
            raise UserError(f"this predictor is of no use here: {reason}", path=self.path)


def size_inputs(sizes: IntArray) -> IntArray:
    """Which of the inputs for resolutions each of `sizes` has, [n]."""
    return np.searchsorted(LAYOUT.sizes, sizes).astype(np.int64)


def encode(subnets: SubnetArrays) -> Array:
    """The choices of n subnets as zeros and ones, [n, 120]: kernels, then expand ratios."""
    kernels = subnets.kernels[:, :, None] == np.array(LAYOUT.kernels)
    expands = subnets.expands[:, :, None] == np.array(LAYOUT.expands)
    n = len(subnets.depths)
    return np.concatenate([kernels.reshape(n, -1), expands.reshape(n, -1)], axis=1)


def read_predictor(path: Path, dtype: type[np.floating[Any]] = np.float32) -> Predictor:
    """Reads a released predictor file; only tensors are loaded from it, never code.

    Args:
        path: the file.
        dtype: what it computes in.

    Raises:
        UserError: it cannot be read, or holds something else; MissingExtra: there is no torch.
    """
    network = read_released(path)
    weights = (np.ascontiguousarray(weight.T, dtype=dtype) for weight in network.weights)
    biases = tuple(bias.astype(dtype) for bias in network.biases)
    return Predictor(path, tuple(weights), biases, is_released(network))
