"""ResNet50D as a supernet: nothing in it is tied to MobileNet."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch

from compofa.supernet.export.onnx import write_onnx
from compofa.supernet.export.weights import folded_weights
from compofa.supernet.graph import build_graph
from compofa.supernet.spaces import SPACES
from compofa.supernet.supernet import Supernet

FREE, COMPOUND = SPACES["ofa-resnet50"], SPACES["compofa-resnet50"]
NARROW = {
    space.name: replace(space, name=f"narrow-{space.name}", width=0.25, classes=10)
    for space in (FREE, COMPOUND)
}


@pytest.mark.parametrize("name", NARROW)
@pytest.mark.parametrize("resolution", [64, 100])
def test_exported_subnets_compute_what_the_supernet_does(name: str, resolution: int) -> None:
    space, rng = NARROW[name], np.random.default_rng(3)
    torch.manual_seed(0)
    supernet = Supernet(space).train()
    for subnet in (space.extreme(True), space.extreme(False), space.sample(rng)):
        supernet(torch.randn(4, 3, 64, 64), subnet)
    supernet.eval()
    image = rng.standard_normal((2, 3, resolution, resolution)).astype(np.float32)
    for subnet in (space.extreme(True), space.extreme(False), space.sample(rng)):
        graph = build_graph(space, subnet, resolution)
        model = write_onnx(graph, folded_weights(supernet, subnet), batch_size=2)
        found = onnxruntime.InferenceSession(model).run(None, {"input": image})[0]
        with torch.no_grad():
            expected = supernet(torch.from_numpy(image), subnet).numpy()
        assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()


def test_the_compound_space_lies_in_the_free_one_and_reaches_its_ends() -> None:
    assert all(subnet in FREE for subnet in COMPOUND.enumerate())
    assert COMPOUND.extreme(True) == FREE.extreme(True)
    assert COMPOUND.extreme(False) == FREE.extreme(False)


def test_the_compound_space_leaves_no_wide_gaps_in_macs() -> None:
    macs = np.sort([build_graph(COMPOUND, s, 224).macs for s in COMPOUND.enumerate()])
    steps = macs[1:] / macs[:-1]
    assert (np.median(steps), steps.max()) == pytest.approx((1.008, 1.266), abs=1e-3)


def test_kernels_can_be_elastic() -> None:
    units = tuple(replace(unit, kernels=(3, 5)) for unit in NARROW[FREE.name].units)
    space = replace(NARROW[FREE.name], units=units)
    supernet = Supernet(space).eval()
    large, small = space.extreme(True), space.extreme(False)
    weights = supernet.active(small)
    assert weights["stem.0.conv.weight"].shape[-1] == 3
    assert weights["units.1.0.conv.conv.weight"].shape[-1] == 3
    assert supernet.active(large)["stem.1.conv.weight"].shape[-1] == 5
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        for subnet in (large, small):
            assert torch.equal(supernet(image, subnet), supernet.extract(subnet)(image))
