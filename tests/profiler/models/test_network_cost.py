"""Counting multiply-accumulates, parameters and bytes from files alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper

from compofa.profiler.models.network_cost.count_cost import count_cost
from compofa.profiler.models.user_files.read_model import read_user_model
from compofa.supernet.blocks import PoolLayer
from compofa.supernet.export.formats import ONNX, TFLITE
from compofa.supernet.export.model_format import ModelContent
from compofa.supernet.export.weights import random_weights
from compofa.supernet.graph import Graph, build_graph
from compofa.supernet.spaces import SPACES
from rigs.model_files import write_nodes


def smallest(space: str) -> Graph:
    known = SPACES[space]
    return build_graph(known, known.extreme(False), 96)


def averaged(graph: Graph) -> int:
    """What our own count adds for average pools between blocks, as OFA's published figures do."""
    layers = [layer for block in graph.blocks for layer in block.layers]
    return sum(layer.macs for layer in layers if isinstance(layer, PoolLayer))


@pytest.mark.parametrize("space", ["compofa", "ofa-proxyless-w1.3", "compofa-resnet50"])
def test_a_file_of_ours_costs_what_its_graph_does_but_for_averages(
    space: str, tmp_path: Path
) -> None:
    """Averages multiply nothing: that of d22222 at 128 is .04 % of its MACs."""
    graph = smallest(space)
    path = tmp_path / "net.onnx"
    path.write_bytes(ONNX.write(ModelContent(graph, random_weights(graph, 0), batch_size=2)))
    cost = count_cost(read_user_model(path))
    assert averaged(graph) > 0
    assert cost.macs == 2 * (graph.macs - averaged(graph))
    assert cost.parameters == sum(block.folded_params for block in graph.blocks)
    assert cost.weight_bytes == 4 * cost.parameters == graph.weight_bytes


def test_a_tflite_file_costs_as_many_macs_as_the_onnx_file(tmp_path: Path) -> None:
    graph = smallest("compofa")
    path = tmp_path / "net.tflite"
    path.write_bytes(TFLITE.write(ModelContent(graph, random_weights(graph, 0))))
    cost = count_cost(read_user_model(path))
    assert cost.macs == graph.macs - averaged(graph)
    # The format wants a bias of every convolution, also where there is none to add.
    folded = sum(block.folded_params for block in graph.blocks)
    assert cost.parameters is not None
    assert folded <= cost.parameters <= 1.01 * folded


def exported(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], path: Path) -> Path:
    torch.onnx.export(module.eval(), inputs, path, dynamo=False, opset_version=17)
    return path


@pytest.mark.parametrize(
    ("module", "shape", "macs"),
    [
        (torch.nn.Linear(8, 5), (2, 8), 2 * 8 * 5),
        (torch.nn.Linear(8, 5), (2, 3, 8), 2 * 3 * 8 * 5),
        (torch.nn.Conv2d(6, 4, 3, groups=2), (1, 6, 8, 8), 4 * 6 * 6 * 3 * 9),
        (torch.nn.Conv1d(6, 4, 3), (1, 6, 10), 4 * 8 * 6 * 3),
        (torch.nn.ConvTranspose2d(6, 4, 3, stride=2), (1, 6, 5, 5), 6 * 25 * 4 * 9),
        (torch.nn.LSTM(4, 3), (7, 2, 4), 7 * 2 * 4 * 3 * (4 + 3)),
        (torch.nn.GRU(4, 3, bidirectional=True), (7, 2, 4), 2 * 7 * 2 * 3 * 3 * (4 + 3)),
        (torch.nn.AvgPool2d(2), (1, 3, 8, 8), 0),
    ],
)
def test_macs_are_what_the_definition_of_a_layer_says(
    module: torch.nn.Module, shape: tuple[int, ...], macs: int, tmp_path: Path
) -> None:
    path = exported(module, (torch.zeros(shape),), tmp_path / "net.onnx")
    cost = count_cost(read_user_model(path))
    assert cost.macs == macs
    assert cost.parameters is not None
    own = sum(each.numel() for each in module.parameters())
    assert cost.parameters >= own


def test_attention_is_counted_by_its_products(tmp_path: Path) -> None:
    width, words = 16, 10

    class Attention(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.query, self.key, self.value = (torch.nn.Linear(width, width) for _ in range(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            shares = self.query(x) @ self.key(x).transpose(1, 2) / width**0.5
            attended: torch.Tensor = shares.softmax(-1) @ self.value(x)
            return attended

    path = exported(Attention(), (torch.zeros(2, words, width),), tmp_path / "net.onnx")
    cost = count_cost(read_user_model(path))
    assert cost.macs == 2 * (3 * words * width * width + 2 * words * words * width)
    assert cost.parameters == 3 * (width * width + width)


def test_what_a_file_does_not_tell_is_not_guessed(tmp_path: Path) -> None:
    body = helper.make_graph(
        [helper.make_node("MatMul", ["m", "m"], ["out"])],
        "body",
        [],
        [helper.make_tensor_value_info("out", onnx.TensorProto.FLOAT, None)],
    )
    node = helper.make_node("If", ["yes"], ["y"], then_branch=body, else_branch=body)
    constants = {"yes": np.array(True), "m": np.ones((2, 2), np.float32)}
    path = write_nodes(tmp_path / "branch.onnx", [node], constants=constants)
    cost = count_cost(read_user_model(path))
    assert (cost.macs, cost.parameters, cost.weight_bytes) == (None, 4, 16)
