"""Winners written as model files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import onnx
import onnxruntime
import pytest

from compofa.profiler.results.table import Table, write_table
from compofa.search.commands.search_command import main
from compofa.supernet.checkpoints.checkpoint import save_checkpoint
from compofa.supernet.data.batches.loading import Loading, PlainBatches
from compofa.supernet.data.dataset import open_data
from compofa.supernet.data.split import split_data
from compofa.supernet.evaluation.accuracy_file import AccuracyRow, write_accuracy_table
from compofa.supernet.evaluation.bn_calibration import extract_calibrated
from compofa.supernet.spaces import SPACES
from compofa.supernet.supernet import Supernet
from rigs.image_sets import write_idx
from rigs.tables import make_table


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
        (["--checkpoint", "c.pt"], "--checkpoint can only be given together with --export DIR"),
        (["--data", "images"], "--data can only be given together with --export DIR"),
        (["--export", "d", "--checkpoint", "none.pt"], "none.pt: cannot read the checkpoint"),
        (["--export", "d", "--checkpoint", "c.pt", "--dtype", "int8"], "int8 needs --calibration"),
        (
            ["--export", "d", "--checkpoint", "c.pt", "--dtype", "float16"],
            "--format onnx does not support --dtype float16",
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
    assert "the checkpoint is of space ofa-mbv3, but the results are of compofa" in error
    assert not (tmp_path / "d").exists()


SMALL = replace(
    SPACES["compofa"], name="small", width=0.05, classes=3, in_channels=1, resolutions=(16,)
)


def test_with_a_data_set_every_winner_has_statistics_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, images = tmp_path / "deploy", write_idx(tmp_path / "images", train=100)
    supernet = Supernet(SMALL).eval()
    save_checkpoint(tmp_path / "c.pt", supernet, {"recipe": "compound"})
    table, accuracy = _tables(tmp_path)
    asked = ("--table", table, "--accuracy", accuracy, "--latency", "11,28", "--export", folder)
    data = ("--checkpoint", tmp_path / "c.pt", "--data", images)
    assert search(monkeypatch, *asked, "--space", tmp_path / "small.yaml", *data) == 0
    assert "statistics" not in capsys.readouterr().err
    calibration = PlainBatches(Loading(1), split_data(open_data(images)).train, 16, 256)
    seen = next(iter(calibration)).images
    for path in folder.iterdir():
        key = path.name.split("-")[1]
        network = extract_calibrated(supernet, SMALL.parse(key), [seen])
        (found,) = onnxruntime.InferenceSession(path).run(None, {"input": seen[:1].numpy()})
        assert found == pytest.approx(network(seen[:1]).detach().numpy(), abs=1e-4)
    assert len(list(folder.iterdir())) == 2


def _tables(folder: Path) -> tuple[Path, Path]:
    """Latencies and accuracies of the small space, both made up, and its space file."""
    (folder / "small.yaml").write_text(
        "name: small\nwidth: 0.05\nclasses: 3\ninput_channels: 1\nresolutions: [16]\n"
    )
    made: Table = make_table(resolutions=(16,), factor=10, space="small")
    write_table(folder / "small.csv", made)
    rows = [
        AccuracyRow("small", SMALL.key(each), 16, sum(each.depths) / 20, "made up")
        for each in SMALL.enumerate()
    ]
    write_accuracy_table(folder / "accuracy.csv", [], rows)
    return folder / "small.csv", folder / "accuracy.csv"


def test_winners_of_a_trained_supernet_without_data_come_with_a_note(
    phone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_checkpoint(tmp_path / "c.pt", Supernet(SPACES["compofa"]), {"recipe": "compound"})
    arguments = ["--latency", 20, "--export", tmp_path / "d", "--checkpoint", tmp_path / "c.pt"]
    assert search(monkeypatch, "--table", phone, *arguments) == 0
    assert "mix those of all its subnets" in capsys.readouterr().err
