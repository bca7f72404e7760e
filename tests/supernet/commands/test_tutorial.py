"""The last step of docs/tutorial.md: its script, run as it stands there, on a data set of ours."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from compofa.supernet.checkpoints.checkpoint import save_checkpoint
from compofa.supernet.commands import export_command as export
from compofa.supernet.commands import train_command as train
from compofa.supernet.data.dataset import open_data
from compofa.supernet.data.split import split_data, write_split
from compofa.supernet.evaluation.accuracy_file import read_accuracy_table
from compofa.supernet.spaces import SPACES
from compofa.supernet.supernet import Supernet
from rigs.commands import Run
from rigs.image_sets import write_idx

PAGE = Path(__file__).resolve().parents[3] / "docs" / "tutorial.md"
SMALL: dict[str, Any] = {
    "width": 0.05,
    "classes": 3,
    "in_channels": 1,
    "resolutions": (28,),
    "stem_stride": 1,
}


def test_onnx_and_tflite_files_are_as_accurate_as_the_table_says(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ai_edge_litert")
    data = write_idx(tmp_path / "data", train=100, test=40, size=28)
    write_split(tmp_path / "split.json", split_data(open_data(data)))
    torch.manual_seed(0)
    checkpoint, table = tmp_path / "supernet.pt", tmp_path / "test.csv"
    save_checkpoint(checkpoint, Supernet(replace(SPACES["compofa"], name="small", **SMALL)), {})
    where = ("--checkpoint", checkpoint, "--data", data, "--subnet", "d32423")
    assert run(train.main, "evaluate", *where, "--split", "test", "--out", table).code == 0
    for ending in ("onnx", "tflite"):
        written = ("--format", ending, "--out", tmp_path / f"subnet.{ending}")
        assert run(export.main, *where, "--resolution", 28, *written).code == 0
    (script,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    arguments = [data, tmp_path / "split.json", tmp_path / "subnet"]
    monkeypatch.setattr("sys.argv", ["score.py", *map(str, arguments)])
    capsys.readouterr()
    exec(compile(script, "score.py", "exec"), {})
    ((row,), told) = (read_accuracy_table(table)[1], capsys.readouterr().out)
    assert ast.literal_eval(told) == pytest.approx(
        {"onnx": 100 * row.top1, "tflite": 100 * row.top1}
    )
