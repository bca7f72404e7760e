"""What any agent answers, and that it never outlives its host: one suite for all agents."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compofa.common.files import sha256
from compofa.profiler.agent import AGENT
from compofa.profiler.models.model_store import ModelFile

LONGEST_LINE = 1 << 20


class Agent:
    """An agent process, spoken to line by line."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdin
        assert self.process.stdout
        self.stdin, self.stdout = self.process.stdin, self.process.stdout
        self.asked = 0

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.stdin.close()
        self.stdout.close()

    def write(self, data: bytes) -> None:
        self.stdin.write(data)
        self.stdin.flush()

    def read(self) -> dict[str, Any]:
        reply = json.loads(self.stdout.readline())
        assert isinstance(reply, dict)
        return reply

    def send(self, line: bytes) -> dict[str, Any]:
        self.write(line)
        return self.read()

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
        return str(self.ask(do, **fields)["error"]["kind"])

    def load(self, model: ModelFile) -> int:
        return int(self.ok("load", model=model.sha256, runtime="onnxruntime")["model"])


Start = Callable[[str, Path], Agent]
KINDS = ("python", "native")


@pytest.fixture(scope="module")
def start(built: Path, library: Path) -> Iterator[Start]:
    """Starts an agent of one kind on a folder; all of them end with the test module."""
    started: list[Agent] = []

    def begin(kind: str, folder: Path) -> Agent:
        if kind == "python":
            command = [sys.executable, "-I", str(AGENT), str(folder)]
        else:
            command = [str(built), str(folder), str(library)]
        started.append(Agent(command))
        return started[-1]

    yield begin
    for agent in started:
        agent.end()


@pytest.fixture(params=KINDS, scope="module")
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def agent(kind: str, start: Start, model: ModelFile) -> Agent:
    return start(kind, model.path.parent)


@pytest.fixture(scope="module")
def lasting(kind: str, start: Start, model: ModelFile) -> Agent:
    """One agent for many harmless requests."""
    return start(kind, model.path.parent)


def test_hello_says_what_the_device_is(agent: Agent) -> None:
    hello = agent.ok("hello", threads=1)
    assert hello["version"] == 1
    assert hello["pid"] == agent.process.pid
    assert hello["runtimes"]["onnxruntime"]["version"] == metadata.version("onnxruntime")
    assert len(hello["runtimes"]["onnxruntime"]["sha256"]) == 64
    assert hello["facts"]["cpus"] == os.cpu_count()
    assert hello["state"]["load_1m"] >= 0


