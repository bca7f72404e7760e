"""Serial numbers in tables: keyed, so that nobody guesses them or links tables by them."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

import pytest

from compofa.common.errors import UserError
from compofa.profiler.comparison.sides import unalike
from compofa.profiler.results.journal import Header, Journal
from compofa.profiler.results.table import SetUp
from compofa.profiler.transports.device_identity import SERIAL, same_serial, with_keyed_serial

TOLD = hashlib.sha256(b"1A2B3C").hexdigest()[:16]
FACTS = {"cpu": "x", SERIAL: TOLD}
SETUP = SetUp("x", "onnxruntime", "1", "cpu", 1, "float32")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("COMPOFA_DEVICE_KEY", raising=False)
    monkeypatch.delenv("CI", raising=False)
    return tmp_path


def test_what_is_written_is_keyed_by_a_secret_that_only_the_user_has(home: Path) -> None:
    keyed = with_keyed_serial(FACTS)
    assert keyed["cpu"] == "x"
    assert len(keyed[SERIAL]) == 16
    # Whoever tries all serials finds none: neither the hash nor a hash of the hash is there.
    guesses = {TOLD, hashlib.sha256(TOLD.encode()).hexdigest()[:16]}
    assert keyed[SERIAL] not in guesses
    key = home / "config" / "compofa" / "device-key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert with_keyed_serial(FACTS) == keyed


def test_another_user_writes_another_one_unless_they_share_a_key(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = with_keyed_serial(FACTS)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "theirs"))
    assert with_keyed_serial(FACTS) != mine
    monkeypatch.setenv("COMPOFA_DEVICE_KEY", str(home / "config" / "compofa" / "device-key"))
    assert with_keyed_serial(FACTS) == mine


def test_without_a_key_there_is_no_serial(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    assert with_keyed_serial(FACTS) == {"cpu": "x"}
    monkeypatch.delenv("CI")
    (home / "config").write_text("a file where a folder should be")
    assert with_keyed_serial(FACTS) == {"cpu": "x"}


def test_a_table_from_before_serials_were_keyed_is_of_the_same_device() -> None:
    keyed = with_keyed_serial(FACTS)[SERIAL]
    assert same_serial(TOLD, keyed)
    assert not same_serial("0" * 16, keyed)
    assert unalike({SERIAL: TOLD}, {SERIAL: keyed}) == {}
    assert unalike({SERIAL: "0" * 16}, {SERIAL: keyed}) == {SERIAL: ("0" * 16, keyed)}
    assert unalike({SERIAL: None}, {SERIAL: keyed}) == {}


def test_a_journal_goes_on_on_its_own_device_only(tmp_path: Path) -> None:
    keyed = with_keyed_serial(FACTS)[SERIAL]
    path = tmp_path / "t.journal.jsonl"
    Journal.open(path, Header(SETUP, {SERIAL: TOLD})).close()
    Journal.open(path, Header(SETUP, {SERIAL: keyed})).close()
    Journal.open(path, Header(SETUP, {SERIAL: None})).close()
    other = with_keyed_serial({SERIAL: "0" * 16})[SERIAL]
    with pytest.raises(UserError, match="the journal is of another set-up: serial_sha256"):
        Journal.open(path, Header(SETUP, {SERIAL: other}))
