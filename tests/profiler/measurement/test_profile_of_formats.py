"""Profiles of model files in every format that can be run here, each by its runtime."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from compofa.profiler.measurement.profile import ProfileRequest, profile
from compofa.profiler.measurement.progress import Display
from compofa.profiler.models.collection.find_models import collection_of
from compofa.profiler.results.table import Cell, read_table
from compofa.profiler.transports.local import LocalDevice
from compofa.supernet.space import Space
from rigs.model_files import write_onnx, write_program, write_tflite, write_xml
from rigs.protocols import QUICK

ONE_SESSION = replace(QUICK, min_sessions=1, max_sessions=1)


def measured(
    runtime: str, folder: Path, batch_sizes: tuple[int, ...] = (1,), references: str = ""
) -> list[Cell]:
    """What has been measured of a folder's files, with their outputs checked."""
    device = LocalDevice(name="here", runtime=runtime)
    asked = ProfileRequest(
        space=collection_of("files", [], [folder]),
        resolutions=(),
        batch_sizes=batch_sizes,
        out=folder / "here.csv",
        protocol=ONE_SESSION,
        patience_s=0,
    )
    outcome = profile(device, asked, Display("here", quiet=True))
    assert outcome.written.meta.failures == {}
    assert outcome.written.meta.caveats == ()
    checked = {facts.checked_with for facts in outcome.written.meta.models.values()}
    assert checked == {f"{name} on this computer" for name in (references or runtime).split()}
    return [row.cell for row in read_table(folder / "here.csv").rows if row.latency_ms]


def test_a_tflite_file(tmp_path: Path, tiny_space: Space) -> None:
    pytest.importorskip("ai_edge_litert")
    write_tflite(tmp_path / "net.tflite", tiny_space)
    assert measured("tflite", tmp_path) == [Cell("files", "net", 32, 1)]
    assert read_table(tmp_path / "here.csv").rows[0].extra[0] is not None


def test_an_openvino_file_and_an_onnx_file(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    write_xml(tmp_path / "a.xml")
    write_onnx(tmp_path / "b.onnx", shape=("n", 3, 16, 16))
    cells = [("a", 8, 1), ("b", 16, 1), ("b", 16, 3)]
    # Of ONNX files, what ONNX Runtime computes is the more independent answer.
    found = measured("openvino", tmp_path, (1, 3), "openvino onnxruntime")
    assert found == [Cell("files", *cell) for cell in cells]


def test_an_exported_program_of_torch_that_takes_words(tmp_path: Path) -> None:
    write_program(tmp_path / "words.pt2")
    assert measured("torch", tmp_path, (1, 2)) == [
        Cell("files", "words", 0, 1),
        Cell("files", "words", 0, 2),
    ]


def test_inputs_of_every_type(tmp_path: Path) -> None:
    """Each is drawn, sent and taken as what it is: the sums of all of them are compared."""
    from onnx import TensorProto, helper

    from rigs.model_files import write_nodes

    for name in ("FLOAT16", "DOUBLE", "INT8", "UINT8", "INT16", "INT32", "INT64", "BOOL"):
        nodes = [
            helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["f", "w"], ["y"]),
        ]
        kind = getattr(TensorProto, name)
        weights = {"w": np.linspace(1, 2, 6, dtype=np.float32).reshape(2, 3)}
        write_nodes(tmp_path / f"{name}.onnx", nodes, kind=kind, shape=(2, 3), constants=weights)
    assert len(measured("onnxruntime", tmp_path)) == 8
