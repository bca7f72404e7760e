"""compofa-profile selftest, on a device whose noise is known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from compofa.profiler.commands import main
from rigs.disturbances import two_speeds
from rigs.virtual_device import Noise, VirtualDevice, run_command_on


@pytest.mark.parametrize(
    ("options", "cells", "sessions"), [((), 8, 16), (("--cells", 3, "--sessions", 5), 3, 5)]
)
def test_it_measures_as_many_cells_and_sessions_as_it_says(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tiny_space_file: Path,
    options: tuple[object, ...],
    cells: int,
    sessions: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("devices.yaml").write_text("here: {transport: local}\n")
    words = ("selftest", "--device", "here", "--space", tiny_space_file, *options)
    # Sessions differ so much that no number of them reaches a target.
    device = VirtualDevice(lambda cell: 0.5, Noise(session=0.2))
    said = json.loads(run_command_on(device, main, *words, "--json").out)
    assert (said["cells"], said["sessions"], said["comparisons"]) == (cells, sessions, 200)
    text = run_command_on(device, main, *words).out
    assert text.startswith(f"here: {cells} cells in {sessions} sessions\n")


def test_no_change_is_promised_of_a_device_whose_sessions_run_at_two_speeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_space_file: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("devices.yaml").write_text("here: {transport: local}\n")
    words = ("selftest", "--device", "here", "--space", tiny_space_file)
    device = VirtualDevice(lambda cell: 0.5, Noise(session=0.005), [two_speeds(0.1)])
    said = json.loads(run_command_on(device, main, *words, "--json").out)
    assert said["smallest_change"] is None
    assert [each["of"] for each in said["speeds"]] == ["sessions"]
    text = run_command_on(device, main, *words).out
    assert "two speeds: " in text
    assert "depends on the speed that each of them meets" in text
