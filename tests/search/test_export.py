"""Winners written as model files."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest

from compofa.search.command import main
from compofa.supernet.checkpoint import save_checkpoint
from compofa.supernet.space import SPACES
from compofa.supernet.supernet import Supernet


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "c.pt"
    save_checkpoint(path, Supernet(SPACES["compofa"]), {})
    return path


def search(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int | str | None:
    """Runs the command; its exit code."""
    monkeypatch.setattr("sys.argv", ["compofa-search", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def test_each_winner_is_written_once(
    phone: Path, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    folder = tmp_path / "deploy"
    code = search(
        monkeypatch, "--table", phone, "--latency", "11,11.1,25", "--json", "--export", folder,
        "--checkpoint", checkpoint,
    )  # fmt: skip
    found = json.loads(capsys.readouterr().out)
    assert code == 0
    winners = {(each["subnet"], each["resolution"]) for each in found["results"]}
    names = {f"compofa-{subnet}-r{resolution}.onnx" for subnet, resolution in winners}
    assert {path.name for path in folder.iterdir()} == names
    assert {Path(path).name for path in found["written"]} == names
    for subnet, resolution in winners:
        model = onnx.load(folder / f"compofa-{subnet}-r{resolution}.onnx")
        said = {each.key: each.value for each in model.metadata_props}
        assert (said["subnet"], said["resolution"]) == (subnet, str(resolution))
        assert len(said["checkpoint_sha256"]) == 64


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--export", "d"], "--export needs --checkpoint"),
        (["--checkpoint", "c.pt"], "--checkpoint holds the weights of --export DIR"),
        (["--export", "d", "--checkpoint", "none.pt"], "none.pt: cannot read the checkpoint"),
        (["--export", "d", "--checkpoint", "c.pt", "--dtype", "int8"], "int8 needs --calibration"),
        (
            ["--export", "d", "--checkpoint", "c.pt", "--dtype", "float16"],
            "--format onnx has no --dtype float16",
        ),
    ],
)
def test_what_cannot_be_written_is_one_line(
    phone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    arguments: list[str], said: str,
) -> None:  # fmt: skip
    assert search(monkeypatch, "--table", phone, "--latency", 20, *arguments) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_checkpoint_of_another_space_is_refused(
    phone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "other.pt"
    save_checkpoint(path, Supernet(SPACES["ofa-mbv3"]), {})
    arguments = ["--latency", 20, "--export", tmp_path / "d", "--checkpoint", path]
    assert search(monkeypatch, "--table", phone, *arguments) == 2
    error = capsys.readouterr().err
    assert "a checkpoint of space ofa-mbv3, but the results are of compofa" in error
    assert not (tmp_path / "d").exists()
