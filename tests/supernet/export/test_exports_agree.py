"""One subnet of one checkpoint, exported in every format: the same answers in every runtime."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from compofa.supernet.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from compofa.supernet.commands import export_command as export
from compofa.supernet.spaces import SPACES
from compofa.supernet.supernet import Supernet
from rigs.commands import Run
from rigs.mil import computed, operations

KEY, RESOLUTION, IMAGES = "d22222", 64, 100
SPACE = SPACES["compofa"]


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Blots of colour: random patterns in a few pixels, enlarged."""
    coarse = np.random.default_rng(4).standard_normal((IMAGES, 3, 4, 4)).astype(np.float32)
    return coarse.repeat(RESOLUTION // 4, 2).repeat(RESOLUTION // 4, 3)


@pytest.fixture(scope="module")
def checkpoint(images: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A supernet whose batch norm has seen the images, so that logits differ among them."""
    torch.manual_seed(0)
    supernet = Supernet(SPACE)
    for module in supernet.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        supernet.train()(torch.from_numpy(images), SPACE.parse(KEY))
    path = tmp_path_factory.mktemp("checkpoint") / "c.pt"
    save_checkpoint(path, supernet.eval(), {})
    return path


@pytest.fixture(scope="module")
def expected(checkpoint: Path, images: np.ndarray) -> np.ndarray:
    """Logits of the module."""
    supernet = load_checkpoint(checkpoint).supernet
    with torch.no_grad():
        found: np.ndarray = supernet(torch.from_numpy(images), SPACE.parse(KEY)).numpy()
    return found


def onnxruntime(path: Path, images: np.ndarray) -> np.ndarray:
    session = importlib.import_module("onnxruntime").InferenceSession(path)
    found: np.ndarray = session.run(None, {"input": images})[0]
    return found


def openvino(path: Path, images: np.ndarray) -> np.ndarray:
    core = pytest.importorskip("openvino").Core()
    # Left to itself it computes in bfloat16 where the CPU can.
    model = core.compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found: np.ndarray = model(images)[0]
    return found


def litert(path: Path, images: np.ndarray) -> np.ndarray:
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(str(path))
    run = interpreter.get_signature_runner()
    found: np.ndarray = run(input=images.transpose(0, 2, 3, 1))["logits"]
    return found


def coreml(path: Path, images: np.ndarray) -> np.ndarray:
    """Its program in torch: Core ML itself runs on Apple's systems alone."""
    pytest.importorskip("coremltools")
    return computed(operations(path.read_bytes()), images)


Runtime = Callable[[Path, np.ndarray], np.ndarray]
RUNTIMES: dict[Runtime, str] = {
    onnxruntime: "x.onnx",
    openvino: "x.onnx",
    litert: "x.tflite",
    coreml: "x.zip",
}
FORMATS = {"x.onnx": "onnx", "x.tflite": "tflite", "x.zip": "coreml"}


@pytest.mark.parametrize("runtime", RUNTIMES, ids=lambda runtime: runtime.__name__)
def test_every_runtime_gives_the_modules_answers(
    runtime: Runtime,
    checkpoint: Path,
    images: np.ndarray,
    expected: np.ndarray,
    run: Run,
    tmp_path: Path,
) -> None:
    """Logits within 1e-4 of the largest, and the same class first for every image."""
    out = tmp_path / RUNTIMES[runtime]
    size = ("--resolution", RESOLUTION, "--batch-size", IMAGES)
    options = ("--subnet", KEY, *size, "--checkpoint", checkpoint, "--format", FORMATS[out.name])
    ended = run(export.main, *options, "--out", out)
    assert ended.code == 0, ended.err
    found = runtime(out, images)
    assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()
    assert (found.argmax(1) == expected.argmax(1)).all()
    assert len(set(expected.argmax(1))) > IMAGES / 4
