"""Subnets that begin alike, as a tree: what they share is run once.

Two subnets share a block where it is the same block after the same blocks: same layers, same
channels, same kernels. It then has the same weights and the same input, so the same output.
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
    """Blocks that some subnets share, one after the other, and how these subnets go on.

    Attributes:
        blocks: none in the root of subnets that share nothing.
        children: at least two; none where the subnets end.
        subnets: those that run through here, in the order of the leaves.
    """

    blocks: tuple[Block, ...]
    children: tuple[Node, ...]
    subnets: tuple[Subnet, ...]

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates per image of all blocks from here on, each counted once."""
        return sum(block.macs for block in self.blocks) + sum(c.macs for c in self.children)


def prefix_tree(space: Space, subnets: Sequence[Subnet], resolution: int) -> Node:
    """The tree of `subnets`, of which there is at least one; one given twice is one leaf."""
    unique = dict.fromkeys(subnets)
    return _grow([(subnet, graph_blocks(space, subnet, resolution)) for subnet in unique], 0)


def _grow(paths: Sequence[tuple[Subnet, Path]], start: int) -> Node:
    """The node of `paths`, which agree on the blocks before `start`."""
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
    """Runs the tree depth-first: each node once, on what its parent gave.

    What is kept meanwhile is one result for each node on the way from the root.

    Args:
        node: the root.
        x: what the root's first block takes.
        run: the output of a node's blocks.

    Yields:
        Each leaf with its output.
    """
    output = run(node, x)
    if not node.children:
        yield node, output
    for child in node.children:
        yield from walk(child, output, run)


def groups(node: Node, most: int) -> Iterator[tuple[Subnet, ...]]:
    """Cuts a tree into groups of at most `most` subnets that share much.

    Whole subtrees stay together where they fit, and neighbours fill up a group.
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
