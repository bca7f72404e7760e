"""The program that quantise.py runs: `quantiser KIND DTYPE FOLDER`, with the files in the folder.

Only this module knows what a quantised dtype means to the libraries.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from compofa.common.arrays import Float32Array
from compofa.supernet.blocks import INPUT
from compofa.supernet.export.dtype import Dtype

Kind = Literal["tflite", "onnx"]

FLOAT = "float"
"""The file in the folder with the model to quantise. Its inputs are in *.npy, in its layout."""

QUANTISED = "quantised"
"""The file in the folder to which the quantised model is written."""

TFLITE_BITS = {Dtype.INT8: (8, 8)}
"""The number of bits of activations and of weights."""

ONNX_TYPES = {Dtype.INT8: ("QUInt8", "QInt8")}
"""The types of activations and of weights, as onnxruntime's `QuantType` names them.

Activations are unsigned, because on x86 onnxruntime has no int8 kernels for signed ones.
"""


def quantise_tflite(folder: Path, dtype: Dtype) -> None:
    """Quantises the weights and activations of all operators, but not the input and the output."""
    from ai_edge_litert.tools.flatbuffer_utils import read_model_from_bytearray
    from ai_edge_quantizer.algorithm_manager import AlgorithmName
    from ai_edge_quantizer.calibrator import Calibrator
    from ai_edge_quantizer.qtyping import TFLOperationName
    from ai_edge_quantizer.quantizer import Quantizer
    from ai_edge_quantizer.recipe_manager import RecipeManager
    from ai_edge_quantizer.utils.qsv_utils import min_max_update

    from compofa.supernet.export.tflite_file import SIGNATURE, packed

    recipes = RecipeManager()
    recipes.add_static_config(".*", TFLOperationName.ALL_SUPPORTED, *TFLITE_BITS[dtype])
    for kept in (TFLOperationName.INPUT, TFLOperationName.OUTPUT):
        recipes.add_quantization_config(".*", kept, algorithm_key=AlgorithmName.NO_QUANTIZE)
    content = (folder / FLOAT).read_bytes()
    # By default, ranges are moving averages in which the first input has more weight than all
    # others together.
    calibrator = Calibrator(content, num_threads=1, qsv_update_func=min_max_update)
    for batch in inputs(folder):
        calibrator.calibrate({SIGNATURE: [{INPUT: batch}]}, recipes)
    quantizer = Quantizer(content, recipes.get_quantization_recipe())
    quantised = quantizer.quantize(calibrator.get_model_qsvs()).quantized_model
    # The quantizer puts contents behind the flatbuffer, where older runtimes cannot read them, so
    # the model is packed again.
    (folder / QUANTISED).write_bytes(packed(read_model_from_bytearray(quantised)))


def quantise_onnx(folder: Path, dtype: Dtype) -> None:
    """Inserts pairs of QuantizeLinear and DequantizeLinear around operators."""
    from onnxruntime.quantization import QuantType, quantize_static

    activations, weights = ONNX_TYPES[dtype]
    quantize_static(
        folder / FLOAT,
        folder / QUANTISED,
        _Reader(inputs(folder)),
        per_channel=True,
        activation_type=QuantType[activations],
        weight_type=QuantType[weights],
    )


class _Reader:
    """The calibration inputs, with the interface that onnxruntime requires."""

    def __init__(self, batches: Iterator[Float32Array]) -> None:
        self.batches = batches

    def get_next(self) -> dict[str, Float32Array] | None:
        batch = next(self.batches, None)
        return None if batch is None else {INPUT: batch}


def inputs(folder: Path) -> Iterator[Float32Array]:
    """The calibration inputs in the folder, in order."""
    return (np.load(path) for path in sorted(folder.glob("*.npy")))


if __name__ == "__main__":
    quantisers = {"tflite": quantise_tflite, "onnx": quantise_onnx}
    quantisers[sys.argv[1]](Path(sys.argv[3]), Dtype(sys.argv[2]))
