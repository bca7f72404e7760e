"""Scratch folders: private, gone when closed, and swept up after a process that was killed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from compofa.common.scratch import PREFIX, SETTLED_S, Scratch

HOLD = """
from compofa.common.scratch import Scratch
print(Scratch().path, flush=True)
input()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def holder() -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A process that has a folder, and the folder."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process, Path(process.stdout.readline().strip())
        process.kill()


def age(folder: Path, seconds: float) -> None:
    moment = folder.stat().st_mtime - seconds
    os.utime(folder, (moment, moment))


def test_a_folder_is_private_and_goes_with_all_that_is_in_it() -> None:
    with Scratch() as scratch:
        assert scratch.path.stat().st_mode & 0o777 == 0o700
        (scratch.path / "model").write_bytes(b"model")
    assert not scratch.path.exists()
    scratch.close()


def test_what_a_killed_process_left_goes_when_the_next_begins(
    holder: tuple[subprocess.Popen[str], Path],
) -> None:
    process, left = holder
    (left / "model").write_bytes(b"model")
    age(left, 2 * SETTLED_S)
    with Scratch():
        assert left.exists(), "it is in use"
    process.kill()
    process.wait()
    with Scratch() as scratch:
        assert not left.exists()
        assert scratch.path.exists()


def test_a_folder_that_is_just_being_made_is_left_alone(temporary: Path) -> None:
    young = temporary / f"{PREFIX}young"
    young.mkdir()
    with Scratch():
        assert young.exists()
    age(young, 2 * SETTLED_S)
    with Scratch():
        assert not young.exists()


def test_a_link_is_not_followed(temporary: Path) -> None:
    mine = temporary / "mine"
    mine.mkdir()
    age(mine, 2 * SETTLED_S)
    (temporary / f"{PREFIX}link").symlink_to(mine)
    with Scratch():
        assert mine.exists()
