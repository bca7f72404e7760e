"""What a model file says about itself, and a subnet described as JSON."""

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
    """What a model file says about itself, as text.

    Args:
        graph: what the file computes.
        layout: of its input.
        checkpoint_sha256: of the file that the weights come from; None for random weights.

    Returns:
        `space`, `subnet`, `resolution`, `macs`, `params`, `layout`, and `preprocessing` (an object
        as JSON) and `checkpoint_sha256` where they are known.
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
    """The subnet as plain values; shapes are [channels, height, width], batch left out.

    `macs` counts multiply-accumulates of one image, `params` weights with two for each channel
    of batch norm. `input_shape` is what the model takes, [batch, channels, height, width], and
    `preprocessing` what is done to an image before; null where the space does not tell.
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
