"""A graph as a torch network of ordinary layers, and functions that run blocks and layers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter

from torch import Tensor, nn
from torch.nn import functional as F

from compofa.supernet.blocks import Add, Block, Conv, Layer, Linear, PoolLayer, SqueezeExcite
from compofa.supernet.families.registry import family_of
from compofa.supernet.graph import Graph
from compofa.supernet.subnet import Activation

WeightedLayer = Conv | SqueezeExcite | Linear
"""The layers of a graph that have weights."""


def activate(x: Tensor, activation: Activation, inplace: bool = False) -> Tensor:
    """Applies an activation to `x`."""
    if activation == "relu":
        return F.relu(x, inplace)
    if activation == "relu6":
        return F.relu6(x, inplace)
    if activation == "h_swish":
        return F.hardswish(x, inplace)
    return x


def squeeze_excite(
    x: Tensor, reduce: Callable[[Tensor], Tensor], expand: Callable[[Tensor], Tensor]
) -> Tensor:
    """Channel attention: scales each channel of `x` by a function of the averages of all channels.

    Args:
        x: activations, [n, channels, h, w].
        reduce: a layer from [n, channels, 1, 1] to the squeezed channels.
        expand: a layer from the squeezed channels to [n, channels, 1, 1].
    """
    scale = F.relu(reduce(x.mean((2, 3), keepdim=True)))
    return x * F.hardsigmoid(expand(scale))


def run_block(
    block: Block, x: Tensor, compute: Callable[[WeightedLayer, Tensor], Tensor]
) -> Tensor:
    """The output of `block` for input `x`; `compute` runs the layers that have weights.

    The only input of a block is the output of the block before it.
    """
    values = {block.layers[0].sources[0]: x}
    for layer in block.layers:
        x = run_layer(layer, [values[source] for source in layer.sources], compute)
        values[layer.name] = x
    return x


def run_layer(
    layer: Layer, inputs: Sequence[Tensor], compute: Callable[[WeightedLayer, Tensor], Tensor]
) -> Tensor:
    """The output of `layer` for the outputs of its sources; `compute` runs it if it has weights."""
    if isinstance(layer, Add):
        return activate(inputs[0] + inputs[1], layer.activation)
    if isinstance(layer, PoolLayer):
        return _pool(inputs[0], layer)
    if isinstance(layer, Linear):
        return compute(layer, inputs[0].flatten(1))
    return compute(layer, inputs[0])


def _pool(x: Tensor, pool: PoolLayer) -> Tensor:
    if pool.kind == "global_average":
        return x.mean((2, 3), keepdim=True)
    if pool.kind == "max":
        return F.max_pool2d(x, pool.kernel, pool.stride, pool.kernel // 2)
    return F.avg_pool2d(x, pool.kernel, pool.stride, ceil_mode=True)


def add_layers(root: nn.Module, layers: Iterable[tuple[str, nn.Module]]) -> None:
    """Adds modules to `root` under dotted names, with a `ModuleDict` for each inner part."""
    for name, module in layers:
        parent = root
        *folders, last = name.split(".")
        for folder in folders:
            if folder not in dict(parent.named_children()):
                parent.add_module(folder, nn.ModuleDict())
            parent = parent.get_submodule(folder)
        parent.add_module(last, module)


class SqueezeExciteModule(nn.Module):
    """Channel attention with fixed numbers of channels."""

    def __init__(self, channels: int, mid: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, mid, 1)
        self.expand = nn.Conv2d(mid, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[n, channels, h, w] -> the same, each channel scaled."""
        return squeeze_excite(x, self.reduce, self.expand)


class Network(nn.Module):
    """One subnet as an ordinary network of `nn.Conv2d`, `nn.BatchNorm2d` and `nn.Linear`.

    Modules have the names of the graph's layers; a convolution `stem` has `stem.conv` and
    `stem.bn`. Inputs may have any size, whatever the graph's resolution.
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph
        epsilon = family_of(graph.space).bn_epsilon
        add_layers(
            self, ((layer.name, _plain(layer, epsilon)) for layer in weighted_layers(graph.blocks))
        )

    def forward(self, image: Tensor) -> Tensor:
        """[n, channels, height, width] -> logits [n, classes]."""
        for block in self.graph.blocks:
            image = run_block(block, image, self._run)
        return image

    def _run(self, layer: WeightedLayer, x: Tensor) -> Tensor:
        result: Tensor = attrgetter(layer.name)(self)(x)
        return result


def weighted_layers(blocks: Iterable[Block]) -> list[WeightedLayer]:
    """The layers of `blocks` that have weights, in order."""
    layers = (layer for block in blocks for layer in block.layers)
    return [layer for layer in layers if not isinstance(layer, Add | PoolLayer)]


def _plain(layer: WeightedLayer, epsilon: float) -> nn.Module:
    if isinstance(layer, Linear):
        return nn.Linear(layer.input.channels, layer.output.channels)
    if isinstance(layer, SqueezeExcite):
        return SqueezeExciteModule(layer.output.channels, layer.mid)
    channels, out, padding = layer.input.channels, layer.output.channels, layer.kernel // 2
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    parts["conv"] = nn.Conv2d(
        channels,
        out,
        layer.kernel,
        layer.stride,
        padding,
        groups=layer.groups,
        bias=False,
    )
    if layer.batch_norm:
        parts["bn"] = nn.BatchNorm2d(out, eps=epsilon)
    activations: dict[Activation, type[nn.Module]] = {
        "relu": nn.ReLU,
        "relu6": nn.ReLU6,
        "h_swish": nn.Hardswish,
    }
    if layer.activation != "none":
        parts["activation"] = activations[layer.activation]()
    return nn.Sequential(parts)
