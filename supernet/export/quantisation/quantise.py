"""Quantises models after training, with sample inputs for calibration.

The range of an activation is from the smallest to the largest value in the sample. Weights have one
scale per output channel. Inputs and outputs stay float32. The libraries that quantise configure
logging, draw progress bars and use all processors. They therefore run in a process of their own
(quantiser.py).
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
    """Quantises a float model that `write_tflite` wrote with `to_quantise`.

    Args:
        content: the float model.
        calibration: inputs [n, channels, height, width], where n is the model's batch size.
        dtype: a quantised dtype that TFLite files support.

    Raises:
        MissingExtra: ai-edge-quantizer is not installed.
        UserError: there are no inputs, or temporary files cannot be written.
    """
    require_package("ai-edge-quantizer", "quantise", module="ai_edge_quantizer")
    inputs = (batch.transpose(0, 2, 3, 1) for batch in calibration)
    return _quantise("tflite", content, inputs, dtype)


def quantise_onnx(
    content: bytes, calibration: Iterable[Float32Array], dtype: Dtype = Dtype.INT8
) -> bytes:
    """Quantises a float model, by pairs of QuantizeLinear and DequantizeLinear.

    Args:
        content: the float model.
        calibration: inputs [n, channels, height, width] that fit the model.
        dtype: a quantised dtype that ONNX files support.

    Raises:
        UserError: there are no inputs, or temporary files cannot be written.
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
                raise UserError(f"{dtype} needs sample inputs, but there are none")
            _run(kind, dtype, folder)
            return (folder / quantiser.QUANTISED).read_bytes()
    except OSError as error:
        raise file_error(error, tempfile.gettempdir(), "cannot quantise the model") from None


def _run(kind: quantiser.Kind, dtype: Dtype, folder: Path) -> None:
    # With -P, Python does not import modules from the user's current folder.
    command = [sys.executable, "-P", "-m", quantiser.__name__, kind, dtype, str(folder)]
    ended = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise RuntimeError(f"the quantiser ended with {ended.returncode}: {ended.stderr[-2000:]}")
