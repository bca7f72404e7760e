"""Small model files as users bring them, good ones and bad ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from compofa.supernet.space import Space


def write_onnx(
    path: Path,
    *,
    shape: tuple[int | str, ...] = (1, 3, 8, 8),
    kind: int = TensorProto.FLOAT,
    channels: int = 4,
    external: str | None = None,
) -> Path:
    """A convolution and an addition of a second input, `shift`, of shape [1, 1, 1, 1]."""
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((channels, 3, 3, 3)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["image", "weight"], ["c"], pads=[1, 1, 1, 1]),
            helper.make_node("Add", ["c", "shift"], ["sum"]),
            helper.make_node("ReduceMax", ["sum"], ["top"], keepdims=0),
        ],
        "small",
        [
            helper.make_tensor_value_info("image", kind, shape),
            helper.make_tensor_value_info("shift", kind, (1, 1, 1, 1)),
        ],
        [
            helper.make_tensor_value_info("sum", kind, None),
            helper.make_tensor_value_info("top", kind, ()),
        ],
        [numpy_helper.from_array(weight, "weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    settings: dict[str, Any] = {}
    if external:
        (path.parent / external).parent.mkdir(exist_ok=True)
        settings = {"save_as_external_data": True, "location": external, "size_threshold": 0}
    onnx.save(model, path, **settings)
    return path


def write_nodes(
    path: Path,
    nodes: Sequence[NodeProto],
    *,
    kind: int = TensorProto.FLOAT,
    shape: Sequence[int | str] = (4,),
    constants: dict[str, np.ndarray[Any, Any]] | None = None,
) -> Path:
    """A file with these nodes, from the input `x` to the output `y`."""
    graph = helper.make_graph(
        nodes,
        "nodes",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    path.write_bytes(model.SerializeToString())
    return path


def write_unknown_operator(path: Path) -> Path:
    """An operator of the standard's that no runtime has, because the standard has none such."""
    return write_nodes(path, [helper.make_node("Frobnicate", ["x"], ["y"])])


def write_nan(path: Path) -> Path:
    """Computes the square root of numbers below zero."""
    nodes = [
        helper.make_node("Abs", ["x"], ["a"]),
        helper.make_node("Sub", ["minus", "a"], ["b"]),
        helper.make_node("Sqrt", ["b"], ["y"]),
    ]
    return write_nodes(path, nodes, constants={"minus": np.array(-1, np.float32)})


def write_strings(path: Path) -> Path:
    """Takes text."""
    node = helper.make_node("StringNormalizer", ["x"], ["y"])
    return write_nodes(path, [node], kind=TensorProto.STRING)


def write_hungry(path: Path) -> Path:
    """Asks for four terabytes when it is run."""
    nodes = [
        helper.make_node("Expand", ["x", "shape"], ["large"]),
        helper.make_node("ReduceSum", ["large"], ["y"]),
    ]
    shape = np.array([1 << 20, 1 << 20], np.int64)
    return write_nodes(path, nodes, shape=(1,), constants={"shape": shape})


def write_tflite(path: Path, space: Space) -> Path:
    """The smallest subnet of a space."""
    from compofa.supernet.export.formats import TFLITE
    from compofa.supernet.export.model_format import ModelContent
    from compofa.supernet.export.weights import random_weights
    from compofa.supernet.graph import build_graph

    graph = build_graph(space, space.extreme(False), 32)
    path.write_bytes(TFLITE.write(ModelContent(graph, random_weights(graph, 0))))
    return path


def write_xml(path: Path) -> Path:
    """What `write_onnx` writes, as OpenVINO keeps it: two files."""
    import openvino

    source = write_onnx(path.with_suffix(".source"))
    openvino.save_model(openvino.convert_model(source), path, compress_to_fp16=False)
    source.unlink()
    return path


def write_program(path: Path) -> Path:
    """A torch.export program that looks words up, at any batch size."""
    import torch

    class Words(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.linear = torch.nn.Embedding(20, 8), torch.nn.Linear(8, 3)

        def forward(self, words: torch.Tensor) -> torch.Tensor:
            scores: torch.Tensor = self.linear(self.embedding(words).mean(1))
            return scores

    torch.manual_seed(0)
    batch = torch.export.Dim("batch")
    words = torch.zeros((2, 5), dtype=torch.int64)
    program = torch.export.export(Words(), (words,), dynamic_shapes=({0: batch},))
    torch.export.save(program, path)
    return path
