"""Both agents, asked damaged requests; the native one under AddressSanitizer and UBSan."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import onnxruntime

from compofa.profiler.agent import AGENT, native
from compofa.profiler.models.model_store import ModelStore
from compofa.profiler.results.table import Cell
from compofa.supernet.spaces import get_space
from rigs.fuzzing.mutations import damaged

SOURCE = Path(native.__file__).with_name("compofa_agent.c")
SANITIZED = ("-std=c11", "-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")

LINES = 40
"""Requests to one process."""
CPU_S, PATIENCE_S = 20, 600
"""How much of a processor's time they may take, and how long by the clock."""
KILLED = (-signal.SIGXCPU, -signal.SIGKILL)
"""Exit codes of a process that took more."""

REQUESTS: tuple[dict[str, object], ...] = (
    {"do": "hello", "threads": 1, "cpus": [0], "idle_s": 30.0, "holder": {"user": "u", "pid": 1}},
    {"do": "hello", "threads": 2, "cpus": None},
    {"do": "state", "deadline_s": 5.0},
    {"do": "run", "model": 1, "runs": 2, "seed": 0, "deadline_s": 5.0},
    {"do": "unload", "model": 1},
    {"do": "load", "model": "0" * 64, "runtime": "onnxruntime", "options": {}},
    {"do": "load", "model": "0" * 64, "runtime": "tflite", "options": {"accelerator": "gpu"}},
    {"do": "quit"},
)

_programs: dict[str, list[str]] = {}
_model: list[str] = []


def build_native(folder: Path) -> None:
    """The native agent with sanitizers, if there is a compiler that has them."""
    compiler = shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return
    program = folder.parent / "sanitized"
    command = [compiler, *SANITIZED, str(SOURCE), "-o", str(program), "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    (library,) = Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so.*")
    _programs["native"] = [str(program), ".", str(library)]
    write_model(folder)


def find_python(folder: Path) -> None:
    """The Python agent, as it is."""
    _programs["python"] = [sys.executable, "-I", str(AGENT), "."]
    write_model(folder)


def write_model(folder: Path) -> None:
    """A small model under the name of its hash."""
    (folder / "tiny.yaml").write_text("{name: tiny, width: 0.25, classes: 10, resolutions: [32]}")
    with ModelStore([get_space(str(folder / "tiny.yaml"))]) as store:
        model = store.model(Cell("tiny", "d22222", 32, 1))
        shutil.copy(model.path, folder / model.sha256)
    _model[:] = [model.sha256]


def ask(kind: str) -> Callable[[Random], None]:
    """An attempt: a process of one kind is asked `LINES` requests, most of them damaged."""

    def attempt(rng: Random) -> None:
        if kind in _programs:
            _converse(_programs[kind], rng)

    return attempt


def _converse(program: list[str], rng: Random) -> None:
    load: dict[str, object] = {
        "do": "load",
        "model": _model[0],
        "runtime": "onnxruntime",
        "options": {},
    }
    asked = [json.dumps({"id": 0, **request}).encode() for request in (REQUESTS[1], load)]
    for number in range(1, LINES):
        # `quit` comes once in a while: what follows it would not be tried.
        request: dict[str, object] = {"id": number, **rng.choice([*REQUESTS[:-1], load])}
        if rng.random() < 0.01:
            request = {"id": number, **REQUESTS[-1]}
        line = json.dumps(request).encode()
        asked.append(damaged(line, rng) if rng.random() < 0.8 else line)
    code, out, err = _answers(program, asked)
    if code in KILLED:
        # Very many runs with a late deadline take as long as they were asked to. Any other request
        # is fast: the time may be spent on earlier ones, so it is asked again in a new process.
        lines = [line for each in asked for line in each.split(b"\n") if line.strip()]
        busy_with = lines[min(out.count(b"\n"), len(lines) - 1)]
        if b'"run' not in busy_with:
            code, *_ = _answers(program, [*asked[:2], busy_with])
            assert code not in KILLED, f"no answer to {busy_with[:300]!r}"
        return
    told = err.decode(errors="replace")
    assert "AddressSanitizer" not in told, told
    assert "runtime error" not in told, told
    assert "Traceback" not in told, told
    # A timer that the requests set may end it in the middle.
    assert code in (0, -signal.SIGALRM), f"exit code {code}: {told}"
    for line in out.split(b"\n")[:-1]:
        reply = json.loads(line)
        assert ("ok" in reply) != ("error" in reply), line[:300]


def _answers(program: list[str], asked: list[bytes]) -> tuple[int, bytes, bytes]:
    """The exit code of a new process that is asked all this, what it says, and its complaints."""
    process = subprocess.Popen(
        program,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0"},
        preexec_fn=_limited,
    )
    said = b"\n".join(asked) + b"\n"
    try:
        out, err = process.communicate(said, timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
    return process.returncode, out, err


def _limited() -> None:
    """Sanitizers set terabytes of addresses aside; time is limited."""
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S + 1))
