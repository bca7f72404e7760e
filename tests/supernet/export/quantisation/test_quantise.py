"""int8 models are int8 inside, float32 outside, and compute nearly what the float ones do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from ai_edge_litert import schema_py_generated as schema

from compofa.common.errors import MissingExtra, UserError
from compofa.supernet.export.onnx import write_onnx
from compofa.supernet.export.quantisation.quantise import quantise_onnx, quantise_tflite
from compofa.supernet.export.tflite import write_tflite
from compofa.supernet.export.weights import random_weights
from compofa.supernet.graph import Graph, build_graph
from compofa.supernet.spaces import SPACES

pytest.importorskip("ai_edge_quantizer", reason="ai-edge-quantizer is not installed")

from rigs import litert


def graph_of(space: str) -> Graph:
    return build_graph(SPACES[space], SPACES[space].extreme(False), 64)


def batches(count: int, scale: float = 1.0) -> list[np.ndarray]:
    rng = np.random.default_rng(count)
    size = (count, 1, 3, 64, 64)
    return list(rng.standard_normal(size).astype(np.float32) * np.float32(scale))


def float_tflite(space: str) -> bytes:
    graph = graph_of(space)
    return write_tflite(graph, random_weights(graph, 0), to_quantise=True)


def float_onnx(space: str) -> bytes:
    graph = graph_of(space)
    return write_onnx(graph, random_weights(graph, 0))


def in_onnxruntime(content: bytes, images: np.ndarray) -> np.ndarray:
    found: np.ndarray = onnxruntime.InferenceSession(content).run(None, {"input": images})[0]
    return found


@dataclass(frozen=True)
class Format:
    """How models of one format are written, quantised and run."""

    write: Callable[[str], bytes]
    quantise: Callable[[bytes, list[np.ndarray]], bytes]
    run: Callable[[bytes, np.ndarray], np.ndarray]

    @cache  # noqa: B019  (two formats, which live as long as the tests)
    def int8(self, space: str) -> bytes:
        return self.quantise(self.write(space), batches(4))


FORMATS = {
    "tflite": Format(float_tflite, quantise_tflite, litert.logits),
    "onnx": Format(float_onnx, quantise_onnx, in_onnxruntime),
}
EITHER = pytest.mark.parametrize("format_", FORMATS.values(), ids=FORMATS.keys())
SPACE = "compofa"


@EITHER
@pytest.mark.parametrize("space", [SPACE, "compofa-proxyless-w1.3"])
def test_logits_follow_those_in_float(format_: Format, space: str) -> None:
    (image,) = batches(1)
    found, expected = (
        format_.run(content, image) for content in (format_.int8(space), format_.write(space))
    )
    assert found.dtype == np.float32
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.99


@EITHER
def test_a_file_is_about_a_quarter_of_the_float_one(format_: Format) -> None:
    assert 0.24 < len(format_.int8(SPACE)) / len(format_.write(SPACE)) < 0.3


def test_all_weights_and_activations_of_tflite_are_integers() -> None:
    content = FORMATS["tflite"].int8(SPACE)
    assert litert.operators(content)[0] == "QUANTIZE"
    assert litert.operators(content)[-1] == "DEQUANTIZE"
    graph = litert.parsed(content).subgraphs[0]
    types = {tensor.name.decode(): tensor.type for tensor in graph.tensors}
    floats = [name for name, kind in types.items() if kind == schema.TensorType.FLOAT32]
    assert len(floats) == 2
    scales = {t.name.decode(): t.quantization.scale for t in graph.tensors if t.quantization}
    assert len(scales["stem.weight"]) == 16


def test_all_convolutions_of_onnx_read_and_give_integers() -> None:
    model = onnx.load_from_string(FORMATS["onnx"].int8(SPACE))
    makers = {name: node.op_type for node in model.graph.node for name in node.output}
    readers = {name: node.op_type for node in model.graph.node for name in node.input}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    assert convolutions
    for node in convolutions:
        assert {makers[name] for name in node.input} == {"DequantizeLinear"}
        assert readers[node.output[0]] == "QuantizeLinear"
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    assert weights["stem.weight_quantized"].data_type == onnx.TensorProto.INT8
    assert weights["stem.weight_scale"].dims == [16]


@pytest.mark.parametrize("space", [SPACE, "compofa-proxyless-w1.3"])
def test_xnnpack_takes_the_whole_int8_network(space: str) -> None:
    assert litert.is_one_partition(FORMATS["tflite"].int8(space))


def test_hard_swish_in_int8_is_not_for_xnnpack() -> None:
    """Hence write_tflite's `to_quantise`; once this fails, it has had its day."""
    graph = graph_of(SPACE)
    content = quantise_tflite(write_tflite(graph, random_weights(graph, 0)), batches(1))
    assert "HARD_SWISH" in litert.operators(content)
    assert not litert.is_one_partition(content)


@EITHER
def test_ranges_are_those_of_all_sample_inputs_in_any_order(format_: Format) -> None:
    content, (quiet,), (loud,) = format_.write(SPACE), batches(1, 0.1), batches(1)
    both = format_.quantise(content, [quiet, loud])
    assert both == format_.quantise(content, [loud, quiet])
    assert both != format_.int8(SPACE)


def test_contents_of_tflite_are_where_older_runtimes_look() -> None:
    assert litert.misaligned_buffers(FORMATS["tflite"].int8(SPACE)) == []


def test_a_model_still_says_what_it_is() -> None:
    quantised, before = (
        litert.parsed(content) for content in (FORMATS["tflite"].int8(SPACE), float_tflite(SPACE))
    )
    texts = [bytes(model.buffers[model.metadata[0].buffer].data) for model in (quantised, before)]
    assert texts[0] == texts[1]
    found = onnx.load_from_string(FORMATS["onnx"].int8(SPACE)).metadata_props
    assert {"space": "compofa", "subnet": "d22222"}.items() <= {
        p.key: p.value for p in found
    }.items()


@EITHER
def test_nothing_is_said_and_nothing_left_behind(
    format_: Format,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    format_.quantise(format_.write(SPACE), batches(1))
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []


@EITHER
def test_without_sample_inputs_there_is_no_int8(format_: Format) -> None:
    with pytest.raises(UserError, match="int8 needs sample inputs, but there are none"):
        format_.quantise(format_.write(SPACE), [])


@EITHER
def test_no_room_for_temporary_files_is_said(
    format_: Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    with pytest.raises(UserError, match="/nowhere: cannot quantise the model: no such file"):
        format_.quantise(b"", batches(1))


def test_a_failure_of_the_quantiser_shows_its_last_words() -> None:
    with pytest.raises(RuntimeError, match="the quantiser ended with 1: (?s:.*)Error"):
        quantise_onnx(b"no model", batches(1))


def test_without_ai_edge_quantizer_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r"ai-edge-quantizer is not .*compofa\[quantise\]"):
        quantise_tflite(b"", batches(1))
