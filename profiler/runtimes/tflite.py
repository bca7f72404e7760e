"""TensorFlow Lite, also known as LiteRT: its accelerators are delegates."""

from __future__ import annotations

from compofa.profiler.runtimes.spec import RuntimeSpec
from compofa.supernet.export.dtype import Dtype
from compofa.supernet.export.formats import TFLITE

SPEC = RuntimeSpec(
    name="tflite",
    format=TFLITE,
    model_files=(".tflite",),
    dtypes=(Dtype.FLOAT32, Dtype.INT8),
    accelerators=("cpu", "gpu"),
    packages=("ai-edge-litert",),
    takes_delegates=True,
    reserved={
        "num_threads": "set `threads` instead",
        "experimental_delegates": "name the delegate with `accelerator`",
    },
)
