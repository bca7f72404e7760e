"""Arranges subnets that begin with the same blocks as a tree, so that these blocks run once.

Two subnets share a block if it has the same layers, channels and kernels in both, and all blocks
before it are shared too. It then has the same weights and the same input, and so the same output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from compofa.supernet.blocks import Block
from compofa.supernet.graph import graph_blocks
from compofa.supernet.space import Space
from compofa.supernet.subnet import Subnet

X = TypeVar("X")

Path = tuple[Block, ...]
"""The blocks of a subnet, from the image to the logits."""


@dataclass(frozen=True, eq=False)
class Node:
    """Consecutive blocks that some subnets share.

    Attributes:
        blocks: the blocks; empty in the root of a tree of subnets that share nothing.
        children: the nodes that follow, at least two; none in a leaf.
        subnets: the subnets that contain these blocks, in the order of the leaves.
    """

    blocks: tuple[Block, ...]
    children: tuple[Node, ...]
    subnets: tuple[Subnet, ...]

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates per image of the blocks of this node and of all below it."""
        return sum(block.macs for block in self.blocks) + sum(c.macs for c in self.children)


def prefix_tree(space: Space, subnets: Sequence[Subnet], resolution: int) -> Node:
    """Makes the tree of `subnets`, of which there must be at least one.

    A subnet that is given twice is one leaf.
    """
    unique = dict.fromkeys(subnets)
    return _grow([(subnet, graph_blocks(space, subnet, resolution)) for subnet in unique], 0)


def _grow(paths: Sequence[tuple[Subnet, Path]], start: int) -> Node:
    """The node of `paths`, which have the same blocks before `start`."""
    first, end = paths[0][1], start
    while end < len(first) and all(path[end] == first[end] for _, path in paths):
        end += 1
    if end == len(first):
        return Node(first[start:], (), tuple(subnet for subnet, _ in paths))
    branches: dict[Block, list[tuple[Subnet, Path]]] = {}
    for subnet, path in paths:
        branches.setdefault(path[end], []).append((subnet, path))
    children = tuple(_grow(branch, end) for branch in branches.values())
    below = tuple(subnet for child in children for subnet in child.subnets)
    return Node(first[start:end], children, below)


def walk(node: Node, x: X, run: Callable[[Node, X], X]) -> Iterator[tuple[Node, X]]:
    """Runs the tree depth-first: each node once, on the output of its parent.

    Only the outputs of the nodes on the path from the root are kept meanwhile.

    Args:
        node: the root.
        x: the input of the root's first block.
        run: computes the output of a node's blocks from their input.

    Yields:
        Each leaf with its output.
    """
    output = run(node, x)
    if not node.children:
        yield node, output
    for child in node.children:
        yield from walk(child, output, run)


def groups(node: Node, most: int) -> Iterator[tuple[Subnet, ...]]:
    """Divides a tree into groups of at most `most` subnets that share many blocks.

    A subtree stays together if it fits into a group; neighbouring subtrees fill up a group.
    """
    if len(node.subnets) <= most or not node.children:
        for start in range(0, len(node.subnets), most):
            yield node.subnets[start : start + most]
        return
    group: tuple[Subnet, ...] = ()
    for child in node.children:
        for part in groups(child, most):
            if group and len(group) + len(part) > most:
                yield group
                group = ()
            group += part
    yield group
