"""The Python of docs/search.md, run as it stands there."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from compofa.profiler.results.table import write_table
from rigs.tables import make_table

PAGE = Path(__file__).resolve().parents[2] / "docs" / "search.md"


def test_the_snippets_run_and_find_what_they_say(
    tmp_path: Path, reference: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    section = PAGE.read_text().partition("## From Python")[2].partition("\n## ")[0]
    snippets = [dedent(each) for each in re.findall(r"(?:^    .*\n|^\n)+", section, re.M)]
    write_table(tmp_path / "local.csv", make_table())
    (tmp_path / "note10_lut").symlink_to(reference / "note10_lut")
    shutil.copy(reference / "acc_predictor.pth", tmp_path)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec("\n".join(snippets), names)
    assert names["front"]
    fastest = [each.latency_ms for each in names["fastest"]]
    assert fastest == sorted(fastest)
    assert names["lightest"][0].latency_ms[0] <= 25
    (best,) = names["best"]
    assert best.space == "ofa-mbv3-w1.2"
    assert best.latency_ms[0] <= 20
    assert best.top1 > 0.8042
