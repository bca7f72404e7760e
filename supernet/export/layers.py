"""Writes a graph and its folded weights as a layers file, which the torch runtime reads.

The file is in NumPy's .npz format without pickles: one array for each weight, under its name, and
`graph`, the bytes of the JSON from `describe`. A device needs torch and NumPy to read it, but not
this package.
"""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np

from compofa.supernet.export.description import describe
from compofa.supernet.export.weights import Weights
from compofa.supernet.graph import Graph

GRAPH = "graph"
"""The member with the description. No weight has this name, since their names contain dots."""


def write_layers(graph: Graph, weights: Weights, *, batch_size: int = 1) -> bytes:
    """Makes the layers file of `graph`. The same graph and weights give the same bytes.

    Args:
        graph: a graph of any family.
        weights: the weights that `weight_shapes` lists, float32 in torch's layouts.
        batch_size: the batch size of the `input_shape` in the description.
    """
    description = json.dumps(describe(graph, batch_size)).encode()
    file = io.BytesIO()
    members: dict[str, Any] = {GRAPH: np.frombuffer(description, np.uint8), **weights}
    np.savez(file, **members)
    return file.getvalue()
