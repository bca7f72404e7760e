"""Describes subnets: the metadata in a model file, and a description as JSON."""

from __future__ import annotations

import json
from typing import Any, Literal

from compofa.supernet.blocks import Add, Block, Conv, Layer, Linear, PoolLayer, SqueezeExcite
from compofa.supernet.graph import Graph
from compofa.supernet.preprocessing import preprocessing

Layout = Literal["NCHW", "NHWC"]
"""The order of a model's input axes: images, channels, height, width, or channels last."""


def metadata(
    graph: Graph, *, layout: Layout = "NCHW", checkpoint_sha256: str | None = None
) -> dict[str, str]:
    """The metadata in a model file, as text.

    Args:
        graph: the graph that the file computes.
        layout: the layout of its input.
        checkpoint_sha256: the digest of the checkpoint; None for random weights.

    Returns:
        `space`, `subnet`, `resolution`, `macs`, `params`, `layout`, and, where they are known,
        `preprocessing` (a JSON object) and `checkpoint_sha256`.
    """
    facts = {
        "space": graph.space.name,
        "subnet": graph.space.key(graph.subnet),
        "resolution": str(graph.resolution),
        "macs": str(graph.macs),
        "params": str(graph.params),
        "layout": layout,
    }
    wanted = preprocessing(graph.space.in_channels)
    if wanted is not None:
        facts["preprocessing"] = json.dumps(wanted.as_json())
    if checkpoint_sha256 is not None:
        facts["checkpoint_sha256"] = checkpoint_sha256
    return facts


def describe(
    graph: Graph, batch_size: int = 1, checkpoint_sha256: str | None = None
) -> dict[str, Any]:
    """Describes a subnet in plain values.

    Shapes of layers are [channels, height, width], without the batch; the model's `input_shape` is
    [batch, channels, height, width]. `macs` are multiply-accumulates per image, and `params` are
    trainable parameters, including those of batch norm. `preprocessing` is null if no convention
    is known for the number of input channels.
    """
    wanted = preprocessing(graph.space.in_channels)
    return {
        "space": graph.space.name,
        "subnet": graph.space.key(graph.subnet),
        "resolution": graph.resolution,
        "input_shape": [batch_size, *graph.input],
        "classes": graph.space.classes,
        "macs": graph.macs,
        "params": graph.params,
        "activation_bytes": graph.activation_bytes,
        "preprocessing": None if wanted is None else wanted.as_json(),
        "checkpoint_sha256": checkpoint_sha256,
        "layers": [_layer(layer, block) for block in graph.blocks for layer in block.layers],
    }


def render_description(
    graph: Graph, batch_size: int = 1, checkpoint_sha256: str | None = None
) -> bytes:
    """`describe` as a JSON file."""
    description = describe(graph, batch_size, checkpoint_sha256)
    return (json.dumps(description, indent=2) + "\n").encode()


_TYPES: dict[type[Layer], str] = {
    Conv: "conv",
    SqueezeExcite: "squeeze_excite",
    Add: "add",
    PoolLayer: "pool",
    Linear: "linear",
}


def _layer(layer: Layer, block: Block) -> dict[str, Any]:
    facts: dict[str, Any] = {
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
        facts |= {
            "kernel": layer.kernel,
            "stride": layer.stride,
            "groups": layer.groups,
            "batch_norm": layer.batch_norm,
        }
    elif isinstance(layer, SqueezeExcite):
        facts["squeezed_channels"] = layer.mid
    elif isinstance(layer, PoolLayer):
        facts |= {"kind": layer.kind, "kernel": layer.kernel, "stride": layer.stride}
    if isinstance(layer, Conv | Add):
        facts["activation"] = layer.activation
    return facts
