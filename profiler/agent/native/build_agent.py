"""Builds the native agent for the systems that devices run.

    python -m compofa.profiler.agent.native.build_agent FOLDER [TARGET ...]

The compiler is zig's, which is a clang with the headers of every C library (pip install ziglang).
For Android it needs no NDK: the agent is linked against empty libraries that have the names of
Android's, and finds the real ones when it starts on the phone.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from compofa.common.errors import CompofaError, MissingExtra, UserError, suggestion

HERE = Path(__file__).parent
AGENT = HERE / "compofa_agent.c"
ANDROID_START = HERE / "android_start.c"

COMPILING = ("-c", "-std=c11", "-O2", "-g0", "-Wall", "-Wextra", "-Werror", "-fPIE")

LINKING_FOR_ANDROID = (
    "-nostdlib",
    "-Wl,--dynamic-linker=/system/bin/linker64",
    "-Wl,--hash-style=both",
    # Phones of 2025 and later map memory in pages of 16 KiB.
    "-Wl,-z,max-page-size=16384",
)

ANDROID_LIBRARIES = {
    "libc.so": (
        "__errno __libc_init _exit calloc clock_gettime close dup dup2 flock free ftruncate "
        "getpid gmtime_r malloc memchr memcmp memcpy memmove memset open pread pwrite read "
        "readlink realloc sched_getaffinity sched_setaffinity setenv setitimer signal snprintf "
        "strchr strcmp strcspn strerror strftime strlen strncmp strrchr strspn strstr strtod "
        "strtol strtoll time uname vsnprintf write"
    ),
    "libdl.so": "dlerror dlopen dlsym",
}
"""What the agent takes from the phone's libraries; linking fails if it takes anything else."""


@dataclass(frozen=True)
class Target:
    """A kind of device: what the compiler calls it."""

    triple: str
    android: bool = False


TARGETS = {
    "x86_64-linux": Target("x86_64-linux-gnu.2.28"),
    "aarch64-linux": Target("aarch64-linux-gnu.2.28"),
    "aarch64-android": Target("aarch64-linux-musl", android=True),
    "x86_64-android": Target("x86_64-linux-musl", android=True),
}
"""ONNX Runtime's own builds for Linux need glibc 2.28 too."""


def build(name: str, folder: Path) -> Path:
    """Builds the agent for one of `TARGETS` as FOLDER/compofa_agent-NAME; its path.

    Raises:
        UserError: no such target, no compiler, or the compiler's complaint.
    """
    if name not in TARGETS:
        raise UserError(f"no target is called {name!r}", hint=suggestion(name, list(TARGETS)))
    target = TARGETS[name]
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / f"compofa_agent-{name}"
    with tempfile.TemporaryDirectory() as scratch:
        parts = _objects(target, Path(scratch))
        if target.android:
            parts += [*LINKING_FOR_ANDROID, *_android_libraries(target, Path(scratch))]
        else:
            parts += ["-ldl"]
        _zig(target, ["-pie", "-O2", *parts, "-o", str(program)])
    return program


def _objects(target: Target, folder: Path) -> list[str]:
    made = []
    for source in [AGENT, ANDROID_START] if target.android else [AGENT]:
        made.append(str(folder / f"{source.stem}.o"))
        _zig(target, [*COMPILING, str(source), "-o", made[-1]])
    return made


def _android_libraries(target: Target, folder: Path) -> list[str]:
    """Libraries with the names and symbols of Android's, and nothing behind them."""
    made = []
    for name, symbols in ANDROID_LIBRARIES.items():
        source, library = folder / f"{name}.s", folder / name
        parts = [f".globl {s}\n.type {s}, %function\n{s}:\n" for s in symbols.split()]
        source.write_text("".join(parts))
        options = ["-shared", "-nostdlib", f"-Wl,-soname,{name}", str(source), "-o", str(library)]
        _zig(target, options)
        made.append(str(library))
    return made


def _zig(target: Target, arguments: Sequence[str]) -> None:
    from importlib.util import find_spec

    if find_spec("ziglang") is None:
        raise MissingExtra("ziglang", "dev")
    command = [sys.executable, "-m", "ziglang", "cc", "-target", target.triple, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise UserError(f"the compiler failed:\n{done.stderr.strip()}", path=AGENT)


def main() -> None:
    """Builds all targets, or those named, into a folder."""
    folder, *names = sys.argv[1:] or ["."]
    try:
        for name in names or TARGETS:
            print(build(name, Path(folder)))
    except CompofaError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
