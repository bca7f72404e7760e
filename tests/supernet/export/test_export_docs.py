"""docs/export.md: its commands and its Python, run as they stand there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from compofa.supernet.checkpoints.checkpoint import save_checkpoint
from compofa.supernet.commands import export_command as export
from compofa.supernet.preprocessing import IMAGENET
from compofa.supernet.spaces import SPACES
from compofa.supernet.supernet import Supernet
from rigs.commands import Run

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "export.md").read_text()


def test_commands_and_snippets_run_and_agree(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("ai_edge_litert", "ai_edge_quantizer", "coremltools", "openvino"):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    save_checkpoint(Path("compofa.pt"), Supernet(SPACES["compofa"]), {})
    Path("pictures").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    for path in ("cat.jpg", "pictures/a.jpg", "pictures/b.jpg"):
        Image.fromarray(pixels).save(path)

    commands = re.findall(r"^    compofa-export (.*)$", PAGE, re.M)
    assert len(commands) == 4
    for command in commands:
        ended = run(export.main, *shlex.split(command))
        assert (ended.code, ended.err) == (0, "")

    names: dict[str, Any] = {}
    logits = []
    for snippet in re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S):
        exec(snippet, names)
        logits += [names.pop("logits")] if "logits" in names else []
    assert np.allclose(names["image"][0], IMAGENET.apply(Image.open("cat.jpg"), 192), atol=1e-6)
    assert len(logits) == 4
    for each in logits:
        assert np.abs(each - logits[0]).max() < 1e-4 * np.abs(logits[0]).max()
    assert names["in_onnx"] | {"layout": "NHWC"} == names["in_tflite"]
    assert names["in_onnx"] == names["in_coreml"]
    assert names["in_onnx"]["subnet"] == "d34334"
