"""The agent as a program: what it answers, and that it never outlives its host."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compofa.profiler.agent.compofa_agent import random_input
from compofa.profiler.models import Model, ModelStore
from compofa.profiler.table import Cell
from compofa.profiler.transports.local import AGENT
from compofa.supernet.space import Space


class Agent:
    """An agent process, spoken to line by line."""

    def __init__(self, folder: Path, python: str = sys.executable) -> None:
        self.process = subprocess.Popen(
            [python, "-I", str(AGENT), str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.asked = 0

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe
            pipe.close()

    def send(self, line: bytes) -> dict[str, Any]:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(line)
        self.process.stdin.flush()
        reply = json.loads(self.process.stdout.readline())
        assert isinstance(reply, dict)
        return reply

    def ask(self, do: str, **fields: Any) -> dict[str, Any]:
        self.asked += 1
        reply = self.send(json.dumps({"id": self.asked, "do": do, **fields}).encode() + b"\n")
        assert reply["id"] == self.asked
        return reply

    def ok(self, do: str, **fields: Any) -> dict[str, Any]:
        reply = self.ask(do, **fields)
        assert "ok" in reply, reply
        ok = reply["ok"]
        assert isinstance(ok, dict)
        return ok

    def error(self, do: str, **fields: Any) -> str:
        reply = self.ask(do, **fields)
        return str(reply["error"]["kind"])


@pytest.fixture(scope="module")
def model(tiny_space: Space) -> Iterator[Model]:
    with ModelStore([tiny_space]) as store:
        yield store.model(Cell("tiny", "d22222", 32, 2))


@pytest.fixture
def agent(model: Model) -> Iterator[Agent]:
    started = Agent(model.path.parent)
    yield started
    started.end()


def test_hello_says_what_the_device_is(agent: Agent) -> None:
    hello = agent.ok("hello", threads=1)
    assert hello["pid"] == agent.process.pid
    assert hello["runtimes"]["onnxruntime"]["version"] == metadata.version("onnxruntime")
    assert len(hello["runtimes"]["onnxruntime"]["sha256"]) == 64
    assert hello["facts"]["cpus"] == os.cpu_count()
    assert hello["state"]["load_1m"] >= 0


def test_affinity_is_what_was_asked_for(agent: Agent) -> None:
    wanted = min(os.sched_getaffinity(0))
    assert agent.ok("hello", threads=1, cpus=[wanted])["affinity"] == [wanted]
    status = Path(f"/proc/{agent.process.pid}/status").read_text()
    assert f"Cpus_allowed_list:\t{wanted}\n" in status


def test_affinity_left_open_takes_one_cpu_per_thread(agent: Agent) -> None:
    threads = min(2, len(os.sched_getaffinity(0)))
    assert len(agent.ok("hello", threads=threads)["affinity"]) == threads


def test_cpus_that_do_not_exist_are_refused(agent: Agent) -> None:
    assert agent.error("hello", threads=1, cpus=[9999]) == "setting"


def test_threads_are_those_of_the_runtime(model: Model) -> None:
    def os_threads(threads: int) -> int:
        one = Agent(model.path.parent)
        try:
            one.ok("hello", threads=threads, cpus=sorted(os.sched_getaffinity(0)))
            one.ok("load", model=model.sha256, runtime="onnxruntime")
            return len(list(Path(f"/proc/{one.process.pid}/task").iterdir()))
        finally:
            one.end()

    assert os_threads(3) - os_threads(1) == 2


def test_load_computes_what_the_host_computes(agent: Agent, model: Model) -> None:
    agent.ok("hello", threads=1)
    loaded = agent.ok("load", model=model.sha256, runtime="onnxruntime")
    assert loaded["input"] == [2, 3, 32, 32]
    assert model.deviation(loaded["output"], loaded["output_size"]) < 1e-5


def test_run_returns_one_time_per_run(agent: Agent, model: Model) -> None:
    agent.ok("hello", threads=1)
    handle = agent.ok("load", model=model.sha256, runtime="onnxruntime")["model"]
    begun = time.perf_counter_ns()
    ran = agent.ok("run", model=handle, runs=7, seed=1)
    taken = time.perf_counter_ns() - begun
    assert len(ran["ns"]) == 7
    assert all(ns > 0 for ns in ran["ns"])
    assert sum(ran["ns"]) < taken
    assert "monotonic_s" in ran["state"]


def test_unloaded_models_cannot_run(agent: Agent, model: Model) -> None:
    agent.ok("hello", threads=1)
    handle = agent.ok("load", model=model.sha256, runtime="onnxruntime")["model"]
    agent.ok("unload", model=handle)
    assert agent.error("run", model=handle, runs=1) == "request"
    assert agent.error("unload", model=handle) == "request"


def test_a_model_that_is_not_there_or_damaged_is_missing(
    agent: Agent, model: Model, tmp_path: Path
) -> None:
    assert agent.error("load", model="0" * 64, runtime="onnxruntime") == "missing"
    assert agent.error("load", model="../../etc/passwd", runtime="onnxruntime") == "request"
    (tmp_path / model.sha256).write_bytes(model.path.read_bytes()[:-1])
    other = Agent(tmp_path)
    assert other.error("load", model=model.sha256, runtime="onnxruntime") == "missing"
    other.end()


def test_an_unknown_runtime_is_refused(agent: Agent, model: Model) -> None:
    assert agent.error("load", model=model.sha256, runtime="abacus") == "runtime"


@pytest.mark.parametrize(
    "line",
    [b"\n", b"not json\n", b"[]\n", b"3\n", b'{"do": "state"}\n', b'{"id": 1, "do": "shell"}\n',
     b'{"id": 1, "do": "__init__"}\n', b'{"id": 1, "do": "run"}\n', b"\xff\xfe\n",
     b'{"id": 1, "do": "run", "model": [], "runs": "x"}\n'],
)  # fmt: skip
def test_nonsense_is_answered_and_survived(agent: Agent, line: bytes) -> None:
    assert agent.send(line)["error"]["kind"] == "request"
    assert agent.ok("state")["state"]


def test_a_line_without_end_is_cut_off(agent: Agent) -> None:
    assert agent.send(b"x" * (1 << 20))["error"]["kind"] == "request"
    assert agent.process.wait(5) == 0


def test_it_ends_when_stdin_closes(agent: Agent) -> None:
    agent.ok("hello", threads=1)
    assert agent.process.stdin
    agent.process.stdin.close()
    assert agent.process.wait(5) == 0


def test_it_ends_when_nothing_is_asked(agent: Agent) -> None:
    agent.ok("hello", threads=1, idle_s=0.2)
    assert agent.process.wait(5) == -signal.SIGALRM


def test_it_ends_when_a_request_takes_too_long(agent: Agent, model: Model) -> None:
    agent.ok("hello", threads=1)
    handle = agent.ok("load", model=model.sha256, runtime="onnxruntime")["model"]
    request = {"id": 9, "do": "run", "model": handle, "runs": 100_000, "deadline_s": 0.3}
    assert agent.process.stdin
    agent.process.stdin.write(json.dumps(request).encode() + b"\n")
    agent.process.stdin.flush()
    assert agent.process.wait(5) == -signal.SIGALRM


def test_quit_ends_it(agent: Agent) -> None:
    agent.ok("quit")
    assert agent.process.wait(5) == 0


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
    agent = Agent(tmp_path, python)
    assert agent.ok("hello", threads=1)["facts"]["system"] == "Linux"
    assert agent.error("load", model="0" * 64, runtime="onnxruntime") == "missing"
    agent.ok("quit")
    assert agent.process.wait(5) == 0
    agent.end()


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
