"""The accuracy predictor that OFA released: a small network from a subnet's choices to top-1.

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
from compofa.common.errors import MissingExtra, UserError
from compofa.search.accuracy.accuracy import Cells
from compofa.supernet.space import SEARCHED_RESOLUTIONS, Space
from compofa.supernet.subnet import SubnetArrays

KERNELS = (3, 5, 7)
EXPANDS = (3.0, 4.0, 6.0)
UNITS = 5
SLOTS = 20
FIRST_RESOLUTION, STEP, RESOLUTIONS = 112, 16, 8
INPUTS = SLOTS * (len(KERNELS) + len(EXPANDS)) + RESOLUTIONS

FITTED_RESOLUTIONS = SEARCHED_RESOLUTIONS
"""Where its figures mean something. It has inputs for 112, 128 and 144 but never saw them."""

AT_ONCE = 4096
"""Subnets predicted in one go, which keeps what the layers hold in the processor's cache."""

MOST_NUMBERS = 10_000_000
"""The released predictor has 372 thousand."""

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Predictor:
    """The layers of a released predictor.

    Attributes:
        weights: of each layer, [in, out].
        biases: of each layer, [out].
    """

    path: Path
    weights: tuple[Array, ...]
    biases: tuple[Array, ...]

    @property
    def description(self) -> str:
        """Says that these are predictions, and whose."""
        return f"predicted by OFA's released predictor ({self.path.name})"

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
        found = np.full(len(which), np.nan)
        known = np.isin(cells.sizes, FITTED_RESOLUTIONS)
        if known.any():
            encoded = encode(cells.space.arrays(list(cells.subnets.values())))
            size_slots = (cells.sizes[known] - FIRST_RESOLUTION) // STEP
            found[known] = self._forward(encoded, which[known], size_slots)
        return found

    def deviations(self, cells: Cells) -> FloatArray:
        """Not known: its published error is that of other weights. See `AccuracySource`."""
        return np.full(len(cells.keys), np.nan)

    def top1_of(self, space: Space, subnets: SubnetArrays, sizes: IntArray, /) -> FloatArray:
        """Predicts n subnets at resolutions it was fitted on. See `ArrayAccuracy`."""
        self._check(space)
        found = np.empty(len(sizes))
        for some in np.array_split(np.arange(len(sizes)), max(1, -(-len(sizes) // AT_ONCE))):
            part = SubnetArrays(subnets.depths[some], subnets.expands[some], subnets.kernels[some])
            size_slots = (sizes[some] - FIRST_RESOLUTION) // STEP
            found[some] = self._forward(encode(part), np.arange(len(some)), size_slots)
        return found

    def _forward(self, encoded: Array, which: IntArray, size_slots: IntArray) -> FloatArray:
        """Accuracies of cells: `which` subnet of `encoded` [m, 120], at which resolution input."""
        first = self.weights[0]
        choices = encoded.astype(first.dtype) @ first[: encoded.shape[1]] + self.biases[0]
        hidden = choices[which] + first[encoded.shape[1] + size_slots]
        for weight, bias in zip(self.weights[1:], self.biases[1:], strict=True):
            np.maximum(hidden, 0, out=hidden)
            hidden = hidden @ weight
            hidden += bias
        found: FloatArray = hidden[:, 0].astype(np.float64)
        return found

    def _check(self, space: Space) -> None:
        """Raises UserError where the predictor's input cannot describe the space's subnets."""
        fits = (
            space.family == "mbv3"
            and len(space.units) == UNITS
            and all(unit.slots == SLOTS // UNITS for unit in space.units)
            and all(set(unit.kernels) <= set(KERNELS) for unit in space.units)
            and all(set(unit.expands) <= set(EXPANDS) for unit in space.units)
        )
        if not fits:
            message = f"this predictor cannot describe subnets of space {space.name}"
            hint = "it knows MobileNetV3 spaces of five units"
            raise UserError(message, path=self.path, hint=hint)
        if space.classes != 1000:
            message = f"this predictor is of ImageNet's 1000 classes; {space.name} has"
            raise UserError(f"{message} {space.classes}", path=self.path)


def encode(subnets: SubnetArrays) -> Array:
    """The choices of n subnets as zeros and ones, [n, 120]: kernels, then expand ratios."""
    kernels = subnets.kernels[:, :, None] == np.array(KERNELS)
    expands = subnets.expands[:, :, None] == np.array(EXPANDS)
    n = len(subnets.depths)
    return np.concatenate([kernels.reshape(n, -1), expands.reshape(n, -1)], axis=1)


def read_predictor(path: Path, dtype: type[np.floating[Any]] = np.float32) -> Predictor:
    """Reads a released predictor file; only tensors are loaded from it, never code.

    Raises:
        UserError: it cannot be read, or holds something else; MissingExtra: there is no torch.
    """
    tensors = _load(path)
    names = [name.removesuffix(".weight") for name in tensors if name.endswith(".weight")]
    layers = sorted(names, key=lambda name: (len(name), name))
    weights, biases = [], []
    width = INPUTS
    for name in layers:
        weight, bias = tensors[f"{name}.weight"], tensors.get(f"{name}.bias")
        if weight.ndim != 2 or weight.shape[1] != width or bias is None:
            raise _not_a_predictor(path, f"layer {name!r} does not follow from the one before")
        if bias.shape != weight.shape[:1]:
            raise _not_a_predictor(path, f"the bias of layer {name!r} does not fit its weight")
        if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
            raise _not_a_predictor(path, f"layer {name!r} holds numbers that are not finite")
        weights.append(np.ascontiguousarray(weight.T, dtype=dtype))
        biases.append(bias.astype(dtype))
        width = weight.shape[0]
    if not layers or width != 1 or len(tensors) != 2 * len(layers):
        raise _not_a_predictor(path, f"expected layers from {INPUTS} inputs to 1 output")
    return Predictor(path, tuple(weights), tuple(biases))


def _load(path: Path) -> dict[str, Array]:
    """The file's tensors by name."""
    try:
        import torch

        from compofa.supernet.checkpoints.torch_files import read_torch_file
    except ImportError:
        raise MissingExtra("torch", "train") from None
    state = read_torch_file(path, "the predictor")
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in state.items()
    ):
        raise _not_a_predictor(path, "it is not a mapping of names to tensors")
    if sum(value.numel() for value in state.values()) > MOST_NUMBERS:
        # A tensor in a small file can claim any size, by repeating what it holds.
        raise _not_a_predictor(path, "its tensors are too large")
    return {name: np.asarray(value.detach().double()) for name, value in state.items()}


def _not_a_predictor(path: Path, reason: str) -> UserError:
    return UserError(f"not an accuracy predictor: {reason}", path=path)
