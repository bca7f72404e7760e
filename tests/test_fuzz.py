"""A minute of `make fuzz`: nothing that files, options or devices say ends in a traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).with_name("fuzz.py")


@pytest.mark.timeout(600)
def test_damaged_inputs_end_as_documented() -> None:
    """The same inputs each time; `make fuzz` takes new ones."""
    command = [sys.executable, str(FUZZ), "--seconds", "60", "--seed", "tests"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
