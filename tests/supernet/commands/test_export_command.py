"""compofa-export, as a user runs it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from compofa.supernet.checkpoints.checkpoint import save_checkpoint
from compofa.supernet.commands import export_command as export
from compofa.supernet.commands import train_command as train
from compofa.supernet.graph import build_graph
from compofa.supernet.space import Space
from compofa.supernet.spaces import SPACES, get_space
from compofa.supernet.supernet import Supernet
from rigs import mil
from rigs.commands import Run

PROGRAM = "from compofa.supernet.commands.export_command import main; main()"
SMALL = ("--subnet", "d22222", "--resolution", 32)


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "c.pt"
    save_checkpoint(path, Supernet(SPACES["compofa"]), {})
    return path


def test_an_onnx_file_is_written_with_random_weights(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "x.onnx"
    ended = run(export.main, *SMALL, "--format", "onnx", "--out", out)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(f"{out}: compofa d22222 at 32, ")
    assert input_shape(out) == ["batch", 3, 32, 32]


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        (("--batch-size", 4), [4, 3, 32, 32]),
        (("--dynamic",), ["batch", 3, "height", "width"]),
        (("--dynamic", "--batch-size", 1), [1, 3, "height", "width"]),
    ],
)
def test_sizes_are_fixed_or_left_open(
    run: Run, tmp_path: Path, options: tuple[object, ...], shape: list[object]
) -> None:
    out = tmp_path / "x.onnx"
    assert run(export.main, *SMALL, *options, "--out", out).code == 0
    assert input_shape(out) == shape


def input_shape(path: Path) -> list[int | str]:
    found: list[int | str] = onnxruntime.InferenceSession(path).get_inputs()[0].shape
    return found


def test_json_reports_what_was_written(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "x.onnx"
    ended = run(export.main, *SMALL, "--out", out, "--json")
    graph = build_graph(SPACES["compofa"], SPACES["compofa"].parse("d22222"), 32)
    assert json.loads(ended.out) == {
        "path": str(out),
        "format": "onnx",
        "dtype": "float32",
        "space": "compofa",
        "subnet": "d22222",
        "resolution": 32,
        "macs": graph.macs,
        "params": graph.params,
        "checkpoint_sha256": None,
        "sha256": hashlib.sha256(out.read_bytes()).hexdigest(),
        "bytes": out.stat().st_size,
    }


FILES = {"onnx": "x.onnx", "tflite": "x.tflite", "coreml": "x.zip", "json": "x.json"}


def about(path: Path) -> dict[str, str]:
    """What an exported file says about itself."""
    if path.suffix == ".onnx":
        return dict(onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map)
    if path.suffix == ".tflite":
        schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
        model = schema.ModelT.InitFromPackedBuf(path.read_bytes())
        (entry,) = [each for each in model.metadata if each.name == b"compofa"]
        return dict(json.loads(bytes(model.buffers[entry.buffer].data)))
    if path.suffix == ".zip":
        pytest.importorskip("coremltools")
        return dict(mil.spec(path.read_bytes()).description.metadata.userDefined)
    return dict(json.loads(path.read_text()))


@pytest.mark.parametrize("format_", FILES)
def test_every_file_says_what_it_is_and_where_its_weights_are_from(
    run: Run, narrow: Path, tmp_path: Path, format_: str
) -> None:
    out = tmp_path / FILES[format_]
    ended = run(export.main, *SMALL, "--checkpoint", narrow, "--format", format_, "--out", out)
    assert ended.code == 0, ended.err
    found = about(out)
    assert (found["space"], found["subnet"], int(found["resolution"])) == ("compofa", "d22222", 32)
    assert found["checkpoint_sha256"] == hashlib.sha256(narrow.read_bytes()).hexdigest()
    wanted = found["preprocessing"]
    assert (json.loads(wanted) if isinstance(wanted, str) else wanted) == {
        "channels": "RGB",
        "range": [0, 1],
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
    }


def test_a_core_ml_package_is_a_folder_and_its_report_is_that_of_its_zip(
    run: Run, tmp_path: Path
) -> None:
    coremltools = pytest.importorskip("coremltools")
    folder, archive = tmp_path / "x.mlpackage", tmp_path / "x.zip"
    options = (*SMALL, "--format", "coreml", "--dtype", "float16")
    reports = [run(export.main, *options, "--out", out, "--json") for out in (folder, archive)]
    assert [each.err for each in reports] == ["", ""]
    of_folder, of_archive = (json.loads(each.out) for each in reports)
    assert of_folder == of_archive | {"path": str(folder)}
    assert of_archive["dtype"] == "float16"
    assert of_archive["sha256"] == hashlib.sha256(archive.read_bytes()).hexdigest()
    model = coremltools.models.MLModel(str(folder), skip_model_load=True)
    assert [each.name for each in model.get_spec().description.input] == ["input"]


@pytest.mark.parametrize("format_", ["onnx", "tflite"])
def test_int8_learns_ranges_from_images_and_keeps_what_the_file_says(
    run: Run, tmp_path: Path, format_: str
) -> None:
    images, whole, out = tmp_path / "x.npz", tmp_path / f"f.{format_}", tmp_path / f"x.{format_}"
    np.savez(images, np.random.default_rng(0).standard_normal((4, 3, 32, 32)).astype("f"))
    options = (*SMALL, "--format", format_, "--batch-size", 2)
    assert run(export.main, *options, "--out", whole).code == 0
    ended = run(
        export.main, *options, "--dtype", "int8", "--calibration", images, "--out", out
    )  # fmt: skip
    assert (ended.code, ended.err) == (0, "")
    assert out.stat().st_size < 0.35 * whole.stat().st_size
    assert about(whole).items() <= about(out).items()


@pytest.mark.parametrize(
    ("format_", "package", "extra"),
    [
        ("tflite", "ai_edge_litert", "tflite"),
        ("coreml", "coremltools", "coreml"),
    ],
)
def test_a_missing_package_is_named_with_what_brings_it(
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    format_: str,
    package: str,
    extra: str,
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    out = tmp_path / FILES[format_]
    ended = run(export.main, *SMALL, "--format", format_, "--out", out)
    name = package.replace("_", "-")
    hint = f"(install it with: pip install 'compofa[{extra}]')"
    assert (ended.code, ended.err) == (2, f"error: {name} is not installed {hint}\n")
    assert not out.exists()


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES.keys())
def test_the_description_lists_all_layers_and_their_costs_add_up(run: Run, space: Space) -> None:
    subnet = space.sample(np.random.default_rng(0))
    options = ("--space", space.name, "--subnet", space.key(subnet), "--resolution", 64)
    ended = run(export.main, *options, "--format", "json", "--out", "-")
    found = json.loads(ended.out)
    graph = build_graph(space, subnet, 64)
    assert (found["macs"], found["params"]) == (graph.macs, graph.params)
    assert sum(layer["macs"] for layer in found["layers"]) == graph.macs
    assert sum(layer["params"] for layer in found["layers"]) == graph.params
    assert [layer["name"] for layer in found["layers"]] == [layer.name for layer in graph.layers]
    assert found["input_shape"] == [1, 3, 64, 64]


def test_a_space_file_serves_as_a_space(run: Run, tmp_path: Path) -> None:
    space = tmp_path / "mine.yaml"
    space.write_text("name: mine\nwidth: 0.35\nclasses: 10\ninput_channels: 1\n")
    out = tmp_path / "x.json"
    ended = run(export.main, *SMALL, "--space", space, "--format", "json", "--out", out)
    assert ended.code == 0
    found = json.loads(out.read_text())
    assert (found["space"], found["classes"]) == ("mine", 10)
    assert found["input_shape"] == [1, 1, 32, 32]


def test_worked_examples_come_out_through_the_commands(
    run: Run, released_file: Callable[[str], Path], examples: list[Any], tmp_path: Path
) -> None:
    case = next(each for each in examples if each.layout == "ofa-mbv3" and each.compound)
    checkpoint, out = tmp_path / "c.pt", tmp_path / "x.onnx"
    released = released_file("ofa-mbv3")
    ended = run(train.main, "import", released, "--space", "compofa", "--out", checkpoint)
    assert ended.code == 0
    key = SPACES["compofa"].key(case.subnet(SPACES["compofa"]))
    options = ("--subnet", key, "--resolution", case.resolution, "--format", "onnx")
    ended = run(
        export.main, *options, "--checkpoint", checkpoint, "--out", out
    )  # fmt: skip
    assert ended.code == 0
    session = onnxruntime.InferenceSession(out.read_bytes())
    assert case.error(session.run(None, {"input": case.image})[0]) < 1e-4


def test_a_space_that_is_not_the_checkpoints_is_an_error_naming_both(
    run: Run, narrow: Path, tmp_path: Path
) -> None:
    out = tmp_path / "x.onnx"
    options = ("--checkpoint", narrow, "--space", "compofa-w1.2", "--out", out)
    ended = run(export.main, *SMALL, *options)
    assert ended.code == 2
    assert "the checkpoint is of space compofa, but --space is compofa-w1.2" in ended.err
    assert not out.exists()


def test_a_space_may_be_named_where_it_is_the_checkpoints(
    run: Run, narrow: Path, tmp_path: Path
) -> None:
    out = tmp_path / "x.onnx"
    ended = run(export.main, *SMALL, "--checkpoint", narrow, "--space", "compofa", "--out", out)
    assert ended.code == 0


def test_another_definition_of_the_checkpoints_space_is_refused(run: Run, tmp_path: Path) -> None:
    checkpoint, space = tmp_path / "c.pt", tmp_path / "mine.yaml"
    options = ("--checkpoint", checkpoint, "--space", space, "--out", tmp_path / "x.json")
    space.write_text("name: mine\nwidth: 0.1\n")
    save_checkpoint(checkpoint, Supernet(get_space(str(space))), {})
    space.write_text("name: mine\nwidth: 0.1\nresolutions: [32]\n")
    assert run(export.main, *SMALL, "--format", "json", *options).code == 0
    space.write_text("name: mine\nwidth: 0.2\n")
    ended = run(export.main, *SMALL, "--format", "json", *options)
    assert ended.code == 2
    assert "the checkpoint is of space mine, but --space is another definition of it" in ended.err


def test_without_torch_a_checkpoint_says_what_to_install(
    run: Run, narrow: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    options = ("--checkpoint", narrow, "--out", tmp_path / "x.onnx")
    ended = run(export.main, *SMALL, *options)
    assert ended.code == 2
    assert ended.err == (
        "error: torch is not installed (install it with: pip install 'compofa[train]')\n"
    )


MISTAKES = {
    "a key of another space": (["--subnet", "d22"], "has 2 depths, not 5"),
    "a malformed key": (["--subnet", "best"], "its keys look like dNNNNN"),
    "a tiny resolution": (["--resolution", 4], "resolution 4 is out of bounds, 8 to 4096"),
    "no resolution": (["--resolution", "big"], "Invalid value for '--resolution'"),
    "an unknown space": (["--space", "compofe"], "unknown space 'compofe' (did you mean"),
    "a missing space file": (["--space", "no.yaml"], "no.yaml: cannot read the space file"),
    "an unknown format": (
        ["--format", "caffe"],
        "there is no format 'caffe' (known: onnx, tflite, coreml, json)",
    ),
    "half floats in ONNX": (
        ["--dtype", "float16"],
        "not support --dtype float16, only float32 and int8 (float16 is supported by coreml)",
    ),
    "int8 in Core ML": (
        ["--format", "coreml", "--dtype", "int8", "--out", "x.zip"],
        "not support --dtype int8, only float32 and float16 (int8 is supported by onnx and tflite)",
    ),
    "int8 without images": (
        ["--dtype", "int8"],
        "--dtype int8 needs --calibration: images that give the range of activations",
    ),
    "images without int8": (
        ["--calibration", "x.npz"],
        "--calibration is only for a quantised --dtype, such as int8",
    ),
    "missing images": (
        ["--dtype", "int8", "--calibration", "no.npz"],
        "no.npz: cannot read the calibration file: no such file",
    ),
    "a Core ML file of another name": (
        ["--format", "coreml"],
        "x.onnx: the name of a Core ML model ends in .mlpackage, or in .zip for its zip",
    ),
    "an open size of TFLite": (["--out", "x.tflite", "--dynamic"], "only --format onnx supports"),
    "a name of another format": (
        ["--format", "tflite"],
        "x.onnx: the name ends in .onnx, which is onnx, but --format says tflite",
    ),
    "a Core ML package as ONNX": (
        ["--out", "x.mlpackage", "--format", "onnx"],
        "the name ends in .mlpackage, which is coreml, but --format says onnx",
    ),
    "a suffix of no format": (
        ["--out", "x.pb"],
        "x.pb: no format has the suffix .pb (choose a format with --format,",
    ),
    "an unknown dtype": (["--dtype", "fp8"], "there is no dtype 'fp8'"),
    "a missing checkpoint": (["--checkpoint", "no.pt"], "no.pt: cannot read the checkpoint"),
    "no images": (["--batch-size", 0], "Invalid value for '--batch-size'"),
    "an open size of no model": (["--out", "x.json", "--dynamic"], "only --format onnx supports"),
    "binary on a terminal": (["--out", "-"], "it needs --format json, and no --json"),
    "a missing folder": (["--out", "no/x.onnx"], "no/x.onnx: cannot write the exported file"),
    "a folder": (["--out", "."], "cannot write the exported file: is a directory"),
}


@pytest.mark.parametrize(("changes", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes_end_with_exit_code_2_and_one_message(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: list[object], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = run(export.main, *SMALL, "--out", "x.onnx", *changes)
    assert ended.code == 2
    assert message in " ".join(ended.err.replace("│", "").split())
    assert "Traceback" not in ended.err
    assert not list(tmp_path.iterdir())


def test_without_a_checkpoint_torch_is_not_imported(tmp_path: Path) -> None:
    program = f"import sys\nsys.modules['torch'] = None\n{PROGRAM}"
    options = [*map(str, SMALL), "--out", str(tmp_path / "x.onnx")]
    ended = subprocess.run([sys.executable, "-c", program, *options], check=False)
    assert ended.returncode == 0


def test_a_full_disk_leaves_the_old_file_and_a_clear_error(tmp_path: Path) -> None:
    out = tmp_path / "x.onnx"
    out.write_text("old")
    limited = f"import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (9999, 9999))\n{PROGRAM}"
    options = [*map(str, SMALL), "--out", str(out)]
    ended = subprocess.run(
        [sys.executable, "-c", limited, *options], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert ended.stderr == f"error: {out}: cannot write the exported file: file too large\n"
    assert out.read_text() == "old"
    assert list(tmp_path.iterdir()) == [out]


MIXED = "note: the batch norm statistics of this checkpoint mix those of all its subnets"
ORIGINS = {
    "trained as many subnets": ({"recipe": "compound"}, True),
    "released": ({"imported_from": "ofa.pth"}, True),
    "a teacher, one network": ({"recipe": "teacher"}, False),
    "of unknown origin": ({}, False),
}


@pytest.mark.parametrize(("metadata", "told"), ORIGINS.values(), ids=ORIGINS.keys())
def test_statistics_of_many_subnets_are_told_of(
    run: Run, tmp_path: Path, metadata: dict[str, str], told: bool
) -> None:
    save_checkpoint(tmp_path / "c.pt", Supernet(SPACES["compofa"]), metadata)
    where = ("--checkpoint", tmp_path / "c.pt", "--out", tmp_path / "x.onnx")
    ended = run(export.main, *SMALL, *where)
    assert (ended.code, ended.err.startswith(MIXED)) == (0, told)
    assert bool(ended.err) == told


def test_a_description_has_no_statistics_to_tell_of(run: Run, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c.pt", Supernet(SPACES["compofa"]), {"recipe": "compound"})
    where = ("--checkpoint", tmp_path / "c.pt", "--format", "json", "--out", tmp_path / "x.json")
    assert run(export.main, *SMALL, *where).err == ""


def test_a_data_set_without_a_checkpoint_is_refused(run: Run, tmp_path: Path) -> None:
    ended = run(export.main, *SMALL, "--data", tmp_path, "--out", tmp_path / "x.onnx")
    assert (ended.code, ended.err) == (
        2,
        "error: --data can only be given together with --checkpoint\n",
    )


@pytest.mark.parametrize(
    ("name", "format_"),
    [("x.onnx", "onnx"), ("x.ONNX", "onnx"), ("x.json", "json"), ("x", "onnx")],
)
def test_the_suffix_decides_the_format(run: Run, tmp_path: Path, name: str, format_: str) -> None:
    ended = run(export.main, *SMALL, "--out", tmp_path / name, "--json")
    assert json.loads(ended.out)["format"] == format_


@pytest.mark.parametrize(
    ("name", "format_", "package"),
    [
        ("x.tflite", "tflite", "ai_edge_litert"),
        ("x.mlpackage", "coreml", "coremltools"),
        ("x.zip", "coreml", "coremltools"),
    ],
)
def test_the_suffix_decides_for_formats_that_need_a_package(
    run: Run, tmp_path: Path, name: str, format_: str, package: str
) -> None:
    pytest.importorskip(package)
    ended = run(export.main, *SMALL, "--out", tmp_path / name, "--json")
    assert json.loads(ended.out)["format"] == format_


def test_any_suffix_will_do_for_a_format_that_is_named(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "model.bin"
    assert run(export.main, *SMALL, "--format", "onnx", "--out", out).code == 0
    assert input_shape(out) == ["batch", 3, 32, 32]


def test_a_dtype_is_taken_by_any_of_its_usual_names(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("coremltools")
    for name in ("fp16", "half", "F16"):
        ended = run(export.main, *SMALL, "--out", tmp_path / "x.zip", "--dtype", name, "--json")
        assert json.loads(ended.out)["dtype"] == "float16"
