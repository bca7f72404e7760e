"""How commands end: exit codes, messages, broken pipes, Ctrl-C, full disks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import pytest

from compofa.common.console import printable, without_homes

APP = """
import ctypes, signal, sys, time, typer
from pathlib import Path
from compofa.common.console import print_json, run_command
from compofa.common.errors import DeviceError, OutOfTime, UserError
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

@app.command()
def go(what: str, times: int = 1, name: str = ""):
    if what == "path": Path(name).is_dir()
    if what == "user" and name: raise UserError(f"bad {name} the end", path="t.csv", line=3)
    if what == "user": raise UserError("bad\\x1b[31m row", path="t.csv", line=3)
    if what == "print": print("größe 漢字"); raise UserError("größe 漢字")
    if what == "write": Path(name).write_text("kept"); print("seen")
    if what == "device": raise DeviceError("gone")
    if what == "time": raise OutOfTime("too late")
    if what == "no": raise typer.Exit(1)
    if what == "bug": raise ZeroDivisionError
    if what == "nan": print_json({"x": float("nan")})
    if what == "interrupt": signal.raise_signal(signal.SIGINT)
    if what == "stop": signal.raise_signal(signal.SIGTERM)
    if what == "import":
        try: signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt: pass
        raise ImportError("initialization failed")  # as numpy's and onnxruntime's C code does
    if what == "ignored":
        # In a callback from C, as in those of Python's import system, it goes no further.
        ctypes.CFUNCTYPE(None)(lambda: signal.raise_signal(signal.SIGINT))()
        time.sleep(60)
    if what == "sleep": print("ready", flush=True); time.sleep(60)
    for _ in range(times): print_json({"what": what})

run_command(app)
"""


def run(
    *arguments: str,
    stdout: int | IO[str] = subprocess.PIPE,
    stderr: int | IO[str] = subprocess.PIPE,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", APP, *arguments]
    return subprocess.run(command, text=True, check=False, stdout=stdout, stderr=stderr, env=env)


@pytest.mark.parametrize(
    ("what", "code", "message"),
    [
        ("fine", 0, ""),
        ("no", 1, ""),
        ("user", 2, r"error: t.csv:3: bad\x1b[31m row" + "\n"),
        ("device", 4, "error: gone\n"),
        ("time", 124, "error: too late\n"),
        ("interrupt", 130, "interrupted\n"),
        ("stop", 130, "interrupted\n"),
        ("import", 130, "interrupted\n"),
        ("ignored", 130, "interrupted\n"),
    ],
)
def test_an_ending_has_its_code_and_one_line(what: str, code: int, message: str) -> None:
    ended = run(what)
    assert (ended.returncode, ended.stderr) == (code, message)


def test_a_usage_error_is_the_users_mistake() -> None:
    ended = run("fine", "--tims", "3")
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("what", ["bug", "nan"])
def test_a_bug_keeps_its_traceback_and_does_not_look_like_an_answer(what: str) -> None:
    ended = run(what)
    assert ended.returncode == 70
    assert "Traceback" in ended.stderr
    assert "this is a bug in compofa" in ended.stderr


def test_ctrl_c_from_outside_says_interrupted() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", APP, "sleep"],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (130, "interrupted\n")


@pytest.mark.parametrize("times", ["1", "100000"])
def test_a_reader_that_has_had_enough_is_no_error(times: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = run("fine", "--times", times, stdout=writing)
    finally:
        os.close(writing)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="only Linux has this device")
@pytest.mark.parametrize("times", ["1", "100000"])
def test_output_to_a_full_disk_is_an_error(times: str) -> None:
    with Path("/dev/full").open("w") as full:
        ended = run("fine", "--times", times, stdout=full)
    assert ended.returncode == 2
    assert ended.stderr == "error: standard output: cannot write: no space left on device\n"


def test_what_is_printed_stays_on_one_line_and_moves_no_cursor() -> None:
    assert printable("a\nb\x1b[2Jc\u202e") == r"a\nb\x1b[2Jc\u202e"
    assert printable("ünï côdé 日本") == "ünï côdé 日本"


def test_a_name_too_long_for_any_file_is_the_user_s_mistake() -> None:
    ended = run("path", "--name", "a" * 5000)
    assert ended.returncode == 2
    assert ended.stderr == f"error: {'a' * 200}: there can be no such file: file name too long\n"


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-", "<&-"])
def test_closed_streams_cost_nothing_but_what_they_would_have_shown(
    tmp_path: Path, closed: str
) -> None:
    file = tmp_path / "file"
    shell = f'exec "$@" {closed}'
    command = ["sh", "-c", shell, "sh", sys.executable, "-c", APP, "write", "--name", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert file.read_text() == "kept"
    command[-3:] = ["user"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "ascii:strict", "latin-1", "cp1252"])
def test_what_cannot_be_printed_is_shown_by_its_number(encoding: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", APP, "print"],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2
    assert b"\\u6f22\\u5b57" in done.stdout
    assert done.stderr.startswith(b"error: gr")
    assert b"Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="there is no /dev/full here")
def test_stderr_on_a_full_disk_keeps_the_exit_code() -> None:
    with Path("/dev/full").open("w") as full:
        assert run("user", stderr=full).returncode == 2


def test_a_message_that_quotes_very_long_input_is_shortened() -> None:
    ended = run("user", "--name", "x" * 5000)
    assert ended.returncode == 2
    assert len(ended.stderr) < 1100
    assert ended.stderr.startswith("error: t.csv:3: bad")
    assert ended.stderr.endswith("the end\n")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cannot open /home/ada/m.tflite", "cannot open ~/m.tflite"),
        ("/Users/ada/Library/x: no", "~/Library/x: no"),
        ("at /root/.cache/compofa/ab", "at ~/.cache/compofa/ab"),
        ("at /srv/ada/x and '/home/bo'", "at ~/x and '~'"),
        ("/opt/homebrew/lib, /roots, /srv/adam", "/opt/homebrew/lib, /roots, /srv/adam"),
    ],
)
def test_home_folders_are_not_told(monkeypatch: pytest.MonkeyPatch, text: str, shown: str) -> None:
    monkeypatch.setenv("HOME", "/srv/ada")
    assert without_homes(text) == shown
