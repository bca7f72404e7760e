"""Tries inputs in processes of their own, and judges what became of each.

An input is known by three words: seed, target and number. With them it is made again.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.synchronize import Event
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

from compofa.common.console import note
from compofa.common.errors import CompofaError, ExitCode
from rigs.fuzzing.targets import TARGETS, Target, damage, restore

CPU_S = 10
"""More than this for one input counts as a hang."""
MEMORY = 1 << 30
"""So many bytes more than before any input."""
ADDRESSES = 6 << 30
"""Of memory asked for, used or not: before a mistake takes the whole computer down."""
STUCK_CPU_S, STUCK_S = 3 * CPU_S, 900
"""A worker that spends so much of a processor's time on one input, or so long, is ended."""
LONGEST_LINE = 1500
"""Of a message: it quotes 200 characters of the input at most."""

PR_SET_PDEATHSIG = 1
"""Of Linux's prctl."""

CODES = {int(code) for code in ExitCode}

_begun_with = 1 << 62
"""Bytes that this process had used before any input."""


@dataclass(frozen=True)
class Fault:
    """Something that must not happen."""

    target: str
    number: int
    what: str
    detail: str

    @property
    def kind(self) -> str:
        """Faults of one kind have one cause, as far as that can be told."""
        places = re.findall(r'File "[^"]*/((?:common|supernet|profiler|search)/[^"]+)", line (\d+)',
                            self.detail)  # fmt: skip
        return f"{self.target}: {self.what} {':'.join(places[-1]) if places else ''}".strip()


@dataclass
class Tried:
    """What became of one target's inputs.

    Attributes:
        ends: how often one ended with which exit code or kind of error.
        cpu_s: of all; `longest_s`: of the one that took longest.
    """

    ends: Counter[str] = field(default_factory=Counter)
    cpu_s: float = 0.0
    longest_s: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """For a file of results."""
        return {
            "inputs": self.ends.total(),
            "ends": dict(sorted(self.ends.items())),
            "cpu_s": round(self.cpu_s, 1),
            "longest_cpu_s": round(self.longest_s, 2),
        }


@dataclass
class Summary:
    """What became of all inputs."""

    seed: str
    tried: dict[str, Tried] = field(default_factory=lambda: defaultdict(Tried))
    faults: list[Fault] = field(default_factory=list)

    @property
    def inputs(self) -> int:
        """How many were tried."""
        return sum(each.ends.total() for each in self.tried.values())

    def add(self, target: str, end: str | Fault, cpu_s: float) -> None:
        """Takes in what became of one input."""
        tried = self.tried[target]
        tried.ends["fault" if isinstance(end, Fault) else end] += 1
        tried.cpu_s += cpu_s
        tried.longest_s = max(tried.longest_s, cpu_s)
        if isinstance(end, Fault):
            self.faults.append(end)

    def as_json(self) -> dict[str, Any]:
        """For a file of results."""
        return {
            "seed": self.seed,
            "inputs": self.inputs,
            "faults": sorted({fault.kind for fault in self.faults}),
            "targets": {name: each.as_json() for name, each in sorted(self.tried.items())},
        }

    def render(self) -> str:
        """A few lines: how much was tried, and each kind of fault with how to see it again."""
        tried = ", ".join(f"{k} {each.ends.total():,}" for k, each in sorted(self.tried.items()))
        lines = [f"seed {self.seed}: {self.inputs:,} inputs ({tried})"]
        ends = sum((each.ends for each in self.tried.values()), Counter[str]())
        lines.append("ends: " + ", ".join(f"{k} {v:,}" for k, v in sorted(ends.items())))
        kinds = Counter(fault.kind for fault in self.faults)
        for kind, count in kinds.most_common():
            fault = next(fault for fault in self.faults if fault.kind == kind)
            again = f'--seed {self.seed} --target "{fault.target}" --number {fault.number}'
            lines += [f"FAULT, {count} times: {kind}", f"  again: python tests/fuzz.py {again}"]
            lines += [f"  | {line}" for line in fault.detail.strip().splitlines()[-12:]]
        return "\n".join(lines)


@dataclass(frozen=True)
class Job:
    """What workers share: good files by target, how many workers there are, and until when.

    Attributes:
        until: by the monotonic clock.
        enough: set once the inputs asked for have been tried.
    """

    seed: str
    targets: Sequence[Target]
    good: dict[str, Path]
    places: int
    until: float
    enough: Event


class Hang(BaseException):
    """An input took too much of a processor's time; no handler of the library's catches it."""


