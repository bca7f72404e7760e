"""Core ML programs: what they hold and what they compute, read back from the written file."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from compofa.common.errors import MissingExtra, UserError
from compofa.supernet.blocks import Conv, Layer, Linear, PoolLayer, SqueezeExcite
from compofa.supernet.export.coreml import write_coreml
from compofa.supernet.export.dtype import Dtype
from compofa.supernet.export.onnx import write_onnx
from compofa.supernet.export.packages import write_package
from compofa.supernet.export.weights import Weights, random_weights
from compofa.supernet.graph import Graph, build_graph
from compofa.supernet.spaces import SPACES
from rigs.mil import computed, operations, spec

coremltools = pytest.importorskip("coremltools", reason="coremltools is not installed")

SMALL = build_graph(SPACES["compofa"], SPACES["compofa"].parse("d22222"), 64)


Written = Callable[[Dtype], bytes]


@pytest.fixture(scope="module")
def written() -> Written:
    """Gives the package of a small subnet with random weights."""
    return cache(lambda dtype: write_coreml(SMALL, random_weights(SMALL, 0), dtype=dtype))


def random_graph(space: str, resolution: int) -> Graph:
    found = SPACES[space]
    return build_graph(found, found.sample(np.random.default_rng(1)), resolution)


def in_onnxruntime(graph: Graph, weights: Weights, image: np.ndarray) -> np.ndarray:
    import onnxruntime

    session = onnxruntime.InferenceSession(write_onnx(graph, weights, batch_size=len(image)))
    found: np.ndarray = session.run(None, {"input": image})[0]
    return found


@pytest.mark.parametrize(
    ("space", "resolution"),
    [
        ("compofa", 64),
        ("ofa-mbv3-w1.2", 76),
        ("ofa-proxyless-w1.3", 64),
        ("ofa-resnet50", 100),
    ],
)
def test_the_program_computes_what_the_graph_says(space: str, resolution: int) -> None:
    graph = random_graph(space, resolution)
    weights = random_weights(graph, 0)
    image = np.random.default_rng(2).standard_normal((2, *graph.input)).astype(np.float32)
    program = operations(write_coreml(graph, weights, batch_size=2))
    expected = in_onnxruntime(graph, weights, image)
    assert np.abs(computed(program, image) - expected).max() < 1e-4 * np.abs(expected).max()


def test_a_program_of_float16_computes_the_same_but_for_rounding(written: Written) -> None:
    weights = random_weights(SMALL, 0)
    image = np.random.default_rng(2).standard_normal((1, *SMALL.input)).astype(np.float32)
    program = operations(written(Dtype.FLOAT16))
    expected = in_onnxruntime(SMALL, weights, image)
    error = np.abs(computed(program, image) - expected).max()
    assert 0 < error < 1e-2 * np.abs(expected).max()


ACTIVATIONS = {
    "none": [],
    "relu": ["relu"],
    "relu6": ["relu6"],
    "h_swish": ["sigmoid_hard", "mul"],
}


def operators(layer: Layer) -> list[str]:
    """Of which operators a layer is made."""
    if isinstance(layer, SqueezeExcite):
        return ["reduce_mean", "conv", "relu", "conv", "sigmoid_hard", "mul"]
    if isinstance(layer, PoolLayer):
        return ["reduce_mean"]
    if isinstance(layer, Linear):
        return ["squeeze", "linear"]
    return ["conv" if isinstance(layer, Conv) else "add", *ACTIVATIONS[layer.activation]]


@pytest.mark.parametrize("dtype", [Dtype.FLOAT32, Dtype.FLOAT16])
def test_every_layers_operators_are_there_in_the_number_type_asked_for(
    dtype: Dtype, written: Written
) -> None:
    program = operations(written(dtype))
    steps = [each for each in program if each.op_type != "const"]
    expected = [each for layer in SMALL.layers for each in operators(layer)]
    if dtype == Dtype.FLOAT16:
        first, *steps, last = steps
        assert (first.op_type, last.op_type) == ("cast", "cast")
    assert [each.op_type for each in steps] == expected
    kinds = {each.outputs[0].dtype.__name__ for each in steps}
    assert kinds == {"fp16" if dtype == Dtype.FLOAT16 else "fp32"}


@pytest.mark.parametrize("dtype", [Dtype.FLOAT32, Dtype.FLOAT16])
def test_the_blob_holds_exactly_the_weights(dtype: Dtype, written: Written) -> None:
    weights = random_weights(SMALL, 0)
    program = operations(written(dtype))
    found = {
        each.outputs[0].val.tobytes()
        for each in program
        if each.op_type == "const" and isinstance(each.outputs[0].val, np.ndarray)
    }
    missing = [name for name, each in weights.items() if each.astype(dtype).tobytes() not in found]
    assert not missing


@pytest.mark.parametrize("dtype", [Dtype.FLOAT32, Dtype.FLOAT16])
def test_input_and_logits_are_float32_of_fixed_shape(dtype: Dtype) -> None:
    graph = random_graph("ofa-proxyless-w1.3", 32)
    model = spec(write_coreml(graph, random_weights(graph, 0), batch_size=3, dtype=dtype))
    (image,), (logits,) = model.description.input, model.description.output
    assert (image.name, list(image.type.multiArrayType.shape)) == ("input", [3, 3, 32, 32])
    assert (logits.name, list(logits.type.multiArrayType.shape)) == ("logits", [3, 1000])
    float32 = coremltools.proto.FeatureTypes_pb2.ArrayFeatureType.FLOAT32
    assert {each.type.multiArrayType.dataType for each in (image, logits)} == {float32}


def test_the_first_version_of_programs_is_written(written: Written) -> None:
    model = spec(written(Dtype.FLOAT32))
    assert model.specificationVersion == coremltools.target.iOS15.value


def test_a_model_says_what_it_is() -> None:
    model = spec(write_coreml(SMALL, random_weights(SMALL, 0), checkpoint_sha256="ab12"))
    about = dict(model.description.metadata.userDefined)
    assert model.description.metadata.shortDescription == "compofa d22222 at 64"
    assert json.loads(about.pop("preprocessing"))["mean"] == [0.485, 0.456, 0.406]
    assert about == {
        "space": "compofa",
        "subnet": "d22222",
        "resolution": "64",
        "macs": str(SMALL.macs),
        "params": str(SMALL.params),
        "layout": "NCHW",
        "checkpoint_sha256": "ab12",
    }


def test_another_process_without_torch_writes_the_same_bytes_and_says_nothing(
    written: Written,
) -> None:
    program = """
