"""A profile under fire: `compofa-profile` as a person runs it, and what befalls it on the way."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from compofa.common.closing import Closing
from compofa.common.errors import ExitCode
from compofa.profiler.results.journal import Failure, Timing, of_kind, read_journal
from compofa.profiler.results.table import Cell, read_table
from rigs.boards import write_inventory
from rigs.peer import Peer

SIGNALS = {each.name: each for each in (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)}

MUTE = ("silent", "trickling")
"""Mute hosts that take the server's place, see `rigs.mute_host`."""

KINDS = ("connection", "agent", "server", "line", "hang", *MUTE, *SIGNALS)
"""What ends, or hangs; the last three end the profiler itself."""

DONE = ExitCode.DONE, ExitCode.PARTIAL, ExitCode.OUT_OF_TIME

AGAIN = ExitCode.DEVICE, ExitCode.INTERRUPTED, *(-each for each in SIGNALS.values())
"""Ends after which a person gives the same command once more."""

COMMAND = "from compofa.profiler.commands import main; main()"

TINY_SPACE = """\
name: tiny
width: 0.25
classes: 10
resolutions: [32]
"""

LONG = "line", "hang", *MUTE
"""Kinds that last up to 12 s."""

CACHED = re.compile(r"[0-9a-f]{64}(\.([0-9a-f]{8}\.)?part)?|lock")
"""The files that a device keeps; a part is gone on with, or cleared, by the next profile."""

POLL_S = 0.02

ENDING_S = 30.0
"""How long the profiler may take to end once it is told to."""

FINISHING_S = 600.0

MOST_WRONG = 5
"""After so much of it, there is no point in going on."""


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        after_s: how long all was well before it.
        lasts_s: how long the server is away, or the line cut.
    """

    kind: str
    after_s: float
    lasts_s: float


def draw_faults(count: int, seed: int) -> list[Fault]:
    """`count` faults at random moments, as many of each kind as of any other."""
    rng = np.random.default_rng(seed)
    kinds = [KINDS[i % len(KINDS)] for i in rng.permutation(count)]
    # What stands still for less than 7 s may go on before anybody notices.
    return [
        Fault(kind, rng.uniform(0.0, 4.0), rng.uniform(0.0, 12.0 if kind in LONG else 3.0))
        for kind in kinds
    ]


class Profiler(Closing):
    """`compofa-profile` of one device, started again until its table is there.

    Args:
        peer: the device.
        folder: for all files of the profiler, its temporary ones included.
        options: of the command, beside device and space.

    Attributes:
        table, journal: what it writes.
        temporary: its folder for temporary files.
        ends: how often it ended with which code; negative codes are signals.
        wrong: ends that should not be, and lines that a later journal lacks of an earlier one.
    """

    def __init__(self, peer: Peer, folder: Path, *options: str) -> None:
        self._folder = folder
        self.temporary = folder / "tmp"
        self.temporary.mkdir(parents=True)
        device = peer.device
        write_inventory(folder, [device])
        (folder / "tiny.yaml").write_text(TINY_SPACE)
        self._command = [sys.executable, "-c", COMMAND, "--device", device.name]
        self._command += ["--space", "tiny.yaml", *options]
        self._environment = {
            **peer.environment,
            "TMPDIR": str(self.temporary),
            "PYTHONFAULTHANDLER": "1",
        }
        self.table = folder / f"{device.name}.csv"
        self.journal = folder / f"{device.name}.journal.jsonl"
        self.ends: Counter[int] = Counter()
        self.wrong: list[str] = []
        self._recorded: list[bytes] = []
        self._runs = False
        self._start()

    def done(self) -> bool:
        """Whether its table is there; if it ended without it, it is started again.

        Raises:
            RuntimeError: it ends again and again as it never should.
        """
        code = self._process.poll()
        if code is None:
            return False
        if self._runs:
            self._runs = False
            self.ends[code] += 1
            self._look_at_journal()
        if code in DONE and self.table.exists():
            return True
        if code not in (*DONE, *AGAIN):
            said = (self._folder / "stderr").read_text(errors="replace")[-4000:]
            self.wrong.append(f"compofa-profile ended with {code}: {said}")
            if len(self.wrong) > MOST_WRONG:
                raise RuntimeError("\n".join(self.wrong))
        self._start()
        return False

    def finish(self) -> None:
        """Waits for the table.

        Raises:
            TimeoutError: it does not come.
        """
        until = time.monotonic() + FINISHING_S
        while not self.done():
            if time.monotonic() > until:
                raise TimeoutError("the table does not come")
            time.sleep(POLL_S)

    def send(self, number: signal.Signals) -> None:
        """Sends it a signal, and waits for its end; if none comes, has it say what it does."""
        self._process.send_signal(number)
        try:
            self._process.wait(ENDING_S)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGABRT)
            self._process.wait()

    def close(self) -> None:
        """See `Closing.close`."""
        if self._process.poll() is None:
            self.send(signal.SIGKILL)

    def _start(self) -> None:
        with (self._folder / "stderr").open("wb") as stderr:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env=os.environ | self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )
        self._runs = True

    def _look_at_journal(self) -> None:
        """Compares the journal's whole lines with those that it had before."""
        if not self.journal.exists():
            return
        lines = self.journal.read_bytes().splitlines(keepends=True)
        lines = [line for line in lines if line.endswith(b"\n")]
        pairs = itertools.zip_longest(self._recorded, lines[: len(self._recorded)])
        self.wrong += [f"lost from the journal: {was!r}" for was, now in pairs if was != now]
        self._recorded = lines


