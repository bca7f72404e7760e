"""What a host of a cluster does for a caller elsewhere: it measures a device connected to it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from compofa.common.errors import ExitCode
from compofa.profiler.fleet.carried_files import carried_collection
from compofa.profiler.fleet.job import (
    FailedJob,
    FinishedJob,
    Interrupted,
    Job,
    Progress,
    Reporter,
    carry_out,
)
from compofa.profiler.fleet.remote_journal import JournalTail
from compofa.profiler.models.collection.collection import Collection
from compofa.profiler.results.journal import journal_path
from compofa.profiler.results.meta import installed_version


@dataclass(frozen=True)
class OnHost:
    """A task's first message: the host that it runs on, as Ray calls it."""

    node: str


@dataclass(frozen=True)
class ClusterResult:
    """A task's last message: the journal is complete, as far as time allowed."""

    seconds: float
    out_of_time: bool


@dataclass(frozen=True)
class Message:
    """What a task sends while it runs.

    Attributes:
        attempt: number of the attempt at this device; messages of older ones are ignored.
        lines: new lines of its journal.
    """

    device: str
    attempt: int
    lines: bytes
    report: Progress | OnHost | None


def measure_here(
    wanted: str,
    job: Job,
    attempt: int,
    journal: bytes,
    messages: Any,
    files: Sequence[tuple[str, Any]],
) -> ClusterResult | FailedJob | Interrupted:
    """What a task does, on the host that the device is connected to.

    Args:
        wanted: the version of the caller's compofa.
        job: what to measure.
        attempt: number of the attempt at this device.
        journal: the content of the journal so far, which the profile continues.
        messages: Ray's queue for messages to the caller.
        files: those of a collection, see `files_to_carry`: their names, and Ray's references to
            their contents.
    """
    import ray

    if wanted != installed_version():
        message = f"its host has compofa {installed_version()}, but this computer has {wanted}"
        return FailedJob(message, ExitCode.USER)
    with tempfile.TemporaryDirectory(prefix="compofa-fleet-") as folder:
        out = Path(folder) / job.request.out.name
        path = journal_path(out)
        path.write_bytes(journal)
        tail = JournalTail(path)

        def send(report: Progress | OnHost | None) -> None:
            messages.put(Message(job.name, attempt, tail.gained(), report))

        send(OnHost(ray.get_runtime_context().get_node_id()))
        request = replace(job.request, out=out, fresh=False)
        if isinstance(request.space, Collection):
            contents = ((name, ray.get(content)) for name, content in files)
            space = carried_collection(request.space, Path(folder), contents)
            request = replace(request, space=space)
        end = carry_out(replace(job, request=request), Reporter(send), None)
        send(None)
    match end:
        case FinishedJob(outcome):
            return ClusterResult(outcome.seconds, outcome.out_of_time)
        case FailedJob(message, exit_code):
            return FailedJob(message.replace(f"{folder}/", ""), exit_code)
    return Interrupted()
