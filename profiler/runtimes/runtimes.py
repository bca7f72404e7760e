"""What each runtime can do: which model files it takes, and which settings of a device suit it."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from compofa.common.errors import UserError
from compofa.profiler.transports.device import Device, Dtype, Runtime

Format = Literal["onnx", "tflite", "coreml", "layers"]

DELEGATE_SUFFIXES = (".so", ".dylib", ".dll")
"""An accelerator of tflite that ends so is a delegate's library."""

DEFAULT_MODE = "eager"
DEFAULT_COMPUTE_UNITS = "all"


@dataclass(frozen=True)
class Abilities:
    """What one runtime can do.

    Attributes:
        format: of the model files it takes.
        package: what to install on the device, as pip calls it.
        invoked: whether each run is a call of a program, which warms up and repeats by itself, and
            may not tell what the network computes.
    """

    format: Format
    package: str
    dtypes: tuple[Dtype, ...]
    accelerators: tuple[str, ...]
    invoked: bool = False


ABILITIES: dict[Runtime, Abilities] = {
    "onnxruntime": Abilities(
        "onnx",
        "onnxruntime",
        ("float32", "int8"),
        ("cpu", "cuda", "tensorrt", "coreml", "xnnpack", "qnn", "openvino"),
    ),
    "tflite": Abilities("tflite", "ai-edge-litert", ("float32", "int8"), ("cpu", "gpu")),
    "torch": Abilities(
        "layers", "torch", ("float32", "tf32", "bfloat16", "float16"), ("cpu", "cuda")
    ),
    # Its compute units say where it runs.
    "coreml": Abilities("coreml", "coremltools", ("float32", "float16"), ("cpu",)),
    "openvino": Abilities(
        "onnx", "openvino", ("float32", "bfloat16", "float16", "int8"), ("cpu", "gpu", "npu")
    ),
    "benchmark_model": Abilities(
        "tflite",
        "",
        ("float32", "float16", "int8"),
        ("cpu", "gpu", "nnapi", "hexagon"),
        invoked=True,
    ),
}


def check_settings(device: Device) -> None:
    """Refuses settings that its runtime does not have.

    Raises:
        UserError: names the setting, and what there is to choose.
    """
    runtime, able = device.runtime, ABILITIES[device.runtime]
    _check(device, "dtype", device.dtype, able.dtypes)
    if not (runtime == "tflite" and _is_library(device.accelerator)):
        _check(device, "accelerator", device.accelerator, able.accelerators)
    if device.mode is not None and runtime != "torch":
        raise UserError(f"{device.name}: mode is a setting of torch, not of {runtime}")
    if device.compute_units is not None and runtime != "coreml":
        raise UserError(f"{device.name}: compute_units is a setting of coreml, not of {runtime}")
    on_cuda = device.accelerator == "cuda"
    if not on_cuda and (device.mode == "cuda_graph" or device.dtype == "tf32"):
        setting = "mode cuda_graph" if device.mode == "cuda_graph" else "dtype tf32"
        raise UserError(f"{device.name}: {setting} needs accelerator cuda")
    here = platform.system()
    if runtime == "coreml" and device.on_this_computer and here != "Darwin":
        raise UserError(f"{device.name}: coreml runs on macOS only, and this is {here}")


def _check(device: Device, setting: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise UserError(
            f"{device.name}: {device.runtime} has no {setting} {value!r}",
            hint=f"it has {', '.join(known)}",
        )


def _is_library(accelerator: str) -> bool:
    return accelerator.endswith(DELEGATE_SUFFIXES) or ".so." in accelerator


def load_options(device: Device) -> dict[str, Any]:
    """What the agent is told when it loads a model: the set-up, threads aside."""
    options = {"accelerator": device.accelerator, "dtype": device.dtype}
    if device.runtime == "torch":
        options["mode"] = device.mode or DEFAULT_MODE
    elif device.runtime == "coreml":
        options["compute_units"] = device.compute_units or DEFAULT_COMPUTE_UNITS
    return options


def shown_accelerator(device: Device) -> str:
    """What a table calls the place where the model runs; Core ML's is its compute units."""
    if device.runtime == "coreml":
        return device.compute_units or DEFAULT_COMPUTE_UNITS
    return device.accelerator
