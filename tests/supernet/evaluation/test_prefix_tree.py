"""The tree of what subnets share, and groups cut from it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from compofa.supernet.evaluation.prefix_tree import Node, groups, prefix_tree, walk
from compofa.supernet.graph import graph_blocks
from compofa.supernet.space import Space
from compofa.supernet.spaces import SPACES
from compofa.supernet.subnet import Subnet

COMPOFA = SPACES["compofa"]
RNG = np.random.default_rng(0)
LISTS = {
    "all of compofa": (COMPOFA, COMPOFA.enumerate()),
    "one": (COMPOFA, [COMPOFA.extreme(True)]),
    "one twice": (COMPOFA, [COMPOFA.extreme(True)] * 2),
    "all of compofa-resnet50": (
        SPACES["compofa-resnet50"],
        SPACES["compofa-resnet50"].enumerate(),
    ),
    "a sample of ofa-mbv3": (
        SPACES["ofa-mbv3"],
        [SPACES["ofa-mbv3"].sample(RNG) for _ in range(50)],
    ),
}


def blocks_to_leaves(root: Node) -> dict[Subnet, tuple[str, ...]]:
    """The blocks on the way to each subnet, as a walk meets them."""

    def run(node: Node, before: tuple[str, ...]) -> tuple[str, ...]:
        return before + tuple(str(block) for block in node.blocks)

    nothing: tuple[str, ...] = ()
    return {s: path for leaf, path in walk(root, nothing, run) for s in leaf.subnets}


@pytest.mark.parametrize(("space", "subnets"), LISTS.values(), ids=LISTS.keys())
def test_a_walk_runs_the_blocks_of_every_subnet_in_order(
    space: Space, subnets: list[Subnet]
) -> None:
    found = blocks_to_leaves(prefix_tree(space, subnets, 64))
    assert set(found) == set(subnets)
    for subnet, path in found.items():
        assert path == tuple(str(block) for block in graph_blocks(space, subnet, 64))


def test_siblings_differ_in_their_first_block_so_nothing_shared_runs_twice() -> None:
    runs: list[tuple[str, ...]] = []

    def run(node: Node, before: tuple[str, ...]) -> tuple[str, ...]:
        path = before + tuple(str(block) for block in node.blocks)
        runs.extend(path[: i + 1] for i in range(len(before), len(path)))
        return path

    nothing: tuple[str, ...] = ()
    list(walk(prefix_tree(COMPOFA, COMPOFA.enumerate(), 224), nothing, run))
    assert len(runs) == len(set(runs))


def test_the_compound_space_shares_more_than_two_thirds_of_its_macs() -> None:
    subnets = COMPOFA.enumerate()
    alone = sum(block.macs for s in subnets for block in graph_blocks(COMPOFA, s, 224))
    assert alone / prefix_tree(COMPOFA, subnets, 224).macs == pytest.approx(3.367, abs=1e-3)


def test_subnets_that_are_the_same_network_share_a_leaf() -> None:
    """So narrow that rounding gives all widths the same channels."""
    space = replace(SPACES["ofa-resnet50"], width=0.001)
    wide, narrow = space.extreme(True), space.extreme(False)
    twin = replace(wide, widths=narrow.widths)
    tree = prefix_tree(space, [wide, twin], 64)
    assert (tree.children, tree.subnets) == ((), (wide, twin))
    assert list(groups(tree, 1)) == [(wide,), (twin,)]


@pytest.mark.parametrize("most", [1, 2, 9, 26, 27, 100, 1000])
@pytest.mark.parametrize(("space", "subnets"), LISTS.values(), ids=LISTS.keys())
def test_groups_hold_every_subnet_once_and_none_is_too_large(
    space: Space, subnets: list[Subnet], most: int
) -> None:
    found = list(groups(prefix_tree(space, subnets, 64), most))
    assert [s for group in found for s in group] == list(prefix_tree(space, subnets, 64).subnets)
    assert all(0 < len(group) <= most for group in found)


def test_groups_are_whole_subtrees_where_they_fit() -> None:
    found = list(groups(prefix_tree(COMPOFA, COMPOFA.enumerate(), 224), 27))
    assert len(found) == 9
    assert all(len({subnet.depths[:2] for subnet in group}) == 1 for group in found)
