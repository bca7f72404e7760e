"""TFLite's own benchmark program, which runs on phones without an agent."""

from __future__ import annotations

from compofa.profiler.runtimes.spec import RuntimeSpec
from compofa.supernet.export.dtype import Dtype
from compofa.supernet.export.formats import TFLITE

SPEC = RuntimeSpec(
    name="benchmark_model",
    format=TFLITE,
    model_files=(".tflite",),
    dtypes=(Dtype.FLOAT32, Dtype.FLOAT16, Dtype.INT8),
    accelerators=("cpu", "gpu", "nnapi", "hexagon"),
    # A GPU computes a float32 file in half precision where that is allowed.
    converted=(Dtype.FLOAT16,),
    invoked=True,
    # The flags by which the program is called in any case.
    reserved={
        **dict.fromkeys(
            (
                "graph",
                "input_layer",
                "input_layer_shape",
                "input_layer_value_files",
                "output_filepath",
                "num_runs",
                "min_secs",
                "max_secs",
                "warmup_runs",
                "warmup_min_secs",
            ),
            "compofa sets it itself",
        ),
        "num_threads": "set `threads` instead",
        **dict.fromkeys(("use_gpu", "use_nnapi", "use_hexagon"), "set `accelerator` instead"),
        **dict.fromkeys(
            ("gpu_precision_loss_allowed", "nnapi_allow_fp16", "xnnpack_force_fp16"),
            "set `dtype` instead",
        ),
    },
)
