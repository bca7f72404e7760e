"""From a graph to the model file that a runtime takes, in the number type that was asked for."""

from __future__ import annotations

from compofa.profiler.agent.compofa_agent import random_input
from compofa.profiler.runtimes.spec import RuntimeSpec
from compofa.supernet.export.dtype import Dtype
from compofa.supernet.export.model_format import ModelContent
from compofa.supernet.export.weights import Weights
from compofa.supernet.graph import Graph

CALIBRATION_INPUTS = 8
"""Random inputs will do: a latency needs int8 ranges, but not good ones."""

CALIBRATION_SEED = 1000


def model_file(
    runtime: RuntimeSpec, dtype: Dtype, graph: Graph, weights: Weights, batch_size: int
) -> bytes:
    """The file from which `runtime` computes the network of `graph` in `dtype`.

    Raises:
        MissingExtra: a package that writes this format is not installed.
        UserError: the network does not fit into the format.
    """
    shape = (batch_size, *graph.input)
    inputs = (random_input(shape, CALIBRATION_SEED + i) for i in range(CALIBRATION_INPUTS))
    return runtime.format.write(
        ModelContent(
            graph,
            weights,
            dtype=runtime.file_dtype(dtype),
            batch_size=batch_size,
            calibration=inputs,
        )
    )