def fuzz(
    seed: str,
    seconds: float,
    targets: Sequence[Target] = TARGETS,
    workers: int | None = None,
    inputs: int | None = None,
) -> Summary:
    """Tries as many inputs as the time allows, or `inputs` if that is less, on all processors."""
    # Workers are forked, and threads of OpenMP's would be missing there: torch waits for them.
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as scratch:
        good = {target.name: made(target, Path(scratch)) for target in targets}
        places, enough = workers or os.cpu_count() or 1, get_context("fork").Event()
        job = Job(seed, targets, good, places, time.monotonic() + seconds, enough)
        return _tried(job, inputs)


def _tried(job: Job, inputs: int | None) -> Summary:
    summary = Summary(job.seed)
    running: dict[Connection, _Worker] = {}
    for place in range(job.places):
        worker = _Worker(job, place, {})
        running[worker.connection] = worker
    while running:
        if inputs is not None and summary.inputs >= inputs:
            job.enough.set()
        for ready in wait(list(running), timeout=1):
            assert isinstance(ready, Connection)
            worker = running[ready]
            try:
                worker.take(summary)
            except EOFError:
                del running[ready]
                if worker.lost():
                    worker.fail(summary, "the process died")
                    again = worker.successor()
                    running[again.connection] = again
        for connection, worker in list(running.items()):
            if (reason := worker.stuck()) is not None:
                worker.end()
                worker.fail(summary, reason)
                del running[connection]
                again = worker.successor()
                running[again.connection] = again
    return summary


def attempt(seed: str, target: Target, number: int, good: Path, folder: Path) -> str | Fault:
    """Makes one input and tries it: how it ended in a word, or the fault."""
    rng = Random(f"{seed}/{target.name}/{number}")
    restore(good, folder)
    damage(target, folder, rng)
    trial = rng.choice(list(target.attempts))
    os.chdir(folder)
    with _captured() as said, _limited():
        try:
            trial(rng)
            end: str | int = "taken"
        except CompofaError as error:
            end = type(error).__name__
            note(str(error))
        except SystemExit as leaving:
            end = leaving.code if isinstance(leaving.code, int) else 0
        except Hang:
            return Fault(target.name, number, f"over {CPU_S} s of CPU", traceback.format_exc())
        except MemoryError:
            return Fault(target.name, number, "over 1 GB of memory", traceback.format_exc())
        except BaseException as error:  # noqa: BLE001  (whatever it is, it is what is looked for)
            what = f"{type(error).__name__} reaches the user"
            return Fault(target.name, number, what, traceback.format_exc())
    out, err = said
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if used > _begun_with + MEMORY:
        return Fault(target.name, number, "over 1 GB of memory", f"{used:,} bytes")
    wrong = _wrong_with(end, out.read_text(errors="replace"), err.read_text(errors="replace"))
    if wrong is not None:
        return Fault(target.name, number, *wrong)
    return f"exit {end}" if isinstance(end, int) else end


def _wrong_with(end: str | int, out: str, err: str) -> tuple[str, str] | None:
    if isinstance(end, int) and end not in CODES:
        return f"exit code {end}", err
    if "Traceback (most recent call last)" in err:
        return "a traceback", err
    for text in (out, err):
        control = re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", text.replace("\x1b[", ""))
        if control is not None:
            return f"control character {control[0]!r}", text[-2000:]
    longest = max(map(len, err.splitlines() or [""]))
    if longest > LONGEST_LINE:
        return f"a message of {longest:,} characters", err[:500]
    if end == 0 and out.startswith('{"'):
        try:
            json.loads(out, parse_constant=_no_constant)
        except ValueError as error:
            return f"no JSON: {error}", out[:500]
    return None


def _no_constant(name: str) -> None:
    raise ValueError(name)


@contextmanager
def _captured() -> Iterator[tuple[Path, Path]]:
    """What goes to stdout and stderr, programs of others included, goes to two files."""
    paths = Path(tempfile.gettempdir()) / "out.txt", Path(tempfile.gettempdir()) / "err.txt"
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(number) for number in (1, 2)]
    before = sys.stdout, sys.stderr
    for number, path in zip((1, 2), paths, strict=True):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
        os.close(file)
    # What a command did to its streams does not last.
    sys.stdout, sys.stderr = (
        os.fdopen(os.dup(number), "w", encoding="utf-8", errors="replace") for number in (1, 2)
    )
    try:
        yield paths
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.close()
        sys.stdout, sys.stderr = before
        for number, copy in zip((1, 2), kept, strict=True):
            os.dup2(copy, number)
            os.close(copy)


