"""Exported ONNX models compute what the module does, and say what they are."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from compofa.common.errors import UserError
from compofa.supernet.export.model_format import ModelContent
from compofa.supernet.export.onnx import write_onnx
from compofa.supernet.export.weights import folded_weights, random_weights, weight_shapes
from compofa.supernet.graph import Graph, build_graph
from compofa.supernet.network import Network
from compofa.supernet.preprocessing import IMAGENET
from compofa.supernet.space import Space
from compofa.supernet.spaces import SPACES
from rigs.supernets import trained

SHARES = {
    "compofa": 10,
    "compofa-elastic": 10,
    "ofa-mbv3": 10,
    "ofa-mbv3-w1.2": 8,
    "compofa-proxyless-w1.3": 4,
    "ofa-proxyless-w1.3": 8,
}
"""How many of the 50 random subnets come from each space."""


def session(model: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options)


def logits(model: bytes, image: np.ndarray) -> np.ndarray:
    found: np.ndarray = session(model).run(None, {"input": image})[0]
    return found


def images(space: Space, count: int, height: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(height)
    return rng.standard_normal((count, space.in_channels, height, width)).astype(np.float32)


@pytest.mark.parametrize("name", SHARES)
def test_outputs_equal_those_of_the_module(name: str) -> None:
    """For 50 random subnets in all, within 1e-4."""
    space = SPACES[name]
    supernet, rng = trained(space), np.random.default_rng(4)
    for index in range(SHARES[name]):
        subnet, resolution = space.sample(rng), (64, 72, 76)[index % 3]
        image = images(space, 1, resolution, resolution)
        graph = build_graph(space, subnet, resolution)
        found = logits(write_onnx(graph, folded_weights(supernet, subnet)), image)
        with torch.no_grad():
            expected = supernet(torch.from_numpy(image), subnet).numpy()
        assert np.abs(expected).max() > 0.01
        assert np.abs(found - expected).max() < 1e-4


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES.keys())
def test_models_are_valid_and_their_random_weights_keep_the_scale(space: Space) -> None:
    graph = build_graph(space, space.extreme(False), 96)
    model = write_onnx(graph, random_weights(graph, 0))
    onnx.checker.check_model(onnx.load_from_string(model), full_check=True)
    assert 0.01 < logits(model, images(space, 1, 96, 96)).std() < 100


@pytest.mark.parametrize("name", ["compofa", "ofa-proxyless-w1.3", "ofa-resnet50"])
def test_dynamic_models_take_any_batch_and_size(name: str) -> None:
    space = SPACES[name]
    graph = build_graph(space, space.extreme(False), 224)
    weights = random_weights(graph, 0)
    dynamic = write_onnx(graph, weights, batch_size=None, dynamic=True)
    for count, height, width in ((1, 64, 64), (3, 65, 95)):
        image = images(space, count, height, width)
        found = logits(dynamic, image)
        expected = in_torch(graph, weights, image)
        assert found.shape == (count, space.classes)
        assert np.abs(found - expected).max() < 1e-3 * np.abs(expected).max()


def in_torch(graph: Graph, weights: dict[str, np.ndarray], image: np.ndarray) -> np.ndarray:
    """What a plain network computes with folded weights: its batch norm adds the bias alone."""
    network = Network(graph).eval()
    state = network.state_dict()
    for name, values in weights.items():
        layer, kind = name.rsplit(".", 1)
        if name in state:
            state[name].copy_(torch.from_numpy(values))
        elif kind == "weight":
            state[f"{layer}.conv.weight"].copy_(torch.from_numpy(values))
        else:
            state[f"{layer}.bn.bias"].copy_(torch.from_numpy(values))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = 0.0
    with torch.no_grad():
        found: np.ndarray = network(torch.from_numpy(image)).numpy()
    return found


@pytest.mark.parametrize("name", ["ofa-resnet50", "compofa-resnet50"])
@pytest.mark.parametrize("resolution", [64, 100])
def test_resnet_graphs_compute_what_a_plain_network_does(name: str, resolution: int) -> None:
    """Max pool, average pools that round up, activations after sums."""
    space = SPACES[name]
    graph = build_graph(space, space.sample(np.random.default_rng(1)), resolution)
    weights = random_weights(graph, 0)
    image = images(space, 1, resolution, resolution)
    expected = in_torch(graph, weights, image)
    found = logits(write_onnx(graph, weights), image)
    assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()


def test_batch_and_resolution_are_fixed_unless_left_open() -> None:
    space = replace(SPACES["compofa"], name="mine", classes=5, in_channels=1)
    graph = build_graph(space, space.extreme(False), 64)
    weights = random_weights(graph, 0)
    fixed = session(write_onnx(graph, weights, batch_size=4))
    assert fixed.get_inputs()[0].shape == [4, 1, 64, 64]
    assert fixed.get_outputs()[0].shape == [4, 5]
    any_batch = session(write_onnx(graph, weights, batch_size=None))
    assert any_batch.get_inputs()[0].shape == ["batch", 1, 64, 64]
    assert any_batch.get_outputs()[0].shape == ["batch", 5]
    any_size = session(write_onnx(graph, weights, batch_size=2, dynamic=True))
    assert any_size.get_inputs()[0].shape == [2, 1, "height", "width"]


def test_a_size_is_fixed_unless_it_is_to_be_left_open() -> None:
    space = SPACES["compofa"]
    graph = build_graph(space, space.extreme(False), 160)
    assert not ModelContent(graph, random_weights(graph, 0)).dynamic


def test_a_model_says_what_it_is() -> None:
    space = SPACES["compofa"]
    graph = build_graph(space, space.parse("d34334"), 160)
    content = write_onnx(graph, random_weights(graph, 0), checkpoint_sha256="ab12")
    found = session(content).get_modelmeta()
    assert found.producer_name == "compofa"
    assert found.custom_metadata_map == {
        "space": "compofa",
        "subnet": "d34334",
        "resolution": "160",
        "macs": str(graph.macs),
        "params": str(graph.params),
        "layout": "NCHW",
        "preprocessing": json.dumps(IMAGENET.as_json()),
        "checkpoint_sha256": "ab12",
    }


def test_the_same_subnet_gives_the_same_bytes() -> None:
    space = SPACES["compofa"]
    graph = build_graph(space, space.parse("d22222"), 160)
    weights = random_weights(graph, 0)
    assert write_onnx(graph, weights) == write_onnx(graph, weights)


def test_old_runtimes_can_read_it_and_none_has_cause_to_warn(
    capfd: pytest.CaptureFixture[str],
) -> None:
    space = SPACES["ofa-proxyless-w1.3"]
    graph = build_graph(space, space.extreme(False), 64)
    content = write_onnx(graph, random_weights(graph, 0))
    model = onnx.load_from_string(content)
    assert model.ir_version <= 8
    assert [(each.domain, each.version) for each in model.opset_import] == [("", 17)]
    used = {name for node in model.graph.node for name in node.input}
    assert {tensor.name for tensor in model.graph.initializer} <= used
    session(content)
    assert capfd.readouterr().err == ""


def test_weights_beyond_the_format_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compofa.supernet.export.onnx.LARGEST", 1_000_000)
    space = SPACES["compofa"]
    graph = build_graph(space, space.extreme(False), 64)
    assert sum(np.prod(shape) for shape in weight_shapes(graph).values()) > 1_000_000
    with pytest.raises(UserError, match="more weights than an ONNX file can hold"):
        write_onnx(graph, random_weights(graph, 0))
