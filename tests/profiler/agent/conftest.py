"""The native agent, built once, and the model that agents are tried with."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from pathlib import Path

import onnxruntime
import pytest

from compofa.profiler.agent.native.build_agent import build
from compofa.profiler.models.model_store import ModelFile, ModelStore
from compofa.profiler.results.table import Cell
from compofa.supernet.space import Space
from compofa.supernet.spaces import get_space


@pytest.fixture(scope="session", autouse=True)
def _compiler_cache() -> Iterator[None]:
    """Where the compiler keeps what it makes once for each kind of device: seconds of work."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZIG_GLOBAL_CACHE_DIR", str(Path.home() / ".cache" / "zig"))
        yield


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The native agent for this machine."""
    pytest.importorskip("ziglang", reason="no compiler for the native agent: ziglang is missing")
    return build(f"{platform.machine()}-linux", tmp_path_factory.mktemp("native"))


@pytest.fixture(scope="session")
def library() -> Path:
    """ONNX Runtime as a library with a C interface; it comes with the Python package."""
    (found,) = Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so.*")
    return found


@pytest.fixture(scope="session")
def store(tiny_space: Space) -> Iterator[ModelStore]:
    with ModelStore([tiny_space]) as opened:
        yield opened


@pytest.fixture(scope="session")
def model(store: ModelStore) -> ModelFile:
    return store.model(Cell("tiny", "d22222", 32, 2))


@pytest.fixture(scope="session")
def larger(store: ModelStore) -> ModelFile:
    """In the folder of `model`; a run takes many times as long."""
    return store.model(Cell("tiny", "d22222", 96, 4))


@pytest.fixture(scope="session")
def large_model() -> Iterator[ModelFile]:
    """A model of many megabytes of weights."""
    with ModelStore([get_space("compofa")]) as store:
        yield store.model(Cell("compofa", "d44444", 160, 1))