def suffer(profiler: Profiler, peer: Peer, faults: Sequence[Fault]) -> list[Fault]:
    """Inflicts `faults` until the table is there; those that came to pass."""
    happened: list[Fault] = []
    for fault in faults:
        until = time.monotonic() + fault.after_s
        while not profiler.done() and time.monotonic() < until:
            time.sleep(POLL_S)
        if profiler.done() or not _inflict(fault, profiler, peer):
            break
        happened.append(fault)
    return happened


def _inflict(fault: Fault, profiler: Profiler, peer: Peer) -> bool:
    """Has one thing go wrong; false if the table was there first."""
    if fault.kind == "connection":
        peer.hang_up()
    elif fault.kind == "agent":
        return _kill_agent(profiler, peer)
    elif fault.kind == "server":
        peer.kill_server()
        _pass(fault.lasts_s, profiler)
        peer.start_server()
    elif fault.kind == "hang":
        peer.hang_server()
        _pass(fault.lasts_s, profiler)
        peer.wake_server()
    elif fault.kind in MUTE:
        peer.replace_server(fault.kind)
        _pass(fault.lasts_s, profiler)
        peer.start_server()
    elif fault.kind == "line":
        peer.cut()
        _pass(fault.lasts_s, profiler)
        peer.mend()
    else:
        profiler.send(SIGNALS[fault.kind])
    return True


def _kill_agent(profiler: Profiler, peer: Peer) -> bool:
    while not profiler.done():
        for pid in peer.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                return True
        time.sleep(POLL_S)
    return False


def _pass(seconds: float, profiler: Profiler) -> None:
    """Lets time pass, in which the profiler may end and be started again."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        profiler.done()
        time.sleep(POLL_S)


@dataclass(frozen=True)
class Accounts:
    """What a finished profile amounts to, and what is wrong with it.

    Attributes:
        cells: that were measured.
        timings: sessions of all cells together.
        deaths: cells on which an agent died and that got another chance.
        failed: cells given up.
        wrong: everything that should not be; empty if all is well.
    """

    cells: int
    timings: int
    deaths: int
    failed: int
    wrong: list[str]


def account(profiler: Profiler, peer: Peer) -> Accounts:
    """Holds the table against the journal, and looks for what was left on the device."""
    _, lines = read_journal(profiler.journal)
    pairs = [(t.session, t.cell) for t in of_kind(lines, Timing) if t.cell is not None]
    failures = of_kind(lines, Failure)
    given_up = {failure.cell for failure in failures if failure.final}
    sessions: dict[Cell, set[int]] = {}
    for session, cell in pairs:
        sessions.setdefault(cell, set()).add(session)
    rows = read_table(profiler.table).rows
    measured = {row.cell: row.n_sessions for row in rows if row.source == "measured"}
    wrong = list(profiler.wrong)
    wrong += [f"{pair} twice in the journal" for pair, n in Counter(pairs).items() if n > 1]
    counts = Counter(row.cell for row in rows)
    wrong += [f"{cell} twice in the table" for cell, n in counts.items() if n > 1]
    for cell, numbers in sessions.items():
        if cell not in given_up and measured.get(cell) != len(numbers):
            wrong.append(f"{cell}: {len(numbers)} sessions, in the table {measured.get(cell)}")
    wrong += [f"left on the device: {name}" for name in _left(peer)]
    return Accounts(
        cells=len(measured),
        timings=len(pairs),
        deaths=len(failures),
        failed=len(given_up),
        wrong=wrong,
    )


def _left(peer: Peer) -> list[str]:
    """Files beyond the cache, and processes that do not end within a few seconds."""
    until = time.monotonic() + 10
    while peer.processes() and time.monotonic() < until:
        time.sleep(POLL_S)
    files = sorted(name for name in peer.files() if not CACHED.fullmatch(name))
    return files + [f"process {pid}" for pid in peer.processes()]
