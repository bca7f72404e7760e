"""The simulations of benchmarks/bench_statistics.py, to run here with fewer repetitions."""

from __future__ import annotations

from types import ModuleType

import pytest

from rigs.benchmarks import load_benchmark


@pytest.fixture(scope="session")
def bench() -> ModuleType:
    return load_benchmark("bench_statistics")
