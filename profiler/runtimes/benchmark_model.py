"""TFLite's own benchmark program, which runs on phones without an agent."""

from __future__ import annotations

from compofa.profiler.runtimes.spec import RuntimeSpec
from compofa.supernet.export.dtype import Dtype
from compofa.supernet.export.formats import TFLITE

SPEC = RuntimeSpec(
    name="benchmark_model",
    format=TFLITE,
    dtypes=(Dtype.FLOAT32, Dtype.FLOAT16, Dtype.INT8),
    accelerators=("cpu", "gpu", "nnapi", "hexagon"),
    # A GPU computes a float32 file in half precision where that is allowed.
    converted=(Dtype.FLOAT16,),
    invoked=True,
)
