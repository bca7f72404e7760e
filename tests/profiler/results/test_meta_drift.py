"""What the meta file says of drift."""

from __future__ import annotations

from pathlib import Path

import pytest

from compofa.profiler import read_meta
from rigs.profiles import profile_on_paper


def test_the_drift_is_how_much_slower_the_device_was_at_its_slowest(tmp_path: Path) -> None:
    """The last third of the last session is throttled by 30 %."""
    profile_on_paper(tmp_path / "a.csv", predicted=False)
    assert read_meta(tmp_path / "a.meta.json").drift == pytest.approx(0.3, abs=0.05)
