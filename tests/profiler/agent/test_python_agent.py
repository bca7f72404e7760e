"""What is the Python agent's own: it runs on every Python, and makes the inputs."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from compofa.profiler.agent import AGENT
from compofa.profiler.agent.compofa_agent import random_input


def interpreters() -> list[str]:
    """Every CPython from 3.8 on that can be found on this machine."""
    found = []
    for minor in range(8, 14):
        candidates = [shutil.which(f"python3.{minor}")]
        pyenv = Path.home() / ".pyenv" / "versions"
        candidates += map(str, pyenv.glob(f"3.{minor}.*/bin/python3"))
        for path in filter(None, candidates):
            said = subprocess.run([path, "-c", "import sys; print(sys.version_info[1])"],
                                  capture_output=True, text=True)  # fmt: skip
            if said.stdout.strip() == str(minor):
                found.append(path)
                break
    return found


@pytest.mark.parametrize("python", interpreters())
def test_it_runs_on_every_python_that_is_here(python: str, tmp_path: Path) -> None:
    requests = [
        {"id": 1, "do": "hello", "threads": 1, "holder": "me"},
        {"id": 2, "do": "load", "model": "0" * 64, "runtime": "onnxruntime"},
        {"id": 3, "do": "quit"},
    ]
    lines = "".join(json.dumps(request) + "\n" for request in requests)
    agent = subprocess.run(
        [python, "-I", str(AGENT), str(tmp_path)], input=lines, capture_output=True, text=True
    )
    hello, load, last = map(json.loads, agent.stdout.splitlines())
    assert hello["ok"]["facts"]["system"] == "Linux"
    assert load["error"]["kind"] == "missing"
    assert last["ok"] == {}
    assert agent.returncode == 0


def test_random_input_is_uniform_reproducible_and_not_zero() -> None:
    data = random_input((2, 3, 64, 64), 1)
    assert data.dtype == np.float32
    assert abs(float(data.mean())) < 0.02
    assert abs(float(data.std()) - 1 / np.sqrt(3)) < 0.01
    assert float(data.min()) >= -1
    assert float(data.max()) < 1
    assert np.array_equal(data, random_input((2, 3, 64, 64), 1))
    assert not np.array_equal(data, random_input((2, 3, 64, 64), 0))


def test_random_input_is_the_hash_that_the_protocol_names() -> None:
    def number(i: int, seed: int) -> float:
        x = (i + (seed + 1) * 0x9E3779B9) % 2**32
        x = (x ^ x >> 16) * 0x85EBCA6B % 2**32
        x = (x ^ x >> 13) * 0xC2B2AE35 % 2**32
        x ^= x >> 16
        return (x >> 8) / 2**23 - 1

    data = random_input((5, 7), 3).ravel()
    assert data.tolist() == [number(i, 3) for i in range(35)]
