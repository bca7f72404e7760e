"""ONNX Runtime: its accelerators are execution providers."""

from __future__ import annotations

from typing import Any

from compofa.profiler.runtimes.spec import DeviceSettings, RuntimeSpec
from compofa.supernet.export.dtype import Dtype
from compofa.supernet.export.formats import ONNX

PROVIDERS: dict[str, dict[str, dict[str, str]]] = {
    "cpu": {"CPUExecutionProvider": {}},
    "cuda": {"CUDAExecutionProvider": {}},
    "tensorrt": {"TensorrtExecutionProvider": {}, "CUDAExecutionProvider": {}},
    "coreml": {"CoreMLExecutionProvider": {}},
    "xnnpack": {"XnnpackExecutionProvider": {}},
    "qnn": {"QNNExecutionProvider": {"backend_path": "libQnnHtp.so"}},
    "openvino": {"OpenVINOExecutionProvider": {}},
}
"""Execution providers of each accelerator with their options, in order of preference; the first
must take part of a model, or the model is refused."""


def _providers(device: DeviceSettings) -> dict[str, Any]:
    providers = {name: dict(given) for name, given in PROVIDERS[device.accelerator].items()}
    if "XnnpackExecutionProvider" in providers:
        # It has threads of its own, one unless told otherwise.
        providers["XnnpackExecutionProvider"]["intra_op_num_threads"] = str(device.threads)
    return {"providers": [[name, given] for name, given in providers.items()]}


SPEC = RuntimeSpec(
    name="onnxruntime",
    format=ONNX,
    model_files=(".onnx",),
    dtypes=(Dtype.FLOAT32, Dtype.INT8),
    accelerators=tuple(PROVIDERS),
    packages=("onnxruntime",),
    told=_providers,
    reserved={
        "intra_op_num_threads": "set `threads` instead",
        "enable_profiling": "it would write files on the device",
        "profile_file_prefix": "it would write files on the device",
        "optimized_model_filepath": "it would write files on the device",
    },
)
