"""Journals that come back from another host: nothing is lost, nothing comes twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compofa.common.errors import UserError
from compofa.profiler.fleet.remote_journal import JournalCopy, JournalTail

LINES = st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b"")), max_size=20)


@given(lines=LINES, cuts=st.lists(st.integers(0, 400), max_size=10))
def test_a_tail_hands_over_each_whole_line_once(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], cuts: list[int]
) -> None:
    path = tmp_path_factory.mktemp("tail") / "x.journal.jsonl"
    path.write_bytes(b"what was there before\n")
    tail = JournalTail(path)
    content = b"".join(line + b"\n" for line in lines)
    gained = b""
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(content)], strict=True):
        with path.open("ab") as file:
            file.write(content[start:end])
        part = tail.gained()
        assert not part or part.endswith(b"\n")
        gained += part
    assert gained == content


def test_a_copy_goes_on_from_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "x.journal.jsonl"
    path.write_bytes(b"one\ntorn by a cra")
    with JournalCopy(path) as copy:
        assert copy.content == b"one\n"
        copy.append(b"two\n")
        assert copy.content == b"one\ntwo\n"
    assert path.read_bytes() == b"one\ntwo\n"


def test_a_fresh_copy_discards_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "x.journal.jsonl"
    path.write_bytes(b"one\n")
    with JournalCopy(path, fresh=True) as copy:
        assert copy.content == b""


def test_a_journal_has_one_writer(tmp_path: Path) -> None:
    path = tmp_path / "x.journal.jsonl"
    with (
        JournalCopy(path),
        pytest.raises(UserError, match="another compofa-profile is writing this journal"),
    ):
        JournalCopy(path, fresh=True)


def test_a_journal_that_cannot_be_kept_is_the_user_s_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot write the journal: no such file"):
        JournalCopy(tmp_path / "none" / "x.journal.jsonl")
