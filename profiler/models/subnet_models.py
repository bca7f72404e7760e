"""From a graph to the model file that a runtime takes, in the number format that was asked for."""

from __future__ import annotations

from collections.abc import Iterator

from compofa.common.arrays import Float32Array
from compofa.profiler.agent.compofa_agent import random_input
from compofa.profiler.runtimes.runtimes import ABILITIES
from compofa.profiler.transports.device import Dtype, Runtime
from compofa.supernet.export.weights import Weights
from compofa.supernet.graph import Graph

CALIBRATION_INPUTS = 8
"""Random ones: int8 ranges need not be good for a latency, only to be there."""

CALIBRATION_SEED = 1000


def model_file(
    runtime: Runtime, dtype: Dtype, graph: Graph, weights: Weights, batch_size: int
) -> bytes:
    """The file that `runtime` takes.

    torch and OpenVINO turn a float32 file into `dtype` as they load it; files for the others are
    written in it.

    Raises:
        MissingExtra: a package that writes this format is not installed.
        UserError: the network does not fit into the format.
    """
    format_ = ABILITIES[runtime].format
    if format_ == "layers":
        from compofa.supernet.export.layers import write_layers

        return write_layers(graph, weights, batch_size=batch_size)
    if format_ == "coreml":
        from compofa.supernet.export.coreml import write_coreml

        return write_coreml(
            graph,
            weights,
            batch_size=batch_size,
            dtype="float16" if dtype == "float16" else "float32",
        )
    if format_ == "tflite":
        return _tflite(graph, weights, batch_size, quantised=dtype == "int8")
    return _onnx(graph, weights, batch_size, quantised=dtype == "int8")


def _tflite(graph: Graph, weights: Weights, batch_size: int, *, quantised: bool) -> bytes:
    from compofa.supernet.export.tflite import write_tflite

    content = write_tflite(graph, weights, batch_size=batch_size, to_quantise=quantised)
    if not quantised:
        return content
    from compofa.supernet.export.quantise import quantise_tflite

    return quantise_tflite(content, _calibration(graph, batch_size))


def _onnx(graph: Graph, weights: Weights, batch_size: int, *, quantised: bool) -> bytes:
    from compofa.supernet.export.onnx import write_onnx

    content = write_onnx(graph, weights, batch_size=batch_size)
    if not quantised:
        return content
    from compofa.supernet.export.quantise import quantise_onnx

    return quantise_onnx(content, _calibration(graph, batch_size))


def _calibration(graph: Graph, batch_size: int) -> Iterator[Float32Array]:
    shape = (batch_size, *graph.input)
    return (random_input(shape, CALIBRATION_SEED + i) for i in range(CALIBRATION_INPUTS))
