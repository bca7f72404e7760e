"""Layers files: everything a network is made of, readable without pickles or this package."""

from __future__ import annotations

import io
import json

import numpy as np

from compofa.supernet.export.layers import GRAPH, write_layers
from compofa.supernet.export.weights import random_weights
from compofa.supernet.graph import build_graph
from compofa.supernet.spaces import SPACES

SPACE = SPACES["compofa"]
GRAPH_OF = build_graph(SPACE, SPACE.parse("d22222"), 160)
WEIGHTS = random_weights(GRAPH_OF, 0)


def test_it_holds_the_description_and_every_weight() -> None:
    with np.load(io.BytesIO(write_layers(GRAPH_OF, WEIGHTS, batch_size=4))) as archive:
        description = json.loads(archive[GRAPH].tobytes())
        weights = {name: archive[name] for name in archive.files if name != GRAPH}
    assert description["subnet"] == "d22222"
    assert description["input_shape"] == [4, 3, 160, 160]
    assert [layer["name"] for layer in description["layers"]] == [
        layer.name for layer in GRAPH_OF.layers
    ]
    assert weights.keys() == WEIGHTS.keys()
    assert all(np.array_equal(weights[name], WEIGHTS[name]) for name in WEIGHTS)


def test_the_same_network_gives_the_same_bytes() -> None:
    content = write_layers(GRAPH_OF, WEIGHTS)
    assert content == write_layers(GRAPH_OF, random_weights(GRAPH_OF, 0))
    assert content != write_layers(GRAPH_OF, random_weights(GRAPH_OF, 1))
