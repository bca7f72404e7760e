"""What a newcomer meets in an empty folder: no inventory, the first one, and a dry run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from compofa.profiler.commands import main
from compofa.profiler.inventory import read_inventory
from compofa.profiler.results.table import read_table
from compofa.profiler.settings import Protocol
from compofa.supernet.space import Space
from rigs.commands import Run

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_this_computer_needs_no_inventory(run: Run, tiny_space_file: Path) -> None:
    quickly = ("--resolutions", "32", "--plan", "2", "--target", "50%", "--no-pause", "--json")
    ended = run(main, "--device", "local", "--space", tiny_space_file, *quickly)
    (told,) = json.loads(ended.out)["tables"]
    assert ended.code == (3 if told["unconverged"] else 0)
    assert read_table(Path("local.csv")).setup.device == "local"


def test_an_inventory_that_does_not_name_this_computer_still_has_it(run: Run, folder: Path) -> None:
    (folder / "devices.yaml").write_text("other: {transport: local, threads: 2}\n")
    assert run(main, "--device", "local", "--dry-run").code == 0
    assert [line.split()[0] for line in run(main, "devices").out.splitlines()[1:]] == ["other"]


def test_what_an_inventory_says_of_local_holds(run: Run, folder: Path) -> None:
    (folder / "devices.yaml").write_text("local: {transport: local, threads: 2}\n")
    (told,) = json.loads(run(main, "devices", "--json").out)["devices"]
    assert told["threads"] == 2


def test_a_missing_inventory_is_told_with_both_ways_out(run: Run) -> None:
    ended = run(main, "--device", "rpi4")
    assert (ended.code, ended.out) == (2, "")
    assert "there is no devices.yaml here that says what 'rpi4' is" in ended.err
    assert "`compofa-profile devices --init` writes one" in ended.err
    assert "--device local, this computer, needs none" in ended.err


def test_a_missing_file_that_was_named_is_an_error(run: Run) -> None:
    ended = run(main, "--device", "local", "--inventory", "lab.yaml", "--dry-run")
    assert ended.code == 2
    assert "lab.yaml: cannot read the inventory" in ended.err


def test_init_writes_an_inventory_and_never_over_one(run: Run) -> None:
    assert run(main, "devices", "--init").code == 0
    written = Path("devices.yaml").read_text()
    assert list(read_inventory(Path("devices.yaml"))) == ["local"]
    for kind in ("ssh", "adb"):
        assert f"transport: {kind}" in written
    Path("devices.yaml").write_text("mine: {transport: local}\n")
    again = run(main, "devices", "--init")
    assert again.code == 2
    assert "devices.yaml: is there already" in again.err
    assert Path("devices.yaml").read_text() == "mine: {transport: local}\n"


def test_the_examples_of_an_inventory_are_valid(run: Run, folder: Path) -> None:
    run(main, "devices", "--init")
    lines = Path("devices.yaml").read_text().splitlines()
    examples = [line.removeprefix("# ") for line in lines if ": {transport: " in line]
    (folder / "all.yaml").write_text("\n".join(examples))
    listed = read_inventory(folder / "all.yaml")
    assert {device.transport for device in listed.values()} == {"local", "ssh", "adb"}


def test_the_inventory_of_the_repository_is_the_one_that_init_writes() -> None:
    own = (ROOT / "devices.yaml").read_bytes()
    assert own == (ROOT / "profiler" / "example_devices.yaml").read_bytes()


def test_a_dry_run_says_what_a_profile_comes_to_and_writes_nothing(
    run: Run, folder: Path, tiny_space: Space, tiny_space_file: Path
) -> None:
    words = ("--device", "local", "--space", tiny_space_file, "--resolutions", "32", "--dry-run")
    ended = run(main, *words, "--plan", "5", "--json")
    (told,) = json.loads(ended.out)["dry_run"]
    assert ended.code == 0
    assert (told["device"], told["table"]) == ("local", "local.csv")
    assert (told["cells"], told["measured"]) == (tiny_space.size, 25)
    assert told["sessions"] == [Protocol.min_sessions, Protocol.max_sessions]
    # Five sessions of 25 visits, 250 ms of timed runs each, is the least that it can take.
    assert 5 * 25 * 0.25 < told["seconds"][0] < told["seconds"][1]
    assert list(folder.glob("local*")) == []
    shown = run(main, *words, "--plan", "5").out
    assert f"25 of {tiny_space.size} cells would be measured, in 5 to 10 sessions" in shown


def test_a_dry_run_sends_a_fourth_of_the_bytes_in_int8(run: Run) -> None:
    def upload(*words: str) -> int:
        asked = ("--device", "local", "--runtime", "tflite", "--plan", "20", "--dry-run", "--json")
        (told,) = json.loads(run(main, *asked, *words).out)["dry_run"]
        return int(told["upload_bytes"])

    assert upload() == 4 * upload("--dtype", "int8")
