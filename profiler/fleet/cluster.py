"""Measuring by a Ray cluster: each device is a resource, `device:NAME`, of the host it hangs on.

The profile runs on that host, next to the device. Its journal comes back line by line as it is
written there. So what has reached this computer survives the host, and another host can continue
from it; fetching the journal at the end would lose it with the host. The table is made here, from
the journal alone.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from compofa.common.errors import CompofaError, MissingExtra, UserError, file_error
from compofa.profiler.fleet.carried_files import files_to_carry
from compofa.profiler.fleet.cluster_host import (
    ClusterResult,
    OnHost,
    measure_here,
)
from compofa.profiler.fleet.fleet import Workers
from compofa.profiler.fleet.job import (
    SOFTWARE,
    End,
    FailedJob,
    FinishedJob,
    Interrupted,
    Job,
    LostJob,
    Progress,
)
from compofa.profiler.fleet.remote_journal import JournalCopy
from compofa.profiler.measurement.profile import Outcome
from compofa.profiler.models.collection.collection import Collection
from compofa.profiler.results.build import write_tables
from compofa.profiler.results.journal import journal_path, read_journal
from compofa.profiler.results.meta import installed_version

PREFIX = "device:"
"""Ray's name for the resource of a device is this and the device's name."""

CONNECT_S = 5.0


@dataclass
class _Attempt:
    """A device that is being measured, or waits for another user of the cluster.

    Attributes:
        number: counts the attempts at this device.
        task: Ray's reference to it.
        node: the host that it runs on, once it does.
    """

    job: Job
    number: int
    task: Any
    node: str | None = None


class Cluster(Workers):
    """The hosts of a Ray cluster, which this computer is one of.

    Args:
        address: HOST:PORT of its head, or auto.

    Raises:
        MissingExtra: Ray is not installed here.
        UserError: there is no such cluster.
    """

    def __init__(self, address: str) -> None:
        with ExitStack() as opened:
            # Ray prints what becomes of its hosts, and does it where results are to go.
            silence = opened.enter_context(Path(os.devnull).open("w"))
            opened.enter_context(redirect_stdout(silence))
            self._ray = _connect(address)
            opened.callback(self._ray.shutdown)
            self._messages = _queue_here()
            self._opened = opened.pop_all()
        self._journals: dict[str, JournalCopy] = {}
        self._attempts: dict[str, _Attempt] = {}
        self._counts: Counter[str] = Counter()
        self._contents: dict[Path, Any] = {}
        self._dead: set[str] = set()

    def place(self, job: Job) -> str:
        """See `Workers.place`; several hosts may be devices themselves."""
        return job.name if job.device.on_this_computer else job.device.resource

    def reachable(self) -> frozenset[str]:
        """See `Workers.reachable`; Ray takes some time to notice that a host is dead."""
        return frozenset(
            resource.removeprefix(PREFIX)
            for node in self._ray.nodes()
            if node["Alive"] and node["NodeID"] not in self._dead
            for resource in node["Resources"]
            if resource.startswith(PREFIX)
        )

    def start(self, job: Job) -> None:
        """See `Workers.start`."""
        if job.name not in self._journals:
            copy = JournalCopy(journal_path(job.request.out), fresh=job.request.fresh)
            self._journals[job.name] = self._opened.enter_context(copy)
        self._counts[job.name] += 1
        number = self._counts[job.name]
        carried, files = self._carried(job)
        task = (
            self._ray.remote(measure_here)
            # The device is scarce, and not Ray's CPUs. Ray must not retry by itself: the journal
            # says what is left to do.
            .options(num_cpus=0, max_retries=0, resources={PREFIX + job.name: 1})
            .remote(
                installed_version(),
                carried,
                number,
                self._journals[job.name].content,
                self._messages,
                files,
            )
        )
        self._attempts[job.name] = _Attempt(job, number, task)

    def _carried(self, job: Job) -> tuple[Job, list[tuple[str, Any]]]:
        """The job as its host gets it, and the model files that it needs there."""
        collection = job.request.space
        if not isinstance(collection, Collection):
            return job, []
        relative, paths = files_to_carry(collection, job.device.runtime)
        for path in paths.values():
            if path not in self._contents:
                try:
                    self._contents[path] = self._ray.put(path.read_bytes())
                except OSError as error:
                    raise file_error(error, path, "cannot read the model") from None
        files = [(name, self._contents[path]) for name, path in paths.items()]
        return replace(job, request=replace(job.request, space=relative)), files

    def take(self, timeout_s: float) -> list[tuple[str, Progress | End]]:
        """See `Workers.take`."""
        names = {attempt.task: name for name, attempt in self._attempts.items()}
        if not names:
            time.sleep(timeout_s)
            return []
        over, _ = self._ray.wait(list(names), num_returns=len(names), timeout=timeout_s)
        # Whatever a task has said was in the queue before it ended.
        taken = list(self._reports())
        ended = [names[task] for task in over if names[task] in self._attempts]
        taken += [(name, self._end(name)) for name in ended]
        reachable = self.reachable()
        for name in [n for n, a in self._attempts.items() if a.node is None and n not in reachable]:
            self._ray.cancel(self._attempts.pop(name).task)
            taken.append((name, LostJob("its host left the cluster before measuring began")))
        return taken

    def _reports(self) -> Iterator[tuple[str, Progress | End]]:
        """Takes in what the tasks have sent, journals first."""
        for message in self._messages.get_nowait_batch(self._messages.qsize()):
            attempt = self._attempts.get(message.device)
            # A host that was taken for dead may still send lines that its successor measures again.
            if attempt is None or attempt.number != message.attempt:
                continue
            try:
                self._journals[message.device].append(message.lines)
            except CompofaError as error:
                self._ray.cancel(self._attempts.pop(message.device).task)
                yield message.device, FailedJob(str(error), error.exit_code)
                continue
            if isinstance(message.report, OnHost):
                attempt.node = message.report.node
            elif message.report is not None:
                yield message.device, message.report

    def _end(self, name: str) -> End:
        """What became of a task that has ended."""
        attempt = self._attempts.pop(name)
        exceptions = self._ray.exceptions
        try:
            said: ClusterResult | FailedJob | Interrupted = self._ray.get(attempt.task)
            return _tabulated(attempt.job, said) if isinstance(said, ClusterResult) else said
        except exceptions.TaskCancelledError:
            return Interrupted()
        except exceptions.RayTaskError as error:
            print(error, file=sys.stderr)
            return FailedJob("this is a bug in compofa: please report it", SOFTWARE)
        except exceptions.NodeDiedError:
            if attempt.node is not None:
                self._dead.add(attempt.node)
            return LostJob("its host was lost")
        except exceptions.RayError as error:
            return LostJob(f"its host no longer measures: {str(error).splitlines()[0]}")
        except CompofaError as error:
            return FailedJob(str(error), error.exit_code)

    def interrupt(self) -> None:
        """See `Workers.interrupt`."""
        for attempt in self._attempts.values():
            self._ray.cancel(attempt.task)

    def close(self) -> None:
        """See `Closing.close`; Ray ends what still runs for us."""
        self._opened.close()


def _connect(address: str) -> Any:
    """Ray, connected to the cluster at `address`."""
    try:
        import ray
    except ImportError:
        raise MissingExtra("ray", "ray") from None
    parsed = re.fullmatch(r"auto|([A-Za-z0-9][\w.-]*|\[[0-9a-fA-F:]+\]):([0-9]{1,5})", address)
    if parsed is None:
        raise UserError(f"--cluster must be auto or HOST:PORT, not {address!r}")
    try:
        if parsed[1]:
            # Ray itself takes minutes to say that nobody answers.
            socket.create_connection((parsed[1].strip("[]"), int(parsed[2])), CONNECT_S).close()
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, OverflowError, RuntimeError, ray.exceptions.RayError) as error:
        said = getattr(error, "strerror", None) or str(error).partition(". ")[0]
        hint = "this computer must be part of the cluster: `ray start --address HOST:PORT`"
        raise UserError(f"cannot join the cluster at {address}: {said}", hint=hint) from None
    return ray


def _queue_here() -> Any:
    """A queue for messages that lives on this computer, so that no other host takes it away."""
    import ray
    from ray.util.queue import Queue
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return Queue(actor_options={"num_cpus": 0, "scheduling_strategy": here})


def _tabulated(job: Job, measured: ClusterResult) -> FinishedJob:
    out = job.request.out
    header, lines = read_journal(journal_path(out))
    written = write_tables(out, job.request.built_space, header, lines)
    return FinishedJob(Outcome(written, measured.seconds, measured.out_of_time))
