"""Child processes of this computer that measure, one for each device.

Threads would do for the waiting, but not for the rest: a profile ends in good order by an exception
in its main thread, wherever that waits, and the libraries for all devices would share one
interpreter lock and the state of one process. A child costs a third of a second and some 60 MB.
"""

from __future__ import annotations

import signal
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from compofa.common.errors import ExitCode
from compofa.profiler.fleet.fleet import Workers
from compofa.profiler.fleet.job import (
    SOFTWARE,
    End,
    FailedJob,
    Interrupted,
    Job,
    Progress,
    Reporter,
    carry_out,
)
from compofa.profiler.fleet.shared_models import ModelShop, ModelWanted, OrderedModels
from compofa.profiler.measurement.handshake import REFERENCE
from compofa.profiler.models.model_store import ModelFile
from compofa.supernet.spaces import SPACES

KILLED_S = 10.0
"""How long a child that is closed may take to end before it is killed."""


class Processes(Workers):
    """Starts a child for each device; makes the models for devices that take the same ones.

    This computer, as a device, makes its own models, on the CPUs that are not measured on.

    Args:
        jobs: all that will be started.

    Attributes:
        alone: this computer as a device: it must not be measured while it serves the others.
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        spaces = {space.name: space for job in jobs for space in job.request.spaces}
        self._shop = ModelShop({**spaces, REFERENCE.space: SPACES[REFERENCE.space]}.values())
        self._users = Counter((job.device.runtime, job.device.dtype) for job in jobs)
        self.alone = frozenset(job.name for job in jobs if job.device.on_this_computer)
        # A forked child would inherit the locks of threads that it does not have.
        self._context = get_context("spawn")
        self._children: dict[Connection, tuple[Job, BaseProcess]] = {}

    def start(self, job: Job) -> None:
        """See `Workers.start`."""
        ours, its = self._context.Pipe()
        shared = (
            job.name not in self.alone and self._users[job.device.runtime, job.device.dtype] > 1
        )
        child = self._context.Process(
            target=_measure, args=(its, job, shared), name=job.name, daemon=True
        )
        with _interrupts_held():
            child.start()
        its.close()
        self._children[ours] = job, child

    def take(self, timeout_s: float) -> list[tuple[str, Progress | End]]:
        """See `Workers.take`."""
        taken: list[tuple[str, Progress | End]] = []
        for connection in wait(list(self._children), timeout_s):
            assert isinstance(connection, Connection)
            job, child = self._children[connection]
            try:
                report = connection.recv()
            except (EOFError, OSError):
                report = self._died(connection)
            if isinstance(report, ModelWanted):
                self._shop.order(job.device, report.cell, partial(_deliver, connection))
                continue
            if isinstance(report, End):
                del self._children[connection]
                connection.close()
                child.join(KILLED_S)
                child.kill()
            taken.append((job.name, report))
        return taken

    def _died(self, connection: Connection) -> FailedJob:
        """What to report of a child that ended without a message."""
        _, child = self._children[connection]
        child.join(KILLED_S)
        code = child.exitcode or 0
        if code == 1:  # its traceback is on the screen
            return FailedJob("this is a bug in compofa: please report it", SOFTWARE)
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        message = (
            f"the process that measured it ended ({how}); the same command continues from what "
            "was measured"
        )
        return FailedJob(message, ExitCode.DEVICE)

    def interrupt(self) -> None:
        """See `Workers.interrupt`."""
        for _, child in self._children.values():
            child.terminate()

    def close(self) -> None:
        """Ends what still runs, in order where it lets itself be ended so."""
        self.interrupt()
        for connection, (_, child) in self._children.items():
            child.join(KILLED_S)
            child.kill()
            child.join()
            connection.close()
        self._children.clear()
        self._shop.close()


def _deliver(connection: Connection, made: ModelFile | FailedJob) -> None:
    # Whoever ordered it may be gone.
    with suppress(OSError):
        connection.send(made)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """A child started meanwhile never hears of Ctrl-C, which is for us; we do, afterwards."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _measure(connection: Connection, job: Job, shared: bool) -> None:
    """What a child does."""
    signal.signal(signal.SIGTERM, _end_in_order)
    # Models are ordered by a thread of their own.
    lock = threading.Lock()

    def send(report: Progress | End | ModelWanted) -> None:
        try:
            with lock:
                connection.send(report)
        except OSError:
            raise SystemExit from None  # nobody is there any more to measure for

    models = OrderedModels(connection, send) if shared else None
    try:
        send(carry_out(job, Reporter(send), models))
    except KeyboardInterrupt:
        send(Interrupted())


def _end_in_order(*_: object) -> None:
    """Raises what a profile expects; only once, so that nothing disturbs its end."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt
