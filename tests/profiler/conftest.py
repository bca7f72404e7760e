"""A space of tiny networks, on which a whole profile takes seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

from compofa.supernet.space import Space, get_space

TINY_SPACE = """\
name: tiny
width: 0.25
classes: 10
resolutions: [32, 40]
"""


@pytest.fixture(scope="session")
def tiny_space_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("space") / "tiny.yaml"
    path.write_text(TINY_SPACE)
    return path


@pytest.fixture(scope="session")
def tiny_space(tiny_space_file: Path) -> Space:
    return get_space(str(tiny_space_file))
