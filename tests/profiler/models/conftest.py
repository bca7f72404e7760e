"""Small model files of every format that can be written here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rigs.model_files import write_onnx

MakeOnnx = Callable[..., Path]


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