def test_the_runtime_leaves_nothing_elsewhere(
    kind: str, start: Start, model: ModelFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    agent = start(kind, model.path.parent)
    agent.ok("run", model=agent.load(model), runs=1, seed=0)
    agent.ok("quit")
    agent.process.wait(10)
    assert list(tmp_path.rglob("*")) == []


def test_agents_of_all_kinds_say_the_same_of_a_device(start: Start, tmp_path: Path) -> None:
    python, native = (start(kind, tmp_path).ok("hello", threads=1) for kind in KINDS)
    assert native["facts"] == {name: python["facts"][name] for name in native["facts"]}
    assert set(python["facts"]) - set(native["facts"]) == {"python", "gpu"}
    assert set(python["state"]) - set(native["state"]) <= {"gpu"}
    for name in ("monotonic_s", "cpu_ticks", "steal_ticks"):
        assert native["state"][name] == pytest.approx(python["state"][name], rel=0.01)


def test_affinity_is_what_was_asked_for(agent: Agent) -> None:
    wanted = min(os.sched_getaffinity(0))
    assert agent.ok("hello", threads=1, cpus=[wanted])["affinity"] == [wanted]
    status = Path(f"/proc/{agent.process.pid}/status").read_text()
    assert f"Cpus_allowed_list:\t{wanted}\n" in status


@pytest.mark.parametrize("cpus", [{}, {"cpus": None}])
def test_affinity_left_open_takes_the_last_cpus(agent: Agent, cpus: dict[str, None]) -> None:
    allowed = sorted(os.sched_getaffinity(0))
    assert agent.ok("hello", threads=1, **cpus)["affinity"] == allowed[-1:]


def test_no_more_cpus_are_taken_than_there_are(agent: Agent) -> None:
    allowed = sorted(os.sched_getaffinity(0))
    assert agent.ok("hello", threads=1000)["affinity"] == allowed


@pytest.mark.parametrize("cpus", [[9999], [-1], []])
def test_cpus_that_do_not_exist_are_refused(agent: Agent, cpus: list[int]) -> None:
    assert agent.error("hello", threads=1, cpus=cpus) == "setting"
    assert agent.ok("state")


def test_threads_are_those_of_the_runtime(kind: str, start: Start, model: ModelFile) -> None:
    def os_threads(threads: int) -> int:
        one = start(kind, model.path.parent)
        one.ok("hello", threads=threads, cpus=sorted(os.sched_getaffinity(0)))
        one.load(model)
        return len(list(Path(f"/proc/{one.process.pid}/task").iterdir()))

    assert os_threads(3) - os_threads(1) == 2


@pytest.mark.parametrize("second", KINDS)
def test_a_device_has_one_holder(kind: str, second: str, start: Start, tmp_path: Path) -> None:
    first, other = start(kind, tmp_path), start(second, tmp_path)
    first.ok("hello", threads=1, holder="ada@lab pid 7 ü")
    reply = other.ask("hello", threads=1, holder="bob@lab pid 8")
    assert reply["error"]["kind"] == "busy"
    assert reply["error"]["message"].startswith("in use by ada@lab pid 7 ü since 20")
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600
    first.process.kill()
    first.process.wait()
    assert other.ok("hello", threads=1, holder="bob@lab pid 8")
    assert start(kind, tmp_path).error("hello", threads=1, holder="eve") == "busy"


def test_agents_without_a_holder_do_not_lock(kind: str, start: Start, tmp_path: Path) -> None:
    start(kind, tmp_path).ok("hello", threads=1)
    assert start(kind, tmp_path).ok("hello", threads=1, holder=None)
    assert not (tmp_path / "lock").exists()


def test_load_computes_what_the_host_computes(agent: Agent, model: ModelFile) -> None:
    agent.ok("hello", threads=1)
    loaded = agent.ok("load", model=model.sha256, runtime="onnxruntime", options={})
    assert loaded["input"] == [2, 3, 32, 32]
    assert loaded["version"] == metadata.version("onnxruntime")
    assert 0 < loaded["load_ns"] < 60e9
    assert 0 < loaded["first_ns"] < 60e9
    assert model.deviation(loaded["output"], loaded["output_size"]) < 1e-5


def test_run_returns_one_time_per_run(agent: Agent, model: ModelFile) -> None:
    agent.ok("hello", threads=1)
    handle = agent.load(model)
    begun = time.perf_counter_ns()
    ran = agent.ok("run", model=handle, runs=7, seed=1)
    taken = time.perf_counter_ns() - begun
    assert len(ran["ns"]) == 7
    assert all(ns > 0 for ns in ran["ns"])
    assert sum(ran["ns"]) < taken
    assert "monotonic_s" in ran["state"]


@pytest.mark.parametrize("runs", [0, -1, 100_001, 10**30])
def test_runs_are_limited(agent: Agent, model: ModelFile, runs: int) -> None:
    assert agent.error("run", model=agent.load(model), runs=runs) == "request"


def test_models_run_in_turns(agent: Agent, model: ModelFile) -> None:
    agent.ok("hello", threads=1)
    handles = [agent.load(model) for _ in range(3)]
    begun = time.perf_counter_ns()
    ran = agent.ok("turns", models=handles, turns=7, seed=1, order=5)
    taken = time.perf_counter_ns() - begun
    assert [len(row) for row in ran["ns"]] == [7, 7, 7]
    assert all(ns > 0 for row in ran["ns"] for ns in row)
    assert sum(map(sum, ran["ns"])) < taken
    assert "monotonic_s" in ran["state"]


def test_times_of_turns_are_those_of_their_models(
    agent: Agent, model: ModelFile, larger: ModelFile
) -> None:
    agent.ok("hello", threads=1)
    handles = [agent.load(larger), agent.load(model)]
    for order in range(3):
        slow, fast = agent.ok("turns", models=handles, turns=30, order=order)["ns"]
        assert min(slow) > 3 * min(fast)


@pytest.mark.parametrize(
    "fields", [
        {"turns": 0}, {"turns": 50_001}, {"turns": 10**30}, {"models": []}, {"models": 3},
        {"models": [1]}, {"models": [1, 99]}, {"models": [1, "x"]}, {"models": [1] * 65},
        {"models": None}, {"order": []}, {"turns": None},
    ],
)  # fmt: skip
def test_turns_that_cannot_be_are_refused(
    agent: Agent, model: ModelFile, fields: dict[str, Any]
) -> None:
    assert agent.load(model) == 1
    assert agent.error("turns", **{"models": [1, 1], "turns": 1, **fields}) == "request"
    assert agent.ok("turns", models=[1, 1], turns=1)["ns"]


def test_a_model_may_be_loaded_elsewhere_in_memory(agent: Agent, model: ModelFile) -> None:
    request = {"model": model.sha256, "runtime": "onnxruntime"}
    assert agent.ok("load", padding=12_345, **request)["model"]
    assert agent.error("load", padding=-1, **request) == "request"
    assert agent.error("load", padding=1 << 30, **request) == "request"


def test_several_models_are_kept_apart(agent: Agent, model: ModelFile) -> None:
    first, second = agent.load(model), agent.load(model)
    assert first != second
    agent.ok("unload", model=first)
    assert agent.error("run", model=first, runs=1) == "request"
    assert agent.ok("run", model=second, runs=1)["ns"]
    assert agent.error("unload", model=first) == "request"


def test_unloading_gives_memory_back(agent: Agent, model: ModelFile) -> None:
    def resident_kb() -> int:
        status = Path(f"/proc/{agent.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])

    def rounds(count: int) -> int:
        for _ in range(count):
            handle = agent.load(model)
            agent.ok("run", model=handle, runs=1, seed=2)
            agent.ok("unload", model=handle)
        return resident_kb()

    before = rounds(10)
    kept = 30 * model.path.stat().st_size // 1024
    assert rounds(30) - before < kept / 2


def test_memory_is_what_the_kernel_counts_while_the_model_is_loaded_and_run(
    kind: str, start: Start, large_model: ModelFile
) -> None:
    agent = start(kind, large_model.path.parent)
    agent.ok("hello", threads=1)
    request = {"model": large_model.sha256, "runtime": "onnxruntime", "options": {}}
    told = agent.ok("memory", runs=2, **request)
    added_kb = told["peak_kb"] - told["base_kb"]
    # The weights at the least; some of what the file takes is read, checked and let go of.
    weights_kb = large_model.path.stat().st_size / 1024
    assert weights_kb < added_kb < 8 * weights_kb + 20_000
    status = Path(f"/proc/{agent.process.pid}/status").read_text()
    assert int(status.split("VmHWM:")[1].split()[0]) == pytest.approx(told["peak_kb"], rel=0.02)
    assert agent.error("run", model=1, runs=1) == "request"


@pytest.mark.parametrize("runs", [0, -1, 100_001, "x"])
def test_memory_takes_a_number_of_runs(agent: Agent, model: ModelFile, runs: Any) -> None:
    request = {"model": model.sha256, "runtime": "onnxruntime", "runs": runs}
    assert agent.error("memory", **request) == "request"
    assert agent.error("memory", model="0" * 64, runtime="onnxruntime", runs=1) == "missing"


def test_a_model_that_is_not_there_or_damaged_is_missing(
    agent: Agent, kind: str, start: Start, model: ModelFile, tmp_path: Path
) -> None:
    assert agent.error("load", model="0" * 64, runtime="onnxruntime") == "missing"
    assert agent.error("load", model="../../etc/passwd", runtime="onnxruntime") == "request"
    (tmp_path / model.sha256).write_bytes(model.path.read_bytes()[:-1])
    other = start(kind, tmp_path)
    assert other.error("load", model=model.sha256, runtime="onnxruntime") == "missing"


@given(content=st.binary(max_size=300))
@settings(max_examples=40, deadline=None)
def test_files_are_hashed_right(lasting: Agent, model: ModelFile, content: bytes) -> None:
    file = model.path.with_name(sha256(content))
    file.write_bytes(content)
    try:
        # It is no model, but it is what its name says.
        assert lasting.error("load", model=file.name, runtime="onnxruntime") == "model"
    finally:
        file.unlink()


def with_free_batch(content: bytes) -> bytes:
    network = onnx.load_model_from_string(content)
    network.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    changed: bytes = network.SerializeToString()
    return changed


@pytest.mark.parametrize("spoil", [lambda _: b"no model", lambda _: b"", with_free_batch])
def test_a_file_that_is_no_model_is_refused(
    kind: str, start: Start, model: ModelFile, tmp_path: Path, spoil: Callable[[bytes], bytes]
) -> None:
    content = spoil(model.path.read_bytes())
    (tmp_path / sha256(content)).write_bytes(content)
    agent = start(kind, tmp_path)
    reply = agent.ask("load", model=sha256(content), runtime="onnxruntime")
    assert reply["error"]["kind"] == "model"
    assert len(reply["error"]["message"]) > 20
    assert agent.error("run", model=1, runs=1) == "request"


def test_an_unknown_runtime_or_accelerator_is_refused(agent: Agent, model: ModelFile) -> None:
    assert agent.error("load", model=model.sha256, runtime="abacus") == "runtime"
    options = {"accelerator": "abacus"}
    request = {"model": model.sha256, "runtime": "onnxruntime", "options": options}
    assert agent.error("load", **request) == "setting"


@pytest.mark.parametrize(
    "line",
    [b"\n", b"not json\n", b"[]\n", b"3\n", b'{"do": "state"}\n', b'{"id": 1, "do": "shell"}\n',
     b'{"id": 1, "do": "__init__"}\n', b'{"id": 1, "do": "run"}\n', b"\xff\xfe\n",
     b'{"id": 1, "do": "run", "model": [], "runs": "x"}\n', b'{"id": 1} {"id": 2}\n',
     b'{"id": 1, "do": "state",}\n', b'{"id": 1, "do": "state"\n', b'{"id": 01, "do": "state"}\n',
     b'{"id": "\x01", "do": "state"}\n', b'{"id": "\\x", "do": "state"}\n', b'"\\ud800\n',
     b'{"id": 1, "do": "state\x00"}\n', b'{"id": 1, "do": ["state"]}\n',
     b'{"id": 1, "do": "hello", "idle_s": "soon"}\n', b'{"id": 1, "do": "hello", "cpus": 3}\n',
     b'{"id": 1, "do": "hello", "threads": null}\n', b'{"id": 1, "do": "hello", "threads": 0}\n',
     b'{"id": 1, "do": "state", "deadline_s": -1}\n',
     b'{"id": 1, "do": "state", "deadline_s": 0}\n',
     b'{"id": 1, "do": "state", "deadline_s": 1e999}\n',
     b'{"id": 1, "do": "load", "model": {}, "runtime": "onnxruntime"}\n',
     b"[" * 100_000 + b"\n", b'{"id": ' * 100_000 + b"\n", b"1" * 100_000 + b"\n"],
)  # fmt: skip
def test_nonsense_is_answered_and_survived(lasting: Agent, line: bytes) -> None:
    assert lasting.send(line)["error"]["kind"] == "request"
    assert lasting.ok("state")["state"]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)  # fmt: skip


@given(id_=values, others=st.dictionaries(st.text(), values), plain=st.booleans())
@settings(max_examples=60, deadline=None)
def test_whatever_the_id_is_it_comes_back(
    lasting: Agent, id_: Any, others: dict[str, Any], plain: bool
) -> None:
    request = {**others, "id": id_, "do": "unload", "model": "none", "deadline_s": 60}
    reply = lasting.send(json.dumps(request, ensure_ascii=plain).encode() + b"\n")
    assert reply["id"] == id_
    assert reply["error"]["kind"] == "request"


@given(st.binary(max_size=200))
@settings(max_examples=60, deadline=None)
def test_any_bytes_are_answered_line_by_line(lasting: Agent, data: bytes) -> None:
    lasting.write(data + b"\n")
    for _ in range(data.count(b"\n") + 1):
        assert lasting.read()["error"]["kind"] == "request"


REQUESTS = [
    b'{"id": 1, "do": "hello", "threads": 1, "cpus": null, "extra": [{"a": "\\u00fc\\n"}, -1.5e3]}',
    b'{"id": 2, "do": "load", "model": "%s", "runtime": "onnxruntime"}' % (b"0" * 64),
    b'{"id": 3, "do": "run", "model": 1, "runs": 10, "seed": 0}',
    b'{"id": 4, "do": "unload", "model": 1}',
]


@given(
    request=st.sampled_from(REQUESTS),
    place=st.floats(0, 1),
    removed=st.integers(0, 3),
    added=st.sampled_from([b"", b"{", b"}", b"[", b'"', b"\\", b"9", b"-", b"e", b"\x00", b"\xc3"]),
)
@settings(max_examples=100, deadline=None)
def test_requests_with_typing_errors_are_answered(
    lasting: Agent, request: bytes, place: float, removed: int, added: bytes
) -> None:
    at = int(place * len(request))
    reply = lasting.send(request[:at] + added + request[at + removed :] + b"\n")
    assert ("ok" in reply) != ("error" in reply)


def test_names_may_be_escaped_and_the_last_of_two_counts(lasting: Agent) -> None:
    line = rb'{"id": 0, "do": "quit", "\u0064o": "st\u0061te", "id": "\ud83d\ude00"}' + b"\n"
    reply = lasting.send(line)
    assert reply["id"] == "\N{GRINNING FACE}"
    assert "state" in reply["ok"]


def test_requests_may_come_together_or_byte_by_byte(lasting: Agent) -> None:
    lasting.write(b'{"id": 1, "do": "state"}\n{"id": 2, "do": "state"}\r\n {"id": 3, "do"')
    assert [lasting.read()["id"], lasting.read()["id"]] == [1, 2]
    for byte in b': "state"}\n':
        lasting.write(bytes([byte]))
    assert lasting.read()["id"] == 3


def test_the_longest_line_is_read_and_a_longer_one_cut_off(agent: Agent) -> None:
    line = b'{"id": 1, "do": "state", "extra": "'
    line += b"x" * (LONGEST_LINE - len(line) - 3) + b'"}\n'
    assert "ok" in agent.send(line)
    reply = agent.send(b"x" * LONGEST_LINE)
    assert reply["id"] is None
    assert reply["error"]["kind"] == "request"
    assert agent.process.wait(5) == 0


def test_it_ends_when_stdin_closes(agent: Agent) -> None:
    agent.ok("hello", threads=1)
    agent.write(b'{"id": 1, "do": "sta')
    agent.stdin.close()
    assert agent.process.wait(5) == 0


def test_it_ends_when_nobody_reads_its_replies(agent: Agent) -> None:
    agent.ok("hello", threads=1)
    agent.stdout.close()
    agent.write(b'{"id": 1, "do": "state"}\n')
    assert agent.process.wait(5) == 0


def test_it_ends_when_nothing_is_asked(agent: Agent) -> None:
    agent.ok("hello", threads=1, idle_s=0.2)
    assert agent.process.wait(5) == -signal.SIGALRM


def test_it_ends_when_a_request_takes_too_long(agent: Agent, model: ModelFile) -> None:
    agent.ok("hello", threads=1)
    request = {"id": 9, "do": "run", "model": agent.load(model), "runs": 100_000}
    agent.write(json.dumps({**request, "deadline_s": 0.3}).encode() + b"\n")
    assert agent.process.wait(5) == -signal.SIGALRM


def test_quit_ends_it(agent: Agent) -> None:
    agent.ok("quit")
    assert agent.process.wait(5) == 0
