"""A subnet described as JSON: what it is made of, and what it costs."""

from __future__ import annotations

import json
from typing import Any

from compofa.supernet.graph import Add, Block, Conv, Graph, Layer, Linear, Pool, SqueezeExcite


def describe(graph: Graph, batch_size: int = 1) -> dict[str, Any]:
    """The subnet as plain values; shapes are [channels, height, width], batch left out.

    `macs` counts multiply-accumulates of one image, `params` weights with two for each channel
    of batch norm. `input_shape` is what the model takes, [batch, channels, height, width].
    """
    return {
        "space": graph.space.name,
        "subnet": graph.space.key(graph.subnet),
        "resolution": graph.resolution,
        "input_shape": [batch_size, *graph.input],
        "classes": graph.space.classes,
        "macs": graph.macs,
        "params": graph.params,
        "activation_bytes": graph.activation_bytes,
        "layers": [_layer(layer, block) for block in graph.blocks for layer in block.layers],
    }


def write_description(graph: Graph, batch_size: int = 1) -> bytes:
    """`describe` as a JSON file."""
    return (json.dumps(describe(graph, batch_size), indent=2) + "\n").encode()


_TYPES: dict[type[Layer], str] = {
    Conv: "conv",
    SqueezeExcite: "squeeze_excite",
    Add: "add",
    Pool: "pool",
    Linear: "linear",
}


def _layer(layer: Layer, block: Block) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": layer.name,
        "type": _TYPES[type(layer)],
        "unit": None if block.unit is None else block.unit + 1,
        "block": block.key,
        "inputs": list(layer.sources),
        "input_shape": list(layer.input),
        "output_shape": list(layer.output),
        "macs": layer.macs,
        "params": layer.params,
    }
    if isinstance(layer, Conv):
        found |= {
            "kernel": layer.kernel,
            "stride": layer.stride,
            "groups": layer.groups,
            "batch_norm": layer.batch_norm,
        }
    elif isinstance(layer, SqueezeExcite):
        found["squeezed_channels"] = layer.mid
    elif isinstance(layer, Pool):
        found |= {"kind": layer.kind, "kernel": layer.kernel, "stride": layer.stride}
    if isinstance(layer, Conv | Add):
        found["activation"] = layer.activation
    return found
