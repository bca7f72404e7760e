"""compofa-report compare --device, on small models that really run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from rigs.model_files import write_nan, write_onnx

Call = Callable[..., int]
Output = pytest.CaptureFixture[str]


def commented(source: Path, target: Path) -> Path:
    """The same model in another file."""
    loaded = onnx.load(source)
    loaded.doc_string = "a comment"
    onnx.save(loaded, target)
    return target


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """The base, the same with a comment, and one with far more to compute."""
    small = write_onnx(tmp_path / "base.onnx", shape=(1, 3, 48, 48), channels=32)
    commented(small, tmp_path / "equal.onnx")
    write_onnx(tmp_path / "larger.onnx", shape=(1, 3, 48, 48), channels=64)
    return tmp_path


def test_a_larger_model_is_slower(models: Path, call: Call, capsys: Output) -> None:
    assert call("base.onnx", "larger.onnx", "--device", "local", "--json", "--no-pause") == 1
    told = json.loads(capsys.readouterr().out)
    (device,) = told["devices"]
    assert told["verdict"] == device["verdict"] == "slower"
    (cell,) = device["cells"]
    assert (cell["subnet"], cell["space"], cell["resolution"]) == ("larger", "files", 48)
    assert cell["ratio"]["low"] > 1.01
    assert device["side_by_side"]["processes"] >= 8
    # The other weights are others: that both sides compute something else is no secret.
    assert device["side_by_side"]["differing_outputs"]


def test_equal_models_raise_no_alarm_and_every_report_is_written(
    models: Path, call: Call, capsys: Output
) -> None:
    names = ("markdown", "comment", "html", "junit", "csv", "benchmark-action", "bencher")
    suffixes = ("md", "md", "html", "xml", "csv", "json", "json")
    files = [f"{name}.{suffix}" for name, suffix in zip(names, suffixes, strict=True)]
    options = [f"--{name}={file}" for name, file in zip(names, files, strict=True)]
    time = ["--max-time", "6s", "--no-pause"]
    code = call("base.onnx", "equal.onnx", "-d", "local", "--min-effect", "10%", *time, *options)
    assert code in (0, 3)
    assert "run by run in turns" in capsys.readouterr().out
    for file in files:
        assert "equal" in Path(file).read_text()


def test_identical_files_are_said_to_be_so(models: Path, call: Call, capsys: Output) -> None:
    shutil.copy("base.onnx", "copy.onnx")
    assert call("base.onnx", "copy.onnx", "--device", "local") == 0
    assert "the same file on both sides" in capsys.readouterr().out
    assert not [*models.glob("*.jsonl")]


def test_folders_pair_up_by_name_and_what_fails_leaves_the_rest(
    models: Path, call: Call, capsys: Output
) -> None:
    for side in ("old", "now"):
        (models / side).mkdir()
        write_nan(models / side / "broken.onnx")
        commented(models / "base.onnx", models / side / "good.onnx")
    write_onnx(models / "now/good.onnx", shape=(1, 3, 48, 48), channels=64)
    (models / "old/cut.onnx").write_bytes((models / "base.onnx").read_bytes()[:200])
    commented(models / "base.onnx", models / "now/cut.onnx")
    commented(models / "base.onnx", models / "old/gone.onnx")
    commented(models / "now/broken.onnx", models / "now/broken.onnx")
    code = call("old", "now", "--device", "local", "--json", "--no-pause", "--max-time", "60s")
    assert code == 1
    (device,) = json.loads(capsys.readouterr().out)["devices"]
    assert [each["subnet"] for each in device["cells"]] == ["good"]
    assert {each["subnet"] for each in device["missing"]} == {"cut", "gone", "broken"}
    reasons = {cell["subnet"]: reason for cell, reason in device["side_by_side"]["failures"]}
    assert "not finite" in reasons["broken"]
    assert reasons["cut"].startswith("base: ")


def test_one_model_on_two_set_ups(models: Path, call: Call, capsys: Output) -> None:
    Path("devices.yaml").write_text(
        "one: {transport: local, runtime: onnxruntime, threads: 1}\n"
        "two: {transport: local, runtime: openvino, threads: 1}\n"
    )
    options = ["--max-time", "10s", "--no-pause", "--json"]
    code = call("base.onnx", "--device", "one", "--device", "two", *options)
    (device,) = json.loads(capsys.readouterr().out)["devices"]
    assert code in (0, 1, 3)
    assert device["device"] == "two"
    assert device["differences"]["runtime"] == ["onnxruntime", "openvino"]
    assert device["side_by_side"]["set_ups"]
    assert len(device["cells"]) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["base.onnx", "equal.onnx"], "base.onnx is a model file, which has to be measured"),
        (["a.csv", "b.csv", "-d", "local"], "--device measures model files, and a.csv is a table"),
        (["base.onnx", "-d", "local"], "one side is given"),
        (["a.csv"], "one table is given"),
        (["base.onnx", "-d", "local", "-d", "local"], "both sides are the device local"),
        (["base.onnx", "gone.onnx", "-d", "local"], "there is no such file or folder"),
        (["base.onnx", "equal.onnx", "-d", "local", "--confirm"], "--confirm is about tables"),
        (["a.csv", "b.csv", "--force"], "--force is about model files"),
        (["base.onnx", "notes.txt", "-d", "local"], "no model file: its name ends in .txt"),
        (["base.onnx", "cut.onnx", "-d", "local"], "this is no ONNX file"),
        (["base.onnx", "equal.onnx", "-d", "local", "--min-effect", "-1%"], "--min-effect"),
    ],
)
def test_what_does_not_go_together_is_one_line(
    models: Path, call: Call, capsys: Output, arguments: list[str], said: str
) -> None:
    Path("notes.txt").write_text("no model")
    Path("cut.onnx").write_bytes(Path("base.onnx").read_bytes()[:200])
    assert call(*arguments) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told


def test_a_runtime_that_does_not_take_the_file_says_which_would(
    models: Path, call: Call, capsys: Output
) -> None:
    Path("devices.yaml").write_text("t: {transport: local, runtime: tflite, threads: 1}\n")
    assert call("base.onnx", "equal.onnx", "--device", "t") == 2
    assert "onnxruntime and openvino can run this one" in capsys.readouterr().err
