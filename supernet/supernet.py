"""The supernet: one module that holds the weights of every subnet of a space."""

from __future__ import annotations

from operator import attrgetter

import torch
from torch import Tensor, nn

from compofa.supernet.blocks import Block, Conv, SqueezeExcite
from compofa.supernet.elastic import (
    ElasticBatchNorm2d,
    ElasticConv2d,
    ElasticConvUnit,
    ElasticLinear,
    ElasticSqueezeExcite,
)
from compofa.supernet.families.registry import family_of
from compofa.supernet.graph import build_graph, graph_blocks
from compofa.supernet.network import (
    Network,
    WeightedLayer,
    add_layers,
    run_block,
    weighted_layers,
)
from compofa.supernet.space import Space
from compofa.supernet.subnet import Subnet


class Supernet(nn.Module):
    """The shared weights of all subnets of a space, on which any of them can be run.

    Its modules have the names of the largest graph's layers: `units.0.1.depthwise.conv.weight`.
    The subnet is an argument of `forward` and is not stored, so subnets can be run in any order,
    under DDP, and from several places at once.

    Attributes:
        space: the space of the subnets.
        kernel_transform: whether smaller kernels are learned transforms of the larger ones, as in
            OFA's released weights, or crops of them.
    """

    def __init__(self, space: Space, kernel_transform: bool = False) -> None:
        """Makes a supernet with random weights from torch's global generator."""
        super().__init__()
        self.space = space
        self.kernel_transform = kernel_transform
        largest = graph_blocks(space, hull(space), space.resolutions[-1])
        layers = [(block, layer) for block in largest for layer in weighted_layers([block])]
        add_layers(self, ((layer.name, self._elastic(b, layer)) for b, layer in layers))

    def _elastic(self, block: Block, largest: WeightedLayer) -> nn.Module:
        if isinstance(largest, SqueezeExcite):
            return ElasticSqueezeExcite(largest)
        if not isinstance(largest, Conv):
            return ElasticLinear(largest)
        kernels: tuple[int, ...] = (largest.kernel,)
        if block.unit is not None and largest.kernel > 1:
            kernels = self.space.units[block.unit].kernels
        epsilon = family_of(self.space).bn_epsilon
        return ElasticConvUnit(largest, kernels, self.kernel_transform, epsilon)

    def blocks(self, subnet: Subnet) -> tuple[Block, ...]:
        """The blocks of `subnet`, to run one by one with `run_block`.

        They determine the active slices of the weights. Inputs may have any size, whatever the
        resolution of the blocks.
        """
        return graph_blocks(self.space, subnet, self.space.resolutions[-1])

    def run_block(self, block: Block, x: Tensor) -> Tensor:
        """The output of one block of a subnet for input `x` [n, channels, h, w]."""
        return run_block(block, x, self.run_layer)

    def run_layer(self, layer: WeightedLayer, x: Tensor) -> Tensor:
        """The output of one layer of a subnet for input `x`; the layer must have weights."""
        result: Tensor = attrgetter(layer.name)(self)(x, layer)
        return result

    def conv(self, layer: Conv) -> ElasticConv2d:
        """The module with the weights of a convolution of a subnet."""
        conv: ElasticConv2d = attrgetter(f"{layer.name}.conv")(self)
        return conv

    def norm(self, layer: Conv) -> ElasticBatchNorm2d:
        """The batch norm module of a convolution of a subnet, which must have one."""
        norm: ElasticBatchNorm2d = attrgetter(f"{layer.name}.bn")(self)
        return norm

    def forward(self, image: Tensor, subnet: Subnet) -> Tensor:
        """Runs `subnet`: [n, channels, height, width] -> logits [n, classes].

        The caller must make sure that the subnet is one of this space.
        """
        for block in self.blocks(subnet):
            image = self.run_block(block, image)
        return image

    def active(self, subnet: Subnet) -> dict[str, Tensor]:
        """The tensors that `subnet` uses, named as in its `Network`, as views where possible."""
        tensors: dict[str, Tensor] = {}
        for layer in weighted_layers(self.blocks(subnet)):
            active = attrgetter(layer.name)(self).active(layer)
            tensors |= {f"{layer.name}.{name}": tensor for name, tensor in active.items()}
        return tensors

    def extract(self, subnet: Subnet) -> Network:
        """Makes an ordinary network of `subnet`, with a copy of its weights.

        Raises:
            UserError: the subnet is not of this space.
        """
        graph = build_graph(self.space, subnet, self.space.resolutions[-1])
        with torch.device("meta"):
            network = Network(graph)
        state = {name: tensor.detach().clone() for name, tensor in self.active(subnet).items()}
        network.load_state_dict(state, assign=True)
        return network.train(self.training)


def hull(space: Space) -> Subnet:
    """The choices that are at least as large, in every slot, as those of any subnet of `space`.

    They need not be a subnet of the space: its coupling may give deep units small expand ratios.
    """
    depths, expands, kernels, widths = [], [], [], []
    for unit in space.units:
        depths.append(max(unit.depths))
        kernels += [max(unit.kernels)] * unit.slots
        coupled = unit.coupling or [(max(unit.depths), max(unit.expands), max(unit.widths))]
        for slot in range(unit.slots):
            active = [expand for depth, expand, _ in coupled if unit.base_blocks + depth > slot]
            expands.append(max(active))
        widths.append(max(width for _, _, width in coupled))
    chosen = tuple(widths) if space.elastic_widths else ()
    return Subnet(tuple(depths), tuple(expands), tuple(kernels), chosen)
