"""What is the native agent's own: its builds, its search for a runtime, its memory."""

from __future__ import annotations

import json
import platform
import random
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from compofa.common.errors import UserError
from compofa.profiler.agent.native import build_agent as recipe
from compofa.profiler.agent.native.build_agent import AGENT, TARGETS, build
from compofa.profiler.models.model_store import ModelFile

HELLO = {"id": 1, "do": "hello", "threads": 1, "holder": "me"}
MACHINES = {"x86_64": 62, "aarch64": 183}
POSITION_INDEPENDENT, DYNAMIC, INTERPRETER, NEEDED, STRINGS = 3, 2, 3, 1, 5


def talk(command: list[str], *requests: dict[str, Any]) -> list[dict[str, Any]]:
    """The replies of an agent that is asked all at once."""
    lines = "".join(json.dumps(request) + "\n" for request in requests)
    done = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def text_at(data: bytes, start: int) -> str:
    return data[start : data.index(b"\0", start)].decode()


def linked(program: Path) -> tuple[int, str, set[str]]:
    """The machine, the dynamic loader and the libraries that a 64-bit ELF program asks for.

    Addresses are taken for offsets where the first segment holds them, as it does the strings.
    """
    data = program.read_bytes()
    kind, machine = struct.unpack_from("<HH", data, 16)
    assert kind == POSITION_INDEPENDENT
    table, size, count = (*struct.unpack_from("<Q", data, 32), *struct.unpack_from("<HH", data, 54))
    places = {}
    for i in range(count):
        segment, _, offset, _, _, length = struct.unpack_from("<IIQQQQ", data, table + i * size)
        places[segment] = offset, length
    start, length = places[DYNAMIC]
    entries = [struct.unpack_from("<qQ", data, start + at) for at in range(0, length, 16)]
    (strings,) = (value for tag, value in entries if tag == STRINGS)
    libraries = {text_at(data, strings + value) for tag, value in entries if tag == NEEDED}
    return machine, text_at(data, places[INTERPRETER][0]), libraries


@pytest.mark.parametrize(
    ("target", "loader", "libraries"),
    [
        ("x86_64-linux", "/lib64/ld-linux-x86-64.so.2", {"libc.so.6", "libdl.so.2"}),
        ("aarch64-linux", "/lib/ld-linux-aarch64.so.1", {"libc.so.6", "libdl.so.2"}),
        ("aarch64-android", "/system/bin/linker64", {"libc.so", "libdl.so"}),
        ("x86_64-android", "/system/bin/linker64", {"libc.so", "libdl.so"}),
    ],
)
def test_every_target_builds_and_links_to_what_its_devices_have(
    tmp_path: Path, target: str, loader: str, libraries: set[str]
) -> None:
    pytest.importorskip("ziglang", reason="no compiler for the native agent: ziglang is missing")
    machine = MACHINES[target.partition("-")[0]]
    assert linked(build(target, tmp_path)) == (machine, loader, libraries)


def test_the_targets_that_are_tested_are_those_that_there_are() -> None:
    assert list(TARGETS) == ["x86_64-linux", "aarch64-linux", "aarch64-android", "x86_64-android"]


def test_an_unknown_target_is_the_user_s_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no target is called 'arm64-linux'"):
        build("arm64-linux", tmp_path)


def test_what_the_compiler_says_is_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ziglang", reason="no compiler for the native agent: ziglang is missing")
    broken = tmp_path / "broken.c"
    broken.write_text("int main(void) { return nothing; }\n")
    monkeypatch.setattr(recipe, "AGENT", broken)
    with pytest.raises(UserError, match="undeclared identifier 'nothing'"):
        build("x86_64-linux", tmp_path)


BIONIC_ON_MUSL = """
int *__errno_location(void);
int __libc_start_main(int (*)(int, char **, char **), int, char **,
                      void (*)(void), void (*)(void), void (*)(void));
int *__errno(void) { return __errno_location(); }
void __libc_init(long *stack, void *unused, int (*start)(int, char **, char **), void *arrays) {
    __libc_start_main(start, (int)*stack, (char **)stack + 1, 0, 0, 0);
}
int __system_property_get(const char *name, char *value) {
    int size = 0;
    for (name += 3; (value[size] = name[size]); size++) {}
    return size;
}
"""
"""What Android's C library has and musl lacks; a property's value is its name after `ro.`."""


