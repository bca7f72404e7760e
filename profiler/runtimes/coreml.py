"""Core ML: its compute units, not an accelerator, say where a model may run."""

from __future__ import annotations

from compofa.profiler.runtimes.spec import RuntimeSpec
from compofa.supernet.export.dtype import Dtype
from compofa.supernet.export.formats import COREML

SPEC = RuntimeSpec(
    name="coreml",
    format=COREML,
    model_files=(".mlpackage",),
    dtypes=(Dtype.FLOAT32, Dtype.FLOAT16),
    accelerators=("cpu",),
    packages=("coremltools",),
    settings={"compute_units": ("all", "cpu_only", "cpu_and_gpu", "cpu_and_ne")},
    shown_as_accelerator="compute_units",
    system="Darwin",
    takes_options=False,
)
