"""Models of integers, quantised after training: ranges of activations come from sample inputs.

Ranges are the smallest and largest values seen, of each activation by itself; weights have a scale
for each output channel. Inputs and outputs stay float32. The libraries that do it set up logging,
draw progress bars and take whole processors, so they run in a process of their own (quantiser.py),
which alone knows what a dtype means to them.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from compofa.common.arrays import Float32Array
from compofa.common.errors import UserError, file_error, require_package
from compofa.supernet.export.dtype import Dtype
from compofa.supernet.export.quantisation import quantiser


def quantise_tflite(
    content: bytes, calibration: Iterable[Float32Array], dtype: Dtype = Dtype.INT8
) -> bytes:
    """The model of integers of a float one, of what `write_tflite` writes with `to_quantise`.

    Args:
        content: the float model.
        calibration: inputs [n, channels, height, width], n being the model's.
        dtype: a quantised one that TFLite files can hold.

    Raises:
        MissingExtra: ai-edge-quantizer is not installed.
        UserError: there are no inputs, or no space for temporary files.
    """
    require_package("ai-edge-quantizer", "quantise", module="ai_edge_quantizer")
    inputs = (batch.transpose(0, 2, 3, 1) for batch in calibration)
    return _quantise("tflite", content, inputs, dtype)


def quantise_onnx(
    content: bytes, calibration: Iterable[Float32Array], dtype: Dtype = Dtype.INT8
) -> bytes:
    """The model of integers of a float one, with pairs of QuantizeLinear and DequantizeLinear.

    Args:
        content: the float model.
        calibration: inputs [n, channels, height, width], of sizes that the model takes.
        dtype: a quantised one that ONNX files can hold.

    Raises:
        UserError: there are no inputs, or no space for temporary files.
    """
    return _quantise("onnx", content, calibration, dtype)


def _quantise(
    kind: quantiser.Kind, content: bytes, inputs: Iterable[Float32Array], dtype: Dtype
) -> bytes:
    try:
        with tempfile.TemporaryDirectory(prefix="compofa-quantise-") as name:
            folder = Path(name)
            (folder / quantiser.FLOAT).write_bytes(content)
            count = 0
            for count, batch in enumerate(inputs, start=1):
                np.save(folder / f"{count:06}.npy", batch)
            if not count:
                raise UserError(f"{dtype} needs sample inputs, and there are none")
            _run(kind, dtype, folder)
            return (folder / quantiser.QUANTISED).read_bytes()
    except OSError as error:
        raise file_error(error, tempfile.gettempdir(), "cannot quantise the model") from None


def _run(kind: quantiser.Kind, dtype: Dtype, folder: Path) -> None:
    # -P: a folder that the user happens to be in is no place to import from.
    command = [sys.executable, "-P", "-m", quantiser.__name__, kind, dtype, str(folder)]
    ended = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise RuntimeError(f"the quantiser ended with {ended.returncode}: {ended.stderr[-2000:]}")
