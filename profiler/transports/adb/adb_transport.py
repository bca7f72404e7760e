"""Phones: adb carries agents and models there, and the agent's stdin and stdout."""

from __future__ import annotations

import contextlib
from pathlib import Path

from compofa.common.errors import UserError, file_error
from compofa.common.files import sha256
from compofa.profiler.agent import AGENT
from compofa.profiler.transports.adb.adb_device import AdbDevice
from compofa.profiler.transports.adb.agent_channel import AdbChannel
from compofa.profiler.transports.adb.android import Android
from compofa.profiler.transports.adb.benchmark_channel import BenchmarkChannel, BenchmarkModel
from compofa.profiler.transports.adb.benchmark_program import BenchmarkProgram
from compofa.profiler.transports.adb.cache_folder import AdbFolder
from compofa.profiler.transports.adb.phone import FIRST_S, RETURN_S, Phone
from compofa.profiler.transports.adb.phone_lock import AdbLock
from compofa.profiler.transports.adb.server import AdbServer
from compofa.profiler.transports.base import Channel, LinkLost, Transport

PROGRAM = 0o700


class AdbTransport(Transport):
    """A phone, connected to on first use.

    Args:
        device: the phone.
        server: knows it; the one that the `adb` command would use if left out.
    """

    def __init__(self, device: AdbDevice, server: AdbServer | None = None) -> None:
        self._device = device
        self._phone = Phone(server or AdbServer.of_environment(), device.serial)
        self._folder = AdbFolder(self._phone, device.folder)
        self._android = Android(self._phone)
        self._reached = False
        self._agents: list[AdbChannel] = []
        self._files: dict[str, Path] = {}
        self._benchmark: BenchmarkModel | None = None

    def put(self, file: Path, sha256: str) -> None:
        """See `Transport.put`."""
        self._reach()
        self._folder.put(file, sha256)
        self._files[sha256] = file

    def start_agent(self) -> Channel:
        """See `Transport.start_agent`."""
        self._reach()
        if self._device.spec.invoked:
            return BenchmarkChannel(
                self._benchmark_model(), AdbLock(self._phone, self._device.folder)
            )
        channel = AdbChannel(self._phone, self._agent(), self._android)
        self._agents.append(channel)
        return channel

    def _benchmark_model(self) -> BenchmarkModel:
        if self._benchmark is None:
            if self._device.binary is None:
                raise UserError(
                    f"{self._device.name}: the inventory does not say where benchmark_model is",
                    hint="name the file with `binary`; docs/android-phone.md says where to get it",
                )
            file = Path(self._device.binary)
            program = BenchmarkProgram(self._folder, file, self._digest(file))
            self._benchmark = BenchmarkModel(program, self._android, self._files)
        return self._benchmark

    def _agent(self) -> list[str]:
        """The agent's command line, after its program and library were put on the phone."""
        device = self._device
        if device.python is not None:
            return [device.python, "-I", self._program(AGENT), device.folder]
        if device.agent is None:
            raise UserError(
                f"{device.name}: the inventory names no program that runs {device.runtime} on the "
                "phone",
                hint="name the native agent with `agent` (and ONNX Runtime with `library`), or an "
                "interpreter on the phone with `python`",
            )
        words = [self._program(Path(device.agent)), device.folder]
        return [*words, self._program(Path(device.library))] if device.library else words

    def _program(self, file: Path) -> str:
        """Puts a program on the phone; its path there."""
        return self._folder.put(file, self._digest(file), PROGRAM)

    def _digest(self, file: Path) -> str:
        try:
            return sha256(file.read_bytes())
        except OSError as error:
            raise file_error(error, file, f"{self._device.name}: cannot read the file") from None

    def _reach(self) -> None:
        """Connects, and connects anew after the connection was lost."""
        self._phone.reach(RETURN_S if self._reached else FIRST_S)
        if not self._reached:
            self._folder.prepare()
        self._reached = True
        self._end_lost()

    def _end_lost(self) -> None:
        """Ends the agents that were lost with the connection and go on working."""
        for agent in self._agents:
            if agent.lost:
                agent.kill()
        self._agents = [agent for agent in self._agents if not agent.closed]

    def close(self) -> None:
        """See `Transport.close`."""
        with contextlib.suppress(LinkLost):
            self._end_lost()
