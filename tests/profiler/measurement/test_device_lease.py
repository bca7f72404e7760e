"""One profiler at a time on a device: the second waits, and says for whom."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from compofa.common.errors import DeviceError
from compofa.profiler.measurement.device_lease import DeviceLease, holder
from compofa.profiler.transports.agent_client import AgentError, AgentLink, Hello
from compofa.profiler.transports.local import LocalChannel, LocalDevice, LocalTransport

DEVICE = LocalDevice(name="here")


@pytest.fixture
def agent() -> Iterator[Callable[[], LocalChannel]]:
    """Starts agents, each by a transport of its own as another profiler's would be."""
    opened: list[LocalTransport | LocalChannel] = []

    def start() -> LocalChannel:
        transport = LocalTransport(DEVICE)
        channel = transport.start_agent()
        assert isinstance(channel, LocalChannel)
        opened.extend((channel, transport))
        return channel

    yield start
    for each in opened:
        each.close()


def test_the_second_profiler_of_a_computer_is_told_who_the_first_is(
    agent: Callable[[], LocalChannel],
) -> None:
    AgentLink(agent()).hello(1, None, "ann@desk pid 7")
    with pytest.raises(AgentError, match=r"in use by ann@desk pid 7 since \d{4}-.*Z$") as refused:
        AgentLink(agent()).hello(1, None, "bob@desk pid 8")
    assert refused.value.kind == "busy"
    # Who does not want the device to itself need not wait.
    AgentLink(agent()).hello(1, None)


def test_the_lock_of_an_agent_that_was_killed_is_gone(agent: Callable[[], LocalChannel]) -> None:
    first = agent()
    AgentLink(first).hello(1, None, "ann@desk pid 7")
    os.kill(first.pid, signal.SIGKILL)
    first.close()
    AgentLink(agent()).hello(1, None, "bob@desk pid 8")


def test_the_lock_is_for_its_owner_alone(agent: Callable[[], LocalChannel]) -> None:
    AgentLink(agent()).hello(1, None, "ann@desk pid 7")
    lock = Path(os.environ["XDG_CACHE_HOME"], "compofa", "lock")
    assert stat.S_IMODE(lock.stat().st_mode) == 0o600


def test_waiting_is_said_once_and_ends_with_the_other_profiler(
    agent: Callable[[], LocalChannel],
) -> None:
    first = agent()
    said: list[str] = []
    slept: list[float] = []
    AgentLink(first).hello(1, None, "ann@desk pid 7")

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            first.close()

    lease = DeviceLease(DEVICE, said.append, sleep=sleep)
    hello = lease.hello(AgentLink(agent()))
    assert "onnxruntime" in hello.runtimes
    assert slept == [1.0, 1.0, 1.0]
    assert len(said) == 1
    assert said[0].startswith("waiting: the device is in use by ann@desk pid 7 since ")


class Busy(AgentLink):
    """An agent whose device is never free."""

    def hello(
        self,
        threads: int,
        cpus: list[int] | None,
        holder: str | None = None,
        classes: Mapping[str, str] | None = None,
    ) -> Hello:
        raise AgentError("busy", "in use by ann@desk pid 7 since yesterday")


@pytest.mark.parametrize("limit", ["wait_s", "until"])
def test_waiting_has_an_end(agent: Callable[[], LocalChannel], limit: str) -> None:
    lease = DeviceLease(DEVICE, lambda _: None, sleep=lambda _: None, **{limit: 0.0})
    with pytest.raises(DeviceError, match="here is still in use by ann@desk pid 7"):
        lease.hello(Busy(agent()))


def test_other_errors_are_not_waited_for(agent: Callable[[], LocalChannel]) -> None:
    def sleep(_: float) -> None:
        pytest.fail("it waits")

    lease = DeviceLease(LocalDevice(name="here", cpus=[9999]), lambda _: None, sleep=sleep)
    with pytest.raises(AgentError, match="CPUs .9999. do not exist"):
        lease.hello(AgentLink(agent()))


def test_a_holder_is_a_person_at_a_computer_in_a_process() -> None:
    assert holder().endswith(f" pid {os.getpid()}")
    assert "@" in holder()
