"""The layout of the accuracy predictor that OFA released, `acc_predictor.pth`.

Its 128 inputs are 60 for kernels (20 blocks, 3, 5 or 7 each), 60 for expand ratios (3, 4 or 6) and
8 for resolutions (112 to 224 in steps of 16). The file is a state dict of linear layers `0`, `2`,
`4` and `6`. It does not say whose accuracy it predicts, so readers take it for ImageNet's.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from compofa.common.errors import UserError
from compofa.common.files import write_atomically
from compofa.supernet.accuracy_predictor.choices import OneHot
from compofa.supernet.accuracy_predictor.perceptron import HIDDEN, Perceptron
from compofa.supernet.space import SEARCHED_RESOLUTIONS, Space
from compofa.supernet.spaces import SPACES

LAYOUT = OneHot((3, 5, 7), (3.0, 4.0, 6.0), (), tuple(range(112, 225, 16)))

_LIKE = SPACES["ofa-mbv3"]


def why_not_released(space: Space, resolutions: Sequence[int]) -> str | None:
    """Why the released layout cannot express a predictor of these cells; None where it can."""
    if space.family != _LIKE.family or space.slot_ranges != _LIKE.slot_ranges:
        return f"it is of MobileNetV3 spaces of five units of four blocks, not of {space.name}"
    for unit in space.units:
        if not (set(unit.kernels) <= {3, 5, 7} and set(unit.expands) <= {3, 4, 6}):
            return f"it has no inputs for the kernels or expand ratios of {space.name}"
    if space.classes != _LIKE.classes:
        return f"it is of ImageNet's {_LIKE.classes} classes, {space.name} has {space.classes}"
    wrong = [size for size in resolutions if size not in SEARCHED_RESOLUTIONS]
    return f"it is not used at resolution {wrong[0]}" if wrong else None


def write_released(path: Path, network: Perceptron) -> None:
    """Writes a predictor with inputs as in `LAYOUT`, as OFA's and this project's readers take it.

    Raises:
        UserError: it cannot be written.
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
    """Reads a predictor of the released layout; nothing in it is run.

    Raises:
        UserError: it cannot be read, or is something else.
    """
    import numpy as np

    from compofa.supernet.checkpoints.torch_files import difference, read_torch_file, shapes_of

    state = read_torch_file(path, "the predictor")
    inputs = len(LAYOUT.sizes) + 20 * (len(LAYOUT.kernels) + len(LAYOUT.expands))
    widths = (inputs, *HIDDEN, 1)
    expected: dict[str, tuple[int, ...]] = {}
    for i in range(len(widths) - 1):
        expected[f"{2 * i}.weight"] = (widths[i + 1], widths[i])
        expected[f"{2 * i}.bias"] = (widths[i + 1],)
    if not isinstance(state, dict) or not all(hasattr(each, "shape") for each in state.values()):
        raise UserError("not an accuracy predictor: it holds no tensors by name", path=path)
    wrong = difference(expected, shapes_of(state))
    if wrong is not None:
        raise UserError(f"not an accuracy predictor of OFA's layout: {wrong}", path=path)
    layers = {name: state[name].numpy().astype(np.float32) for name in expected}
    weights = tuple(each for name, each in layers.items() if name.endswith("weight"))
    biases = tuple(each for name, each in layers.items() if name.endswith("bias"))
    return Perceptron(LAYOUT, weights, biases)
