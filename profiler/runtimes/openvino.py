"""OpenVINO, which reads ONNX files and converts them to the precision that is asked for."""

from __future__ import annotations

from compofa.profiler.runtimes.spec import RuntimeSpec
from compofa.supernet.export.dtype import Dtype
from compofa.supernet.export.formats import ONNX

SPEC = RuntimeSpec(
    name="openvino",
    format=ONNX,
    model_files=(".xml", ".onnx"),
    dtypes=(Dtype.FLOAT32, Dtype.BFLOAT16, Dtype.FLOAT16, Dtype.INT8),
    accelerators=("cpu", "gpu", "npu"),
    packages=("openvino",),
    converted=(Dtype.BFLOAT16, Dtype.FLOAT16),
    reserved={
        "INFERENCE_NUM_THREADS": "set `threads` instead",
        "INFERENCE_PRECISION_HINT": "set `dtype` instead",
    },
)
