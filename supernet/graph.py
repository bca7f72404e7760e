"""A subnet at one resolution as a list of blocks: what it computes, and what that costs.

The graph is what writers turn into model files, what latency models take their features from, and
what names the blocks of published latency tables. It needs no weights and no framework. Which
blocks a subnet has is for the family of its space to say.
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
    """A subnet at one resolution, as blocks of layers in order of execution."""

    space: Space
    subnet: Subnet
    resolution: int
    blocks: tuple[Block, ...]

    @property
    def input(self) -> Shape:
        """The image."""
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
        """Trainable parameters, batch norm's included."""
        return sum(block.params for block in self.blocks)

    @property
    def activation_bytes(self) -> int:
        """Bytes that float32 layers write, per image: the traffic of activations."""
        return 4 * sum(layer.output.elements for layer in self.layers)

    @property
    def peak_activation_bytes(self) -> int:
        """Bytes of float32 activations that must be held at once, per image.

        One tensor passes from block to block, so no more is held than some block needs by itself.
        """
        return 4 * max(block.peak_activations for block in self.blocks)

    @property
    def weight_bytes(self) -> int:
        """Bytes of float32 weights, batch norm folded: a model file but for its names."""
        return 4 * sum(block.folded_params for block in self.blocks)


def build_graph(space: Space, subnet: Subnet, resolution: int) -> Graph:
    """The layers of `subnet` of `space` for square inputs of `resolution` pixels.

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
    """The blocks of `build_graph`, for a subnet known to be of the space (nothing is checked)."""
    image = Shape(space.in_channels, resolution, resolution)
    return family_of(space).blocks(space, subnet, image)
