"""The layout of the accuracy predictor that OFA released, `acc_predictor.pth`.

Of its 128 inputs, 60 are for kernels (3, 5 or 7 in each of 20 blocks), 60 for expand ratios (3, 4
or 6) and 8 for resolutions (112 to 224 in steps of 16). The file is a state dict of linear layers
`0`, `2`, `4` and `6`. It does not name the data set, so readers take it for ImageNet's accuracy.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from compofa.common.arrays import Float32Array
from compofa.common.errors import UserError, require_package
from compofa.common.files import write_atomically
from compofa.supernet.accuracy_predictor.choices import OneHot
from compofa.supernet.accuracy_predictor.perceptron import Perceptron
from compofa.supernet.space import SEARCHED_RESOLUTIONS, Space
from compofa.supernet.spaces import SPACES

LAYOUT = OneHot((3, 5, 7), (3.0, 4.0, 6.0), (), tuple(range(112, 225, 16)))

_LIKE = SPACES["ofa-mbv3"]

INPUTS = len(LAYOUT.sizes) + _LIKE.slots * (len(LAYOUT.kernels) + len(LAYOUT.expands))
"""How many inputs the layout has: 128."""

RELEASED_WEIGHTS = "b8928695b043d34292765ec1c014ad369c635996871f08d27a52d34fccb3919d"
"""SHA-256 of the weights and biases, layer by layer in float32, of the file that OFA released.

Of the weights and not of the file, so that a file that was loaded and saved again counts too.
"""

MOST_NUMBERS = 10_000_000
"""The most numbers that a file may have. The released predictor has 372 thousand."""


def why_not_released(space: Space, resolutions: Sequence[int]) -> str | None:
    """The reason why the released layout cannot hold a predictor of these cells; None if it can."""
    if space.family != _LIKE.family or space.slot_ranges != _LIKE.slot_ranges:
        return f"it is for MobileNetV3 spaces of five units of four blocks, not for {space.name}"
    for unit in space.units:
        if not (set(unit.kernels) <= {3, 5, 7} and set(unit.expands) <= {3, 4, 6}):
            return f"it has no inputs for the kernels or expand ratios of {space.name}"
    if space.classes != _LIKE.classes:
        return f"it is for ImageNet's {_LIKE.classes} classes, but {space.name} has {space.classes}"
    wrong = [size for size in resolutions if size not in SEARCHED_RESOLUTIONS]
    return f"it is not used at resolution {wrong[0]}" if wrong else None


def write_released(path: Path, network: Perceptron) -> None:
    """Writes a predictor with the inputs of `LAYOUT` in the form that OFA's code reads.

    Raises:
        UserError: the file cannot be written.
    """
    import torch

    state = {}
    for i, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
        state[f"{2 * i}.weight"] = torch.from_numpy(weight)
        state[f"{2 * i}.bias"] = torch.from_numpy(bias)
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomically(path, buffer.getvalue(), "the predictor")


def read_released(path: Path) -> Perceptron:
    """Reads a predictor in the released layout. Only tensors are loaded from it, never code.

    Raises:
        UserError: the file cannot be read, or is not such a predictor.
        MissingExtra: torch is not installed.
    """
    tensors = _read_arrays(path)
    names = [name.removesuffix(".weight") for name in tensors if name.endswith(".weight")]
    layers = sorted(names, key=lambda name: (len(name), name))
    weights, biases = [], []
    width = INPUTS
    for name in layers:
        weight, bias = tensors[f"{name}.weight"], tensors.get(f"{name}.bias")
        if weight.ndim != 2 or weight.shape[1] != width or bias is None:
            raise _not_a_predictor(path, f"layer {name!r} does not fit the one before")
        if bias.shape != weight.shape[:1]:
            raise _not_a_predictor(path, f"the bias of layer {name!r} does not fit its weight")
        if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
            raise _not_a_predictor(path, f"layer {name!r} holds numbers that are not finite")
        weights.append(weight)
        biases.append(bias)
        width = weight.shape[0]
    if not layers or width != 1 or len(tensors) != 2 * len(layers):
        raise _not_a_predictor(path, f"it should have layers from {INPUTS} inputs to 1 output")
    return Perceptron(LAYOUT, tuple(weights), tuple(biases))


def is_released(network: Perceptron) -> bool:
    """Whether these are the weights that OFA released, not others in the same layout."""
    digest = hashlib.sha256()
    for weight, bias in zip(network.weights, network.biases, strict=True):
        for array in (weight, bias):
            digest.update(np.ascontiguousarray(array, "<f4").tobytes())
    return digest.hexdigest() == RELEASED_WEIGHTS


def _read_arrays(path: Path) -> dict[str, Float32Array]:
    """The file's tensors by name."""
    require_package("torch", "train")
    import torch

    from compofa.supernet.checkpoints.torch_files import read_torch_file

    state = read_torch_file(path, "the predictor")
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in state.items()
    ):
        raise _not_a_predictor(path, "it is not a mapping of names to tensors")
    if sum(value.numel() for value in state.values()) > MOST_NUMBERS:
        # A tensor in a small file can have any size, since it may repeat the same numbers.
        raise _not_a_predictor(path, "its tensors are too large")
    return {name: np.asarray(value.detach().float()) for name, value in state.items()}


def _not_a_predictor(path: Path, reason: str) -> UserError:
    return UserError(f"it is not an accuracy predictor: {reason}", path=path)
