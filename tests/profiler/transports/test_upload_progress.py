"""What is told of a file on its way to a device."""

from __future__ import annotations

from pathlib import Path

import pytest

from compofa.profiler.transports import upload_progress
from compofa.profiler.transports.upload_progress import parts_to_send


def test_a_long_upload_tells_how_far_it_is_also_after_a_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(upload_progress, "TOLD_EVERY_S", 0.0)
    path = tmp_path / "net.onnx"
    path.write_bytes(bytes(4_000_000))
    with path.open("rb") as file:
        file.seek(1_000_000)
        sent = b"".join(parts_to_send(file, 1_000_000, "net.onnx to rpi4"))
    assert len(sent) == 3_000_000
    assert capsys.readouterr().err.splitlines() == [
        "sending net.onnx to rpi4: 50% of 4 MB",
        "sending net.onnx to rpi4: 75% of 4 MB",
    ]


def test_a_short_upload_says_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.onnx").write_bytes(bytes(100))
    with (tmp_path / "net.onnx").open("rb") as file:
        assert b"".join(parts_to_send(file, 30, "net.onnx")) == bytes(100)
    assert capsys.readouterr().err == ""
