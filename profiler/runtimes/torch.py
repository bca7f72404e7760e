"""PyTorch, which builds each network from a layers file."""

from __future__ import annotations

from compofa.profiler.runtimes.spec import DeviceSettings, RuntimeSpec
from compofa.supernet.export.dtype import Dtype
from compofa.supernet.export.formats import LAYERS


def _conflict(device: DeviceSettings) -> str | None:
    if device.options and device.setting("mode") != "compiled":
        return "torch hands `options` to torch.compile: they need mode compiled"
    if device.accelerator == "cuda":
        return None
    if device.setting("mode") == "cuda_graph":
        return "mode cuda_graph needs accelerator cuda"
    return "dtype tf32 needs accelerator cuda" if device.dtype == Dtype.TF32 else None


SPEC = RuntimeSpec(
    name="torch",
    format=LAYERS,
    model_files=(".pt2",),
    dtypes=(Dtype.FLOAT32, Dtype.TF32, Dtype.BFLOAT16, Dtype.FLOAT16),
    accelerators=("cpu", "cuda"),
    packages=("torch",),
    converted=(Dtype.TF32, Dtype.BFLOAT16, Dtype.FLOAT16),
    settings={"mode": ("eager", "channels_last", "compiled", "cuda_graph")},
    conflict=_conflict,
)
