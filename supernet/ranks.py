"""The processes (ranks) that train together if torchrun starts them; otherwise there is one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from compofa.common.errors import UserError


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together.

    Attributes:
        rank: the number of this process; number 0 writes the files.
        count: the number of processes.
        device: the device on which this process trains.
        beside: the number of processes on this computer.
    """

    rank: int
    count: int
    device: torch.device
    beside: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and shows messages."""
        return self.rank == 0

    def sum(self, tensor: Tensor) -> None:
        """Sums `tensor` over all ranks, in place.

        Raises:
            UserError: one of the other processes has ended.
        """
        if self.count > 1:
            with _told():
                dist.all_reduce(tensor)

    def wait(self) -> None:
        """Waits until all ranks call this method.

        Raises:
            UserError: one of the other processes has ended.
        """
        if self.count > 1:
            with _told():
                dist.barrier()


@contextmanager
def _told() -> Iterator[None]:
    """Turns a broken connection into an error, since it means that another process has ended."""
    try:
        yield
    except RuntimeError:
        message = "another process of this training has ended"
        hint = "its message is above; run the same command again to continue from the last state"
        raise UserError(message, hint=hint) from None


@contextmanager
def joined_ranks(device: str) -> Iterator[Ranks]:
    """Joins the processes that torchrun started; without torchrun, this process is alone.

    Args:
        device: `cpu`, `cuda`, or `auto` for a GPU if there is one.

    Raises:
        UserError: there is no such device.
    """
    numbers = {name: int(os.environ.get(name, "0")) for name in ("RANK", "LOCAL_RANK")}
    count = int(os.environ.get("WORLD_SIZE", "1"))
    place = _device(device, numbers["LOCAL_RANK"])
    if count == 1:
        yield Ranks(0, 1, place)
        return
    beside = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    _join("nccl" if place.type == "cuda" else "gloo", alone=beside == count)
    try:
        yield Ranks(numbers["RANK"], count, place, beside)
    finally:
        dist.destroy_process_group()


def _join(backend: str, *, alone: bool) -> None:
    """Connects to the other processes.

    If all processes are on this computer, torchrun keeps its store when it restarts them, with the
    addresses of the processes that have ended. Each attempt therefore uses a prefix of its own.
    Across computers torchrun makes a new store, and its counts of restarts may differ.

    Args:
        backend: nccl or gloo.
        alone: whether all processes are on this computer.
    """
    store, rank, count = next(iter(rendezvous("env://")))
    if alone:
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        store = PrefixStore(f"attempt {attempt}", store)
    dist.init_process_group(backend, store=store, rank=rank, world_size=count)


def _device(name: str, local_rank: int) -> torch.device:
    if name not in ("auto", "cpu", "cuda"):
        raise UserError(f"unknown device {name!r}", hint="known: auto, cpu, cuda")
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if local_rank >= torch.cuda.device_count():
        raise UserError(
            f"{local_rank + 1} processes need a GPU each, but there are {torch.cuda.device_count()}"
        )
    torch.cuda.set_device(local_rank)
    return torch.device("cuda", local_rank)
