"""Agents that misbehave: programs that a test has run on a device in the agent's place."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent

HEAD = f"""\
#!{sys.executable} -I
import hashlib, json, os, signal, sys, time

def say(data):
    while data:
        data = data[os.write(1, data):]

def reply(request, **ok):
    say(json.dumps({{"id": request["id"], "ok": ok}}).encode() + b"\\n")

"""

HONEST = """\
ANSWERS = {
    "hello": {"version": 1, "pid": os.getpid(), "affinity": [0], "runtimes": {}, "facts": {},
              "state": {}},
    "load": {"model": 1, "version": "1", "load_ns": 1, "input": [1], "output_size": 1,
             "output": [1.0]},
    "run": {"ns": [5], "state": {}},
    "state": {"state": {}},
    "unload": {},
    "quit": {},
}
for line in sys.stdin:
    request = json.loads(line)
    misbehave(request)
    reply(request, **ANSWERS[request["do"]])
    if request["do"] == "quit":
        break
"""


def program(folder: Path, body: str) -> Path:
    """A program that runs `body`; it has `say(bytes)` and `reply(request, **ok)`."""
    path = folder / "program"
    path.write_text(HEAD + dedent(body))
    path.chmod(0o700)
    return path


def agent(folder: Path, misbehave: str) -> Path:
    """An agent that answers every request, but does `misbehave` first, which sees `request`."""
    indented = "\n".join(f"    {line}" for line in dedent(misbehave).strip().splitlines())
    return program(folder, f"def misbehave(request):\n{indented}\n\n{HONEST}")
