"""What the meta file says of drift, and how it is laid out."""

from __future__ import annotations

from pathlib import Path

import pytest

from compofa.profiler import read_meta
from rigs.profiles import profile_on_paper


def test_the_drift_is_how_much_slower_the_device_was_at_its_slowest(tmp_path: Path) -> None:
    """The last third of the last session is throttled by 30 %."""
    profile_on_paper(tmp_path / "a.csv", predicted=False)
    assert read_meta(tmp_path / "a.meta.json").drift == pytest.approx(0.3, abs=0.05)


def test_a_meta_file_has_a_line_for_each_fact(tmp_path: Path) -> None:
    """People read it, and version control shows which facts changed."""
    profile_on_paper(tmp_path / "a.csv", predicted=False)
    lines = (tmp_path / "a.meta.json").read_text().splitlines()
    assert (lines[0], lines[-1]) == ("{", "}")
    assert all(line.startswith(" ") for line in lines[1:-1])
