"""Reading model files of every format, and drawing inputs for them."""

from __future__ import annotations

import io
import resource
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from compofa.common.errors import UserError
from compofa.profiler.models.user_files.model_inputs import (
    draw_inputs,
    given_inputs,
    read_arrays,
)
from compofa.profiler.models.user_files.onnx_file import read_frame
from compofa.profiler.models.user_files.read_model import read_user_model
from compofa.profiler.models.user_files.user_model import TensorSpec, UserModel


def test_an_onnx_file_tells_its_inputs_and_outputs(onnx_file: Path) -> None:
    model = read_user_model(onnx_file)
    assert (model.name, model.format, model.dtype) == ("small", "onnx", "float32")
    assert model.inputs == (
        TensorSpec("image", (1, 3, 8, 8), "float32"),
        TensorSpec("shift", (1, 1, 1, 1), "float32"),
    )
    assert [each.name for each in model.outputs] == ["sum", "top"]
    assert (model.resolution, model.batch_size) == (8, 1)


def test_external_data_is_a_part_of_the_model(tmp_path: Path, make_onnx: MakeOnnx) -> None:
    path = make_onnx(tmp_path / "a b.onnx", external="weights of it.bin")
    model = read_user_model(path)
    assert [part.name for part in model.parts] == ["model.onnx", "weights of it.bin"]
    before = model.sha256
    (tmp_path / "weights of it.bin").write_bytes(bytes(4 * 3 * 27))
    with pytest.raises(UserError, match="a part of which is missing"):
        read_user_model(path)
    (tmp_path / "weights of it.bin").write_bytes(bytes(4 * 4 * 27))
    assert read_user_model(path).sha256 != before
    (tmp_path / "weights of it.bin").unlink()
    with pytest.raises(UserError, match=r"weights of it\.bin, which is not beside it"):
        read_user_model(path)