@contextmanager
def _limited() -> Iterator[None]:
    def hang(_number: int, _frame: FrameType | None) -> None:
        raise Hang

    before = signal.signal(signal.SIGPROF, hang)
    signal.setitimer(signal.ITIMER_PROF, CPU_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


class _Worker:
    """A process that tries inputs, every `places`-th one of each target.

    Args:
        begin: the number of each target's next input, where a worker before it got so far.
    """

    def __init__(self, job: Job, place: int, begin: dict[str, int]) -> None:
        self._job, self._place = job, place
        context = get_context("fork")
        self.connection, theirs = context.Pipe(duplex=False)
        self.process = context.Process(target=_work, args=(theirs, job, place, begin))
        self.process.start()
        theirs.close()
        self._busy: tuple[str, int] | None = None
        self._next = dict(begin)
        self._since, self._since_cpu = time.monotonic(), 0.0

    def take(self, summary: Summary) -> None:
        """Notes what the process says: that it begins with an input, or how that ended."""
        about, target, what = self.connection.recv()
        self._since, self._since_cpu = time.monotonic(), self._cpu_s()
        if about == "begins":
            self._busy = target, what
            self._next[target] = what + self._job.places
            return
        self._busy = None
        summary.add(target, *what)

    def lost(self) -> bool:
        """Whether the process ended in the middle of an input."""
        self.process.join()
        return self._busy is not None

    def stuck(self) -> str | None:
        """Whether one input keeps it for too long, by a processor's time or by the clock."""
        if self._busy is None:
            return None
        if self._cpu_s() - self._since_cpu > STUCK_CPU_S:
            return f"busy for over {STUCK_CPU_S} s of CPU"
        return f"over {STUCK_S} s" if time.monotonic() - self._since > STUCK_S else None

    def _cpu_s(self) -> float:
        """Of the process, so far; nothing once it has ended."""
        try:
            words = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def fail(self, summary: Summary, what: str) -> None:
        """Notes a fault of the input it is busy with."""
        target, number = self._busy or ("?", 0)
        fault = Fault(target, number, what, f"exit code {self.process.exitcode}")
        summary.add(target, fault, 0.0)

    def end(self) -> None:
        """Ends the process."""
        self.process.kill()
        self.process.join()

    def successor(self) -> _Worker:
        """A process that goes on where this one ended."""
        return _Worker(self._job, self._place, self._next)


def _work(connection: Connection, job: Job, place: int, begin: dict[str, int]) -> None:
    # A worker that is stuck would outlive a parent that is killed.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.environ["COLUMNS"] = "100"
    order = Random(f"{job.seed}/{place}/{sum(begin.values())}")
    weights = [target.weight for target in job.targets]
    numbers = {target.name: begin.get(target.name, place) for target in job.targets}
    with tempfile.TemporaryDirectory() as scratch:
        tempfile.tempdir = scratch
        limit_memory()
        while time.monotonic() < job.until and not job.enough.is_set():
            (target,) = order.choices(job.targets, weights)
            number = numbers[target.name]
            numbers[target.name] += job.places
            connection.send(("begins", target.name, number))
            before = _cpu_s()
            end = attempt(job.seed, target, number, job.good[target.name], Path(scratch) / "work")
            os.chdir(scratch)
            connection.send(("ended", target.name, (end, _cpu_s() - before)))
    connection.close()


def _cpu_s() -> float:
    """Of this process and those that it waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def made(target: Target, scratch: Path) -> Path:
    """A folder with the target's good files, which everything that takes them takes well."""
    folder = scratch / target.name.replace(" ", "-")
    good, tried = folder / "good", folder / "tried"
    good.mkdir(parents=True)
    here = Path.cwd()
    with _captured() as (_, err):
        target.make(good)
        for trial in target.attempts if target.damage else ():
            restore(good, tried)
            os.chdir(tried)
            try:
                trial(Random(0))
            except SystemExit as leaving:
                if leaving.code not in (None, ExitCode.DONE, ExitCode.NO, ExitCode.PARTIAL):
                    sys.stderr.flush()
                    raise RuntimeError(f"{target.name}: {err.read_text()}") from None
            finally:
                os.chdir(here)
    return good


def limit_memory() -> None:
    """Notes what this process has used up to now, and how much more it may ask for."""
    global _begun_with
    _begun_with = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + ADDRESSES
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))


def try_one(seed: str, target: Target, number: int) -> str | Fault:
    """One input again, with its files left in build/fuzz."""
    folder = Path("build/fuzz").resolve()
    with tempfile.TemporaryDirectory() as scratch:
        good = made(target, Path(scratch))
        return attempt(seed, target, number, good, folder)
