"""Core ML packages read back, and their programs run in torch, operator by operator.

Core ML itself runs on Apple's systems alone. What an operator does is taken from coremltools'
documentation of it.
"""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

MODEL = "Data/com.apple.CoreML/model.mlmodel"
BLOB = "Data/com.apple.CoreML/weights/weight.bin"


def files(package: bytes) -> dict[str, bytes]:
    """What a zipped package holds."""
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def spec(package: bytes) -> Any:
    """The model's protobuf message."""
    import coremltools

    found = coremltools.proto.Model_pb2.Model()
    found.ParseFromString(files(package)[MODEL])
    return found


def operations(package: bytes) -> list[Any]:
    """The program as coremltools reads it back, with its weights from the blob."""
    from coremltools.converters.mil.frontend.milproto.load import load

    model = spec(package)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "weight.bin").write_bytes(files(package)[BLOB])
        program = load(model, model.specificationVersion, folder)
    return list(program.functions["main"].operations)


def conv(of: dict[str, Any]) -> Tensor:
    pad = of.get("pad", (0, 0, 0, 0))
    x = F.pad(of["x"], (pad[2], pad[3], pad[0], pad[1]))
    stride, groups = tuple(of["strides"]), int(of["groups"])
    return F.conv2d(x, of["weight"], of.get("bias"), stride, groups=groups)


def average(of: dict[str, Any]) -> Tensor:
    """Each window's sum over the number of its values that are no padding."""
    assert of["exclude_padding_from_average"]
    pad, window = of["pad"], (tuple(of["kernel_sizes"]), tuple(of["strides"]))
    sides = (pad[2], pad[3], pad[0], pad[1])
    sums = F.avg_pool2d(F.pad(of["x"], sides), *window)
    return sums / F.avg_pool2d(F.pad(torch.ones_like(of["x"]), sides), *window)


def maximum(of: dict[str, Any]) -> Tensor:
    pad = of["pad"]
    x = F.pad(of["x"], (pad[2], pad[3], pad[0], pad[1]), value=-torch.inf)
    return F.max_pool2d(x, tuple(of["kernel_sizes"]), tuple(of["strides"]))


OPERATORS: dict[str, Callable[[dict[str, Any]], Tensor]] = {
    "conv": conv,
    "relu": lambda of: F.relu(of["x"]),
    "relu6": lambda of: F.relu6(of["x"]),
    "sigmoid_hard": lambda of: (float(of["alpha"]) * of["x"] + float(of["beta"])).clamp(0, 1),
    "add": lambda of: of["x"] + of["y"],
    "mul": lambda of: of["x"] * of["y"],
    "reduce_mean": lambda of: of["x"].mean(tuple(of["axes"]), keepdim=bool(of["keep_dims"])),
    "avg_pool": average,
    "max_pool": maximum,
    "squeeze": lambda of: of["x"].squeeze(tuple(of["axes"])),
    "linear": lambda of: F.linear(of["x"], of["weight"], of["bias"]),
    "cast": lambda of: of["x"],
}


def computed(program: list[Any], image: np.ndarray) -> np.ndarray:
    """What the program makes of `image`, in float32."""
    values: dict[str, Any] = {"input": torch.from_numpy(image)}
    for operation in program:
        (output,) = operation.outputs
        if operation.op_type == "const":
            value = output.val
            floats = isinstance(value, np.ndarray) and value.dtype.kind == "f"
            values[output.name] = torch.from_numpy(value.astype(np.float32)) if floats else value
            continue
        inputs = {name: values[each.name] for name, each in operation.inputs.items() if each}
        values[output.name] = OPERATORS[operation.op_type](inputs)
    found: np.ndarray = values["logits"].numpy()
    return found