def test_the_android_build_runs_with_musl_for_android_s_c_library(tmp_path: Path) -> None:
    machine = platform.machine()
    loader = Path(f"/lib/ld-musl-{machine}.so.1")
    if not loader.exists():
        pytest.skip("no musl here to stand in for Android's C library: apt-get install musl")
    source, shim = tmp_path / "bionic.c", tmp_path / "bionic.so"
    source.write_text(BIONIC_ON_MUSL)
    subprocess.run(
        [sys.executable, "-m", "ziglang", "cc", "-target", f"{machine}-linux-musl", "-O1",
         "-w", "-shared", "-fPIC", "-nostdlib", str(source), "-o", str(shim)], check=True
    )  # fmt: skip
    program = build(f"{machine}-android", tmp_path)
    command = [str(loader), "--preload", str(shim), str(program), str(tmp_path)]
    missing = {"id": 2, "do": "load", "model": "0" * 64, "runtime": "onnxruntime"}
    hello, load, last = talk(command, HELLO, missing, {"id": 3, "do": "quit"})
    assert hello["ok"]["facts"]["os"] == "Android build.version.release"
    assert hello["ok"]["facts"]["cpu"] == "soc.model"
    assert hello["ok"]["facts"]["board"] == "product.model"
    assert hello["ok"]["facts"]["build"] == "build.fingerprint"
    assert (tmp_path / "lock").read_text().startswith("me since ")
    assert load["error"]["kind"] == "runtime"
    assert last["ok"] == {}


def load_request(model: ModelFile) -> dict[str, Any]:
    return {"id": 2, "do": "load", "model": model.sha256, "runtime": "onnxruntime"}


def test_without_a_runtime_it_says_what_is_missing(built: Path, model: ModelFile) -> None:
    command = [str(built), str(model.path.parent), "/nowhere/libonnxruntime.so"]
    hello, load = talk(command, HELLO, load_request(model))
    assert hello["ok"]["runtimes"] == {}
    assert load["error"]["kind"] == "runtime"
    assert "/nowhere/libonnxruntime.so" in load["error"]["message"]


def test_a_library_that_is_no_runtime_is_refused(built: Path, model: ModelFile) -> None:
    command = [str(built), str(model.path.parent), "libc.so.6"]
    _, load = talk(command, HELLO, load_request(model))
    assert load["error"]["message"] == "libc.so.6 is no ONNX Runtime that this agent can use"


def test_options_that_it_would_pass_over_are_refused(
    built: Path, library: Path, model: ModelFile
) -> None:
    command = [str(built), str(model.path.parent), str(library)]
    request = load_request(model)
    _, taken = talk(command, HELLO, {**request, "options": {"accelerator": "cpu"}})
    assert "ok" in taken
    options = {"accelerator": "cpu", "options": {"session.intra_op.allow_spinning": 0}}
    _, refused = talk(command, HELLO, {**request, "options": options})
    assert refused["error"]["kind"] == "setting"
    assert "takes no options" in refused["error"]["message"]


def test_the_runtime_may_lie_beside_the_agent(
    built: Path, library: Path, model: ModelFile, tmp_path: Path
) -> None:
    agent = Path(shutil.copy(built, tmp_path))
    (tmp_path / "libonnxruntime.so").symlink_to(library)
    hello, load = talk([str(agent), str(model.path.parent)], HELLO, load_request(model))
    assert list(hello["ok"]["runtimes"]) == ["onnxruntime"]
    assert load["ok"]["model"] == 1


def spoilt(line: bytes, rng: random.Random) -> bytes:
    """`line` with bytes removed, put in or doubled, still one line and no request to quit."""
    data = bytearray(line)
    for _ in range(rng.randint(0, 4)):
        at = rng.randrange(len(data) + 1)
        part = bytes(data[at : at + rng.randint(0, 8)])
        new = rng.choice([b"", part * 2, rng.randbytes(3), b'"', b"\\u", b"[", b"{", b"9" * 25])
        data[at : at + len(part)] = new
    return bytes(data).replace(b"\n", b" ").replace(b"quit", b"run")


def test_spoilt_lines_break_nothing_under_the_sanitizers(
    model: ModelFile, library: Path, tmp_path: Path
) -> None:
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("no gcc here, whose sanitizers this needs")
    program = tmp_path / "agent"
    options = ["-std=c11", "-O1", "-g", "-Wall", "-Wextra", "-Werror"]
    options += ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    subprocess.run([compiler, *options, str(AGENT), "-o", str(program), "-ldl"], check=True)
    first = [json.dumps(request).encode() for request in (HELLO, load_request(model))]
    others: list[dict[str, Any]] = [
        HELLO | {"cpus": None, "idle_s": 60.5, "holder": "ü \U0001f600 \ud800"},
        load_request(model) | {"model": "0" * 64, "options": {"accelerator": "cpu"}},
        {"id": [{"a": None}], "do": "run", "model": 1, "runs": 3, "seed": -7},
        {"id": 1.5e300, "do": "state", "deadline_s": 600},
        {"id": "x", "do": "unload", "model": 2},
    ]
    rng = random.Random(1)
    spoilt_lines = [spoilt(json.dumps(rng.choice(others)).encode(), rng) for _ in range(3000)]
    done = subprocess.run(
        [str(program), str(model.path.parent), str(library)],
        input=b"".join(line + b"\n" for line in first + spoilt_lines),
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr[-3000:].decode(errors="replace")
    replies = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(replies) == len(first) + len(spoilt_lines)
    kinds = {reply.get("error", {}).get("kind") for reply in replies}
    assert {None, "request", "missing"} <= kinds
