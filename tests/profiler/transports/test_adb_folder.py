"""The cache on a phone: private, bounded, and never holding what its names do not say."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest

from compofa.common.errors import DeviceError
from compofa.common.files import sha256
from compofa.profiler.transports.adb.cache_folder import AdbFolder
from compofa.profiler.transports.adb.phone import Phone
from rigs.adbd import AdbPeer


@pytest.fixture
def folder(adb_peer: AdbPeer, adb_phone: Phone) -> AdbFolder:
    found = AdbFolder(adb_phone, str(adb_peer.folder))
    found.prepare()
    return found


def stored(tmp_path: Path, content: bytes) -> tuple[Path, str]:
    path = tmp_path / f"file{content[:3].hex()}"
    path.write_bytes(content)
    return path, sha256(content)


def test_folder_and_files_are_private(adb_peer: AdbPeer, folder: AdbFolder, tmp_path: Path) -> None:
    file, digest = stored(tmp_path, b"model")
    assert folder.put(file, digest) == f"{adb_peer.folder}/{digest}"
    assert adb_peer.folder.stat().st_mode & 0o777 == 0o700
    assert (adb_peer.folder / digest).stat().st_mode & 0o777 == 0o600
    assert (adb_peer.folder / digest).read_bytes() == b"model"


def test_a_file_is_sent_once_whoever_asks(
    adb_peer: AdbPeer, folder: AdbFolder, tmp_path: Path
) -> None:
    file, digest = stored(tmp_path, b"model")
    folder.put(file, digest)
    before = (adb_peer.folder / digest).stat().st_ino
    file.unlink()
    folder.put(file, digest)
    AdbFolder(folder.phone, folder.path).put(file, digest)
    assert (adb_peer.folder / digest).stat().st_ino == before


def test_a_file_that_was_damaged_on_the_phone_is_sent_again(
    adb_peer: AdbPeer, folder: AdbFolder, tmp_path: Path
) -> None:
    file, digest = stored(tmp_path, b"model")
    (adb_peer.folder / digest).write_bytes(b"modem")
    folder.put(file, digest)
    assert (adb_peer.folder / digest).read_bytes() == b"model"


def test_a_file_that_is_not_what_its_name_says_is_refused(
    adb_peer: AdbPeer, folder: AdbFolder, tmp_path: Path
) -> None:
    file, _ = stored(tmp_path, b"model")
    with pytest.raises(DeviceError, match="arrived damaged"):
        folder.put(file, hashlib.sha256(b"another").hexdigest())
    assert adb_peer.files() == set()


@pytest.mark.parametrize("lacking", [("sha256sum",), ("sha256sum", "sha1sum")])
def test_a_phone_without_sha256sum_still_tells_damage(
    adb_peer: AdbPeer, adb_phone: Phone, tmp_path: Path, lacking: tuple[str, ...]
) -> None:
    for name in lacking:
        adb_peer.adbd.tool(name, "exit 127")
    folder = AdbFolder(adb_phone, str(adb_peer.folder))
    folder.prepare()
    file, digest = stored(tmp_path, b"model")
    folder.put(file, digest)
    (adb_peer.folder / digest).write_bytes(b"modem")
    AdbFolder(adb_phone, str(adb_peer.folder)).put(file, digest)
    assert (adb_peer.folder / digest).read_bytes() == b"model"


def test_a_phone_that_cannot_tell_damage_is_named(
    adb_peer: AdbPeer, adb_phone: Phone, tmp_path: Path
) -> None:
    for name in ("sha256sum", "sha1sum", "md5sum"):
        adb_peer.adbd.tool(name, "exit 127")
    folder = AdbFolder(adb_phone, str(adb_peer.folder))
    folder.prepare()
    with pytest.raises(DeviceError, match="has none of the programs sha256sum, sha1sum, md5sum"):
        folder.put(*stored(tmp_path, b"model"))


def test_a_phone_whose_find_is_too_old_can_be_used(
    adb_peer: AdbPeer, adb_phone: Phone, tmp_path: Path
) -> None:
    adb_peer.adbd.tool("find", "echo 'find: Unknown option mmin' >&2; exit 1")
    folder = AdbFolder(adb_phone, str(adb_peer.folder))
    folder.prepare()
    assert folder.put(*stored(tmp_path, b"model"))


def test_files_used_longest_ago_make_room(
    adb_peer: AdbPeer, adb_phone: Phone, folder: AdbFolder, tmp_path: Path
) -> None:
    digests = []
    for age, letter in ((30, b"a"), (20, b"b"), (10, b"c")):
        file, digest = stored(tmp_path, letter * 1000)
        digests.append(digest)
        folder.put(file, digest)
        used = time.time() - age
        os.utime(adb_peer.folder / digest, (used, used))
    (adb_peer.folder / "lock").write_text("me")
    later = AdbFolder(adb_phone, folder.path, capacity=3500)
    later.put(*stored(tmp_path, b"a" * 1000))  # used again: now the youngest
    later.put(*stored(tmp_path, b"d" * 1000))
    assert digests[0] in adb_peer.files()
    assert digests[1] not in adb_peer.files()
    assert "lock" in adb_peer.files()


def test_what_interrupted_uploads_left_is_cleared(adb_peer: AdbPeer, folder: AdbFolder) -> None:
    for name, age in (("old.part", 3600), ("fresh.part", 0), ("model", 3600)):
        path = adb_peer.folder / name
        path.touch()
        os.utime(path, (time.time() - age, time.time() - age))
    folder.prepare()
    assert adb_peer.files() == {"fresh.part", "model"}


def test_a_folder_that_is_a_link_to_elsewhere_is_refused(
    adb_peer: AdbPeer, adb_phone: Phone, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(DeviceError, match="cannot use the folder.*name another with `folder`"):
        AdbFolder(adb_phone, str(tmp_path / "link")).prepare()
