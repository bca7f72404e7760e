"""The description of a subnet as JSON."""

from __future__ import annotations

import pytest

from compofa.supernet.export.description import describe
from compofa.supernet.graph import build_graph
from compofa.supernet.spaces import SPACES

SPACE = SPACES["compofa"]


@pytest.fixture(scope="module")
def description() -> dict[str, object]:
    return describe(build_graph(SPACE, SPACE.parse("d23422"), 160), batch_size=4)


def test_units_are_counted_from_one_as_in_the_key(description: dict[str, object]) -> None:
    layers = description["layers"]
    assert isinstance(layers, list)
    blocks = {(layer["unit"], layer["name"].split(".")[2]) for layer in layers if layer["unit"]}
    depths = [sum(unit == number for unit, _ in blocks) for number in range(1, 6)]
    assert depths == [2, 3, 4, 2, 2]
    for layer in layers:
        if layer["unit"]:
            assert layer["name"].startswith(f"units.{layer['unit'] - 1}.")


def test_sums_over_layers_are_the_totals(description: dict[str, object]) -> None:
    layers = description["layers"]
    assert isinstance(layers, list)
    assert sum(layer["macs"] for layer in layers) == description["macs"]
    assert sum(layer["params"] for layer in layers) == description["params"]
    assert description["input_shape"] == [4, 3, 160, 160]