def test_data_outside_the_folder_is_refused(tmp_path: Path, make_onnx: MakeOnnx) -> None:
    (tmp_path / "inside").mkdir()
    path = make_onnx(tmp_path / "inside" / "a.onnx", external="w.bin")
    (tmp_path / "w.bin").write_bytes((tmp_path / "inside" / "w.bin").read_bytes())
    model = onnx.load(path, load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        entry.value = "../w.bin" if entry.key == "location" else entry.value
    onnx.save(model, path)
    with pytest.raises(UserError, match=r"outside its folder, '\.\./w\.bin'"):
        read_user_model(path)


def test_a_frame_of_a_large_file_is_small(tmp_path: Path) -> None:
    """The weights of a file are never read into memory to describe it."""
    size = 80_000_000
    weight = helper.make_tensor("w", TensorProto.FLOAT, (size // 4,), bytes(size), raw=True)
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "large",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1,))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (size // 4,))],
        [weight],
    )
    path = tmp_path / "large.onnx"
    onnx.save(helper.make_model(graph), path)
    assert read_frame(path).ByteSize() < 1000
    assert tuple(read_frame(path).graph.initializer[0].dims) == (size // 4,)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    read_frame(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40_000


MakeOnnx = Callable[..., Path]


@settings(max_examples=60, deadline=None)
@given(cut=st.floats(0, 0.999))
def test_a_truncated_onnx_file_is_told(
    tmp_path_factory: pytest.TempPathFactory, cut: float, make_onnx: MakeOnnx
) -> None:
    path = make_onnx(tmp_path_factory.mktemp("cut") / "a.onnx")
    content = path.read_bytes()
    path.write_bytes(content[: int(cut * len(content))])
    with pytest.raises(UserError, match=r"no ONNX file that can be read"):
        read_user_model(path)


def test_an_onnx_file_that_ends_with_its_graph_is_truncated(
    onnx_file: Path, tmp_path: Path
) -> None:
    model = onnx.load(onnx_file)
    del model.opset_import[:]
    onnx.save(model, tmp_path / "cut.onnx")
    with pytest.raises(UserError, match="which set of operators it uses: its end is missing"):
        read_user_model(tmp_path / "cut.onnx")


@pytest.mark.parametrize("suffix", [".onnx", ".tflite", ".xml", ".pt2", ".mlpackage"])
@pytest.mark.parametrize("content", [b"", b"no model at all\n", bytes(100), b"\xff" * 5000])
def test_a_file_that_is_no_model_is_told_in_one_line(
    tmp_path: Path, suffix: str, content: bytes
) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"^\S+: this is no [\w. ]+ file that can be read: .+$"):
        read_user_model(path)


@pytest.mark.parametrize("name", ["x.h5", "x", "x.onnx.gz"])
def test_other_endings_are_told(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(UserError, match=r"model files end in \.onnx \(ONNX\), \.tflite"):
        read_user_model(tmp_path / name)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read the model: no such file"):
        read_user_model(tmp_path / "x.onnx")


def test_a_tflite_file_tells_its_inputs(tiny_tflite: Path) -> None:
    model = read_user_model(tiny_tflite)
    (entry,), (output,) = model.inputs, model.outputs
    assert entry.shape == (1, 32, 32, 3)
    assert (entry.dtype, output.dtype, model.dtype) == ("float32", "float32", "float32")
    assert model.resolution == 32
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(str(tiny_tflite))
    assert entry.name == interpreter.get_input_details()[0]["name"]


def test_a_truncated_tflite_file_is_told(tiny_tflite: Path, tmp_path: Path) -> None:
    content = tiny_tflite.read_bytes()
    for cut in (4, 12, 100, len(content) // 2, len(content) - 100):
        path = tmp_path / "cut.tflite"
        path.write_bytes(content[:cut])
        with pytest.raises(UserError, match="no TFLite file that can be read"):
            read_user_model(path)


def test_an_openvino_file_tells_its_inputs(tmp_path: Path, onnx_file: Path) -> None:
    openvino = pytest.importorskip("openvino")
    path = tmp_path / "net.xml"
    openvino.save_model(openvino.convert_model(onnx_file), path, compress_to_fp16=False)
    model = read_user_model(path)
    assert [part.name for part in model.parts] == ["model.xml", "model.bin"]
    assert model.inputs == read_user_model(onnx_file).inputs
    assert len(model.outputs) == 2
    assert model.dtype == "float32"
    content = path.with_suffix(".bin").read_bytes()
    path.with_suffix(".bin").write_bytes(content[:-9])
    with pytest.raises(UserError, match=r"net\.bin, a part is missing"):
        read_user_model(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_an_openvino_file_with_entities_is_refused(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "net.xml"
    declared = '<!DOCTYPE net [<!ENTITY a "aaaa">]><net>&a;</net>'
    path.write_text(f'<?xml version="1.0" encoding="{encoding}"?>{declared}', encoding)
    with pytest.raises(UserError, match=r"declares a document type|is not UTF-8 text"):
        read_user_model(path)


def test_an_openvino_file_may_leave_sizes_open(tmp_path: Path, make_onnx: MakeOnnx) -> None:
    openvino = pytest.importorskip("openvino")
    source = make_onnx(tmp_path / "a.onnx", shape=("n", 3, "h", "w"))
    path = tmp_path / "net.xml"
    openvino.save_model(openvino.convert_model(source), path)
    assert read_user_model(path).inputs[0].shape == (None, 3, None, None)


def test_an_exported_program_tells_its_inputs(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    import torch

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = torch.nn.Embedding(10, 4)

        def forward(self, words: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"y": self.words(words) * mask}

    inputs = torch.zeros(2, 5, dtype=torch.int64), torch.zeros(2, 5, 1, dtype=torch.float16)
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(Network(), inputs, dynamic_shapes=({0: batch}, {0: batch}))
    path = tmp_path / "a.pt2"
    torch.export.save(program, path)
    model = read_user_model(path)
    assert model.inputs == (
        TensorSpec("words", (None, 5), "int64"),
        TensorSpec("mask", (None, 5, 1), "float16"),
    )
    assert (model.dtype, len(model.outputs)) == ("float32", 1)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"no torch\.export file"):
        read_user_model(path)


def test_a_coreml_package_tells_its_inputs(tmp_path: Path) -> None:
    pytest.importorskip("coremltools")
    from compofa.supernet.export.formats import COREML, save
    from compofa.supernet.export.model_format import ModelContent
    from compofa.supernet.export.weights import random_weights
    from compofa.supernet.graph import build_graph
    from compofa.supernet.spaces import get_space

    space = get_space("compofa")
    graph = build_graph(space, space.parse("d22222"), 128)
    content = COREML.write(ModelContent(graph, random_weights(graph, 0)))
    save(COREML, tmp_path / "a.mlpackage", content)
    model = read_user_model(tmp_path / "a.mlpackage")
    assert model.inputs[0].shape == (1, 3, 128, 128)
    assert model.inputs[0].dtype == "float32"
    assert model.resolution == 128
    assert all(part.name.startswith("a.mlpackage/") for part in model.parts)
    (spec,) = (tmp_path / "a.mlpackage").rglob("model.mlmodel")
    spec.write_bytes(spec.read_bytes()[:100])
    with pytest.raises(UserError, match=r"no Core ML"):
        read_user_model(tmp_path / "a.mlpackage")


def test_open_dimensions_are_named(tmp_path: Path, make_onnx: MakeOnnx) -> None:
    model = read_user_model(make_onnx(tmp_path / "a.onnx", shape=("n", 3, "h", 8)))
    with pytest.raises(UserError, match=r"image=2,3,\?,8 is left open .*--input-shape image="):
        model.at_batch_size(2)
    sized = model.with_shapes({"image": (4, 3, 16, 8)})
    assert sized.at_batch_size(1)[0].shape == (4, 3, 16, 8)


def test_an_input_that_holds_nothing_is_told() -> None:
    model = UserModel(
        "m", Path("m.onnx"), "onnx", (), None, (TensorSpec("x", (0, 3), "float32"),), ()
    )
    with pytest.raises(UserError, match=r"m\.onnx: the input x=0,3 is empty: it has a size of 0"):
        draw_inputs(model, 1)


def test_a_batch_size_fills_first_dimensions_alone(tmp_path: Path, make_onnx: MakeOnnx) -> None:
    model = read_user_model(make_onnx(tmp_path / "a.onnx", shape=("n", 3, 8, 8)))
    assert model.batch_size is None
    assert [spec.shape for spec in model.at_batch_size(5)] == [(5, 3, 8, 8), (1, 1, 1, 1)]


@pytest.mark.parametrize(
    ("shapes", "said"),
    [
        ({"imag": (1, 3, 8, 8)}, "did you mean 'image'"),
        ({"image": (1, 3, 9, 8)}, "image=1,3,8,8 of the model cannot have the shape 1,3,9,8"),
        ({"image": (3, 8, 8)}, "cannot have the shape 3,8,8"),
        ({"image": (1, 3, 8, 0)}, "cannot have the shape 1,3,8,0"),
        ({"": (1, 3, 8, 8)}, "no input ''"),
    ],
)
def test_shapes_that_do_not_fit_are_told(
    onnx_file: Path, shapes: dict[str, tuple[int, ...]], said: str
) -> None:
    with pytest.raises(UserError) as told:
        read_user_model(onnx_file).with_shapes(shapes)
    assert said in str(told.value)


def drawn_model(*specs: TensorSpec) -> UserModel:
    return UserModel("m", Path("m.onnx"), "onnx", (), None, specs, ())


@settings(max_examples=40, deadline=None)
@given(
    dtypes=st.lists(
        st.sampled_from(
            ["float16", "float32", "float64", "bfloat16", "bool"]
            + [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
        ),
        min_size=1,
        max_size=4,
    ),
    shape=st.lists(st.integers(1, 5), max_size=4),
)
def test_drawn_inputs_stand_one_after_another(dtypes: list[str], shape: list[int]) -> None:
    specs = tuple(TensorSpec(f"x{i}", tuple(shape), each) for i, each in enumerate(dtypes))
    inputs = draw_inputs(drawn_model(*specs), 1)
    assert draw_inputs(drawn_model(*specs), 1) == inputs
    at = 0
    for spec in inputs.tensors:
        kind = np.dtype("uint16" if spec.dtype == "bfloat16" else spec.dtype)
        count = int(np.prod(shape))
        values = np.frombuffer(inputs.content, kind, count, at)
        if spec.dtype.startswith("float"):
            assert np.all(np.abs(values) <= 1)
        elif spec.dtype not in ("int8", "uint8", "bfloat16"):
            assert set(values.tolist()) <= {0, 1}
        at += -(-count * kind.itemsize // 64) * 64
    assert at == len(inputs.content)


def test_text_cannot_be_drawn() -> None:
    with pytest.raises(UserError, match=r"words is of type string, which cannot be drawn"):
        draw_inputs(drawn_model(TensorSpec("words", (1,), "string")), 1)


def test_the_users_arrays_are_taken(tmp_path: Path, onnx_file: Path) -> None:
    image = np.random.default_rng(1).standard_normal((1, 3, 8, 8))
    np.savez(tmp_path / "in.npz", image=image, shift=np.ones((1, 1, 1, 1), np.float32))
    arrays = read_arrays(tmp_path / "in.npz")
    inputs = given_inputs(read_user_model(onnx_file), arrays, tmp_path / "in.npz")
    assert (
        np.frombuffer(inputs.content, np.float32, 192).tolist()
        == image.astype(np.float32).reshape(-1).tolist()
    )


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"image": np.ones((1, 3, 8, 8))}, "lacks shift"),
        (
            {"image": np.ones((1, 3, 8, 8)), "shift": np.ones((1, 1, 1, 1)), "z": np.ones(1)},
            "has z",
        ),
        ({"image": np.ones((2, 3, 8, 8)), "shift": np.ones((1, 1, 1, 1))}, "shape 2,3,8,8"),
        ({"image": np.full((1, 3, 8, 8), "x"), "shift": np.ones((1, 1, 1, 1))}, "image is <U1"),
    ],
)
def test_arrays_that_do_not_fit_are_told(
    tmp_path: Path, onnx_file: Path, arrays: dict[str, np.ndarray], said: str
) -> None:
    with pytest.raises(UserError) as told:
        given_inputs(read_user_model(onnx_file), arrays, tmp_path / "in.npz")
    assert said in str(told.value)


def test_arrays_of_objects_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", x=np.array([{}], dtype=object))
    with pytest.raises(UserError, match=r"no \.npz file that can be read"):
        read_arrays(tmp_path / "in.npz")
    (tmp_path / "in.npz").write_bytes(io.BytesIO(b"no zip").read())
    with pytest.raises(UserError, match=r"no \.npz file that can be read"):
        read_arrays(tmp_path / "in.npz")


def test_what_is_drawn_can_be_run(onnx_file: Path) -> None:
    model = read_user_model(onnx_file)
    inputs = draw_inputs(model, 1)
    image = np.frombuffer(inputs.content, np.float32, 192).reshape(1, 3, 8, 8)
    shift = np.frombuffer(inputs.content, np.float32, 1, 768).reshape(1, 1, 1, 1)
    session = onnxruntime.InferenceSession(str(onnx_file))
    (top,) = session.run(["top"], {"image": image, "shift": shift})
    assert np.isfinite(top)
