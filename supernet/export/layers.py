"""A graph and its folded weights as a layers file: what the torch runtime builds its modules from.

NumPy's .npz format without pickles: one array for each weight, under its name, and `graph`, the
bytes of `describe`'s JSON. A device needs torch and NumPy to read it, and none of this package.
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
"""The member that holds the description; no weight is called so, their names have dots."""


def write_layers(graph: Graph, weights: Weights, *, batch_size: int = 1) -> bytes:
    """The layers file of `graph`: the same bytes for the same graph and weights.

    Args:
        graph: any graph, of any family.
        weights: what `weight_shapes` names, float32 in torch's layouts.
        batch_size: of the `input_shape` in the description.
    """
    description = json.dumps(describe(graph, batch_size)).encode()
    file = io.BytesIO()
    members: dict[str, Any] = {GRAPH: np.frombuffer(description, np.uint8), **weights}
    np.savez(file, **members)
    return file.getvalue()
