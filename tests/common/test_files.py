"""Files are replaced whole or not at all."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from compofa.common.errors import UserError
from compofa.common.files import read_bounded, sha256, write_atomically


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "table.csv"


@pytest.mark.parametrize(
    ("largest", "limit"),
    [(1_999, "1,999 bytes"), (1_000, "1 KB"), (2_000_000, "2 MB"), (2_500_000, "2500 KB")],
)
def test_a_file_is_read_up_to_a_bound(path: Path, largest: int, limit: str) -> None:
    path.write_bytes(bytes(largest))
    assert read_bounded(path, largest, "the table") == bytes(largest)
    path.write_bytes(bytes(largest + 1))
    with pytest.raises(UserError) as refused:
        read_bounded(path, largest, "the table")
    assert str(refused.value) == f"{path}: the table is larger than {limit}"


def test_a_file_that_cannot_be_read_is_an_error(path: Path) -> None:
    with pytest.raises(UserError, match="cannot read the table: no such file or directory"):
        read_bounded(path, 1, "the table")


def test_a_new_file_is_written(path: Path) -> None:
    write_atomically(path, "latency: 3 µs\n")
    assert path.read_bytes() == "latency: 3 µs\n".encode()


def test_an_old_file_is_replaced_and_keeps_its_permissions(path: Path) -> None:
    path.write_text("old")
    path.chmod(0o640)
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_new_file_gets_the_permissions_of_the_umask(path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomically(path, b"new")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_nothing_else_is_left_in_the_folder(path: Path) -> None:
    write_atomically(path, b"new")
    assert list(path.parent.iterdir()) == [path]


def test_a_full_disk_leaves_the_old_file_and_nothing_else(path: Path) -> None:
    path.write_text("old")
    program = (
        "import resource, pathlib, sys\n"
        "from compofa.common.files import write_atomically\n"
        "from compofa.common.console import run_command\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "run_command(lambda: write_atomically(pathlib.Path(sys.argv[1]), bytes(5000), 'the table'))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert ended.stderr == f"error: {path}: cannot write the table: file too large\n"
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_what_is_no_file_is_written_to_and_stays_what_it_is(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE)
    write_atomically(pipe, b"content")
    assert reader.communicate(timeout=10)[0] == b"content"
    assert pipe.is_fifo()


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="only Linux has this device")
def test_a_device_that_is_full_is_an_error() -> None:
    with pytest.raises(UserError, match="/dev/full: cannot write the file: no space left"):
        write_atomically(Path("/dev/full"), b"content")
    assert Path("/dev/full").is_char_device()


def test_a_link_stays_and_its_target_is_replaced(path: Path) -> None:
    path.write_text("old")
    link = path.with_name("link")
    link.symlink_to(path)
    write_atomically(link, b"new")
    assert link.is_symlink()
    assert path.read_bytes() == b"new"


def test_a_missing_folder_is_an_error(path: Path) -> None:
    with pytest.raises(UserError, match="cannot write the plot: no such file or directory"):
        write_atomically(path.parent / "no" / "x", b"", "the plot")


def test_a_folder_is_not_overwritten(path: Path) -> None:
    path.mkdir()
    with pytest.raises(UserError, match="cannot write the file: is a directory"):
        write_atomically(path, b"")


def test_digests_are_sha256() -> None:
    assert sha256(b"abc") == hashlib.sha256(b"abc").hexdigest()
