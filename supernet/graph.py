"""A subnet at one resolution as a list of blocks, with its costs.

Writers turn graphs into model files, latency models compute their features from graphs, and the
keys of blocks are those of published latency tables. A graph needs no weights and no framework. The
family of the space determines which blocks a subnet has.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from compofa.common.errors import UserError
from compofa.supernet.blocks import Block, Layer, Shape
from compofa.supernet.defaults import LARGEST_RESOLUTION, SMALLEST_RESOLUTION
from compofa.supernet.families.registry import family_of
from compofa.supernet.space import Space
from compofa.supernet.subnet import Subnet


@dataclass(frozen=True)
class Graph:
    """A subnet at one resolution, as blocks of layers in order of execution.

    Attributes:
        space: the space of the subnet.
        subnet: the subnet.
        resolution: the side of the square input in pixels.
        blocks: the blocks.
    """

    space: Space
    subnet: Subnet
    resolution: int
    blocks: tuple[Block, ...]

    @property
    def input(self) -> Shape:
        """The shape of the input image."""
        return Shape(self.space.in_channels, self.resolution, self.resolution)

    @property
    def layers(self) -> Iterator[Layer]:
        """All layers, in order of execution."""
        return (layer for block in self.blocks for layer in block.layers)

    @property
    def macs(self) -> int:
        """Multiply-accumulates per image."""
        return sum(block.macs for block in self.blocks)

    @property
    def params(self) -> int:
        """Trainable parameters, including those of batch norm."""
        return sum(block.params for block in self.blocks)

    @property
    def activation_bytes(self) -> int:
        """The bytes of all float32 activations that the layers write, per image."""
        return 4 * sum(layer.output.elements for layer in self.layers)

    @property
    def peak_activation_bytes(self) -> int:
        """The most bytes of float32 activations in memory at once, per image.

        Only one tensor passes from block to block, so this is the largest need of a single block.
        """
        return 4 * max(block.peak_activations for block in self.blocks)

    @property
    def weight_bytes(self) -> int:
        """The bytes of float32 weights with batch norm folded: nearly the size of a model file."""
        return 4 * sum(block.folded_params for block in self.blocks)


def build_graph(space: Space, subnet: Subnet, resolution: int) -> Graph:
    """Builds the graph of `subnet` of `space` for square inputs of `resolution` pixels.

    Raises:
        UserError: the resolution is out of bounds, or the subnet is not in the space.
    """
    if not SMALLEST_RESOLUTION <= resolution <= LARGEST_RESOLUTION:
        bounds = f"{SMALLEST_RESOLUTION} to {LARGEST_RESOLUTION}"
        raise UserError(f"resolution {resolution} is out of bounds, {bounds}")
    reason = space.why_not(subnet)
    if reason is not None:
        raise UserError(f"not a subnet of space {space.name}: {reason}")
    return Graph(space, subnet, resolution, graph_blocks(space, subnet, resolution))


def graph_blocks(space: Space, subnet: Subnet, resolution: int) -> tuple[Block, ...]:
    """The blocks of `build_graph`, without checks: the subnet must be one of the space."""
    image = Shape(space.in_channels, resolution, resolution)
    return family_of(space).blocks(space, subnet, image)
