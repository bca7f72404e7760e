"""A table with what lies beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rigs.profiles import profile_on_paper


@pytest.fixture(scope="session")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return profile_on_paper(tmp_path_factory.mktemp("paper") / "phone.csv")


@pytest.fixture
def phone(_made: Path, tmp_path: Path) -> Path:
    """A table with meta file and journal of its own."""
    for path in _made.parent.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path / _made.name


@pytest.fixture
def change_meta(phone: Path) -> Callable[[dict[str, object]], None]:
    """Overwrites parts of the phone's meta file."""
    path = phone.with_suffix(".meta.json")

    def change(changes: dict[str, object]) -> None:
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return change
