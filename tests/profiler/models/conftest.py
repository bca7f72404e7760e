"""Small model files of every format that can be written here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

MakeOnnx = Callable[..., Path]


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
        settings = {"save_as_external_data": True, "location": external, "size_threshold": 0}
    onnx.save(model, path, **settings)
    return path


@pytest.fixture(scope="session")
def make_onnx() -> MakeOnnx:
    return write_onnx


@pytest.fixture
def onnx_file(tmp_path: Path) -> Path:
    return write_onnx(tmp_path / "small.onnx")


@pytest.fixture(scope="session")
def tiny_tflite(tmp_path_factory: pytest.TempPathFactory, tiny_space: Any) -> Path:
    pytest.importorskip("ai_edge_litert")
    from compofa.supernet.export.formats import TFLITE
    from compofa.supernet.export.model_format import ModelContent
    from compofa.supernet.export.weights import random_weights
    from compofa.supernet.graph import build_graph

    graph = build_graph(tiny_space, tiny_space.parse("d22222"), 32)
    path = tmp_path_factory.mktemp("tflite") / "tiny.tflite"
    path.write_bytes(TFLITE.write(ModelContent(graph, random_weights(graph, 0))))
    return path