import hashlib, sys
sys.modules["torch"] = None
from compofa.supernet.export.coreml import write_coreml
from compofa.supernet.graph import build_graph
from compofa.supernet.spaces import SPACES
from compofa.supernet.export.weights import random_weights
space = SPACES["compofa"]
graph = build_graph(space, space.parse("d22222"), 64)
print(hashlib.sha256(write_coreml(graph, random_weights(graph, 0))).hexdigest())
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    here = hashlib.sha256(written(Dtype.FLOAT32)).hexdigest()
    assert (ended.stdout, ended.stderr) == (here + "\n", "")


def test_the_package_loads(written: Written, tmp_path: Path) -> None:
    path = tmp_path / "x.mlpackage"
    write_package(path, written(Dtype.FLOAT32))
    model = coremltools.models.MLModel(str(path), skip_model_load=True)
    assert model.get_spec().WhichOneof("Type") == "mlProgram"
    assert dict(model.user_defined_metadata)["subnet"] == "d22222"


def test_weights_beyond_float16_are_refused_by_name() -> None:
    weights = random_weights(SMALL, 0)
    weights["stem.bias"][0] = 1e5
    with pytest.raises(UserError, match=r"stem\.bias has weights outside the range of float16"):
        write_coreml(SMALL, weights, dtype=Dtype.FLOAT16)


def test_without_coremltools_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "coremltools", None)
    with pytest.raises(MissingExtra, match=r"install it with: pip install 'compofa\[coreml\]'"):
        write_coreml(SMALL, random_weights(SMALL, 0))


def test_a_platform_without_the_compiled_parts_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compofa.supernet.export.coreml.find_spec", lambda _: None)
    with pytest.raises(UserError, match="write the file on Linux or macOS"):
        write_coreml(SMALL, random_weights(SMALL, 0))


def test_no_place_for_temporary_files_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "no"))
    with pytest.raises(UserError, match="no: cannot write the program: no such file"):
        write_coreml(SMALL, random_weights(SMALL, 0))
