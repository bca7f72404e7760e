"""Graphs: costs as published, shapes that fit together, names that latency tables use."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compofa.common.errors import UserError
from compofa.supernet.blocks import INPUT, Conv, SqueezeExcite
from compofa.supernet.export.weights import weight_shapes
from compofa.supernet.graph import Graph, build_graph
from compofa.supernet.space import Space
from compofa.supernet.spaces import SPACES
from compofa.supernet.subnet import Subnet, UnitChoice


def published_networks(reference: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((reference / "specialized_networks.json").read_text())[
        "networks"
    ]
    return found


def subnet_of(space: Space, network: dict[str, Any]) -> Subnet:
    """The subnet that a published list of blocks describes."""
    blocks = iter([b for b in network["blocks"][1:] if b["expand_ratio"]])
    pending = next(blocks)
    choices = []
    for unit in space.units:
        width, chosen = space.channels(unit.width), []
        while pending is not None and pending["out_channels"] == width:
            chosen.append(pending)
            pending = next(blocks, None)
        expands = tuple(block["expand_ratio"] for block in chosen)
        kernels = tuple(block["kernel_size"] for block in chosen)
        choices.append(UnitChoice(len(chosen), expands, kernels))
    assert pending is None
    return space.subnet(choices)


def test_costs_of_the_published_networks_are_as_published(reference: Path) -> None:
    """Million MACs and parameters, to the digits that the OFA README gives."""
    networks = published_networks(reference)
    assert len(networks) == 8
    for network in networks:
        proxyless = network["network"] == "ProxylessNASNets"
        wide = "ofa-mbv3-w1.2" if network["stem_channels"] == 24 else "ofa-mbv3"
        space = SPACES["ofa-proxyless-w1.3" if proxyless else wide]
        graph = build_graph(space, subnet_of(space, network), network["resolution"])
        assert round(graph.macs / 1e6) == network["published_mmacs"], network["name"]
        assert round(graph.params / 1e6, 1) == network["published_mparams"], network["name"]


def test_parameters_of_the_worked_examples_are_as_counted(reference: Path) -> None:
    found = json.loads((reference / "checkpoint_examples.json").read_text())["examples"]
    names = {"ofa_mbv3_w1.2": "ofa-mbv3-w1.2", "ofa_proxyless_w1.3": "ofa-proxyless-w1.3"}
    for net in found:
        space = SPACES[names.get(net["net"], "ofa-mbv3")]
        for case in net["subnets"]:
            choices = [
                UnitChoice(
                    depth,
                    tuple(case["e"][slots.start : slots.start + depth]),
                    tuple(case["ks"][slots.start : slots.start + depth]),
                )
                for slots, depth in zip(space.slot_ranges, case["d"], strict=True)
            ]
            assert build_graph(space, space.subnet(choices), case["r"]).params == case["params"]


@pytest.mark.parametrize("resolution", range(160, 225, 16))
def test_every_block_of_the_note10_space_is_found_in_its_table(
    reference: Path, resolution: int
) -> None:
    table = (reference / "note10_lut" / f"{resolution}_lookup_table.yaml").read_text()
    known = set(re.findall(r"^(\S+):$", table, re.MULTILINE))
    space = SPACES["ofa-mbv3-w1.2"]
    subnets = [SPACES["compofa-w1.2"].extreme(True), SPACES["compofa-w1.2"].extreme(False)]
    rng = np.random.default_rng(0)
    for subnet in [*subnets, *(space.sample(rng) for _ in range(50))]:
        keys = {block.key for block in build_graph(space, subnet, resolution).blocks}
        assert keys <= known


@pytest.fixture(params=list(SPACES.values()), ids=list(SPACES))
def graph(request: pytest.FixtureRequest) -> Graph:
    """A random subnet of each space."""
    space: Space = request.param
    return build_graph(space, space.sample(np.random.default_rng(1)), 100)


def test_layers_read_what_earlier_layers_wrote(graph: Graph) -> None:
    written = {INPUT: graph.input}
    for layer in graph.layers:
        for source in layer.sources:
            assert written[source] == layer.input
        assert layer.name not in written
        written[layer.name] = layer.output
    assert layer.output == (graph.space.classes, 1, 1)


def test_a_block_reads_nothing_but_the_block_before_it(graph: Graph) -> None:
    before = INPUT
    for block in graph.blocks:
        inside = {layer.name for layer in block.layers}
        outside = {source for layer in block.layers for source in layer.sources} - inside
        assert outside == {before}
        before = block.layers[-1].name


def test_costs_are_those_of_the_layers(graph: Graph) -> None:
    assert graph.macs == sum(layer.macs for layer in graph.layers)
    assert graph.params == sum(layer.params for layer in graph.layers)
    assert graph.activation_bytes == 4 * sum(layer.output.elements for layer in graph.layers)


def test_memory_is_that_of_the_tensors_still_to_be_read(graph: Graph) -> None:
    layers = list(graph.layers)
    sizes = {INPUT: graph.input.elements} | {each.name: each.output.elements for each in layers}
    most = 0
    for i in range(len(layers)):
        read_from_here = {name for layer in layers[i:] for name in layer.sources}
        written = {INPUT, *(layer.name for layer in layers[:i])}
        held = written & read_from_here | {layers[i].name}
        most = max(most, sum(sizes[name] for name in held))
    assert graph.peak_activation_bytes == 4 * most


def test_weight_bytes_are_those_of_the_folded_weights(graph: Graph) -> None:
    shapes = weight_shapes(graph).values()
    assert graph.weight_bytes == 4 * sum(math.prod(shape) for shape in shapes)


def test_macs_and_parameters_of_a_convolution_are_counted_as_published() -> None:
    space = SPACES["compofa"]
    stem = next(build_graph(space, space.extreme(False), 160).layers)
    assert isinstance(stem, Conv)
    assert stem.weight_shape == (16, 3, 3, 3)
    assert stem.macs == 80 * 80 * 16 * 3 * 3 * 3
    assert stem.params == 16 * 3 * 3 * 3 + 2 * 16


def test_squeeze_excite_stands_where_the_published_space_has_it() -> None:
    space = SPACES["compofa"]
    graph = build_graph(space, space.extreme(True), 224)
    units = {layer.name.split(".")[1] for layer in graph.layers if isinstance(layer, SqueezeExcite)}
    assert units == {"1", "3", "4"}


def test_costs_grow_with_the_resolution_but_parameters_do_not() -> None:
    space = SPACES["compofa"]
    small, large = (build_graph(space, space.extreme(True), size) for size in (160, 224))
    assert small.macs < large.macs
    assert small.params == large.params


@pytest.mark.parametrize("resolution", [-1, 0, 7, 4097])
def test_resolutions_out_of_bounds_are_refused(resolution: int) -> None:
    with pytest.raises(UserError, match="is out of bounds, 8 to 4096"):
        build_graph(SPACES["compofa"], SPACES["compofa"].extreme(True), resolution)


def test_subnets_of_other_spaces_are_refused() -> None:
    with pytest.raises(UserError, match="not a subnet of space compofa"):
        build_graph(SPACES["compofa"], SPACES["ofa-mbv3"].extreme(True), 160)
