"""One device behind the adb server: whether it can be reached, and what can be asked of it."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path

from compofa.common.errors import DeviceError
from compofa.profiler.transports.adb.push import push
from compofa.profiler.transports.adb.server import ANSWER_S, AdbRefused, AdbServer
from compofa.profiler.transports.adb.shell import RemoteCommand, ShellResult
from compofa.profiler.transports.base import LinkLost

FIRST_S = 4.0
"""How long a device that was not seen before may take to answer."""

RETURN_S = 20.0
"""How long a device that went away may take to come back; adb itself retries after 10 s."""

POLL_S = 0.1

REVIVE_S = 2.0
"""Between two attempts to have the server connect anew."""

CONNECT_S = 15.0
"""How long `adb connect` may take; on a dead address it takes long to say so."""

PASSING = ("offline", "authorizing", "connecting", "recovering", "detached")
"""States that pass by themselves, or once the server connects anew."""

ADVICE = {
    "unauthorized": "unlock it and accept this computer's key; if it does not ask, "
    "revoke USB debugging authorisations in its developer options and plug it in again",
    "no permissions": "this user may not open USB devices: see developer.android.com/studio/run/"
    "device about udev rules",
    "offline": "plug it in again, or switch USB debugging off and on",
    "bootloader": "boot it: adb sees its bootloader",
    "recovery": "boot it: adb sees its recovery system",
    "sideload": "boot it: adb sees its recovery system",
}


@dataclass(frozen=True)
class Phone:
    """A device of the adb server, by serial number or network address (HOST:PORT)."""

    server: AdbServer
    serial: str

    @property
    def by_network(self) -> bool:
        """Whether the server has to be told to connect to it."""
        return re.fullmatch(r"[^:\s]+:\d+|\[[0-9a-fA-F:]+\]:\d+", self.serial) is not None

    def state(self) -> str | None:
        """What the server says of it: device, offline, unauthorized, ...; None if not there."""
        return self._listed().get(self.serial)

    def reach(self, patience_s: float = RETURN_S) -> None:
        """Returns once the device answers; connects to it anew where that helps.

        Args:
            patience_s: how long it may take to come back.

        Raises:
            DeviceError: it does not, and waiting will not help; the message says what will.
            LinkLost: it did not come back in time.
        """
        until = time.monotonic() + patience_s
        tried = 0.0
        while not self._answers():
            state = self.state()
            # A phone that is not plugged in does not come by waiting.
            if state is None and not self.by_network:
                raise self._missing()
            if state not in (None, "device", *PASSING):
                raise self._useless(state)
            if time.monotonic() > until:
                raise self._useless(state)
            if time.monotonic() - tried > REVIVE_S:
                self._revive(state)
                tried = time.monotonic()
            time.sleep(POLL_S)

    def _answers(self) -> bool:
        try:
            self.server.probe(self.serial)
        except LinkLost:
            return False
        return True

    def _revive(self, state: str | None) -> None:
        """Has the server connect anew; a silent device may be one whose old connection was cut."""
        try:
            if self.by_network:
                if state is not None:
                    self.server.ask(f"host:disconnect:{self.serial}")
                self.server.ask(f"host:connect:{self.serial}", CONNECT_S)
            else:
                self.server.ask(f"host-serial:{self.serial}:reconnect")
        except AdbRefused:
            return  # its state says more

    def _missing(self) -> DeviceError:
        listed = ", ".join(self._listed()) or "none"
        return LinkLost(
            f"adb sees no device {self.serial}; it sees: {listed}",
            hint="plug it in, unlock it and switch USB debugging on",
        )

    def _useless(self, state: str | None) -> DeviceError:
        if state is None or state == "device":
            said = f"{self.serial} did not answer" if state else f"cannot connect to {self.serial}"
            return LinkLost(said, hint="is it on, and in this network? see adb devices")
        advice = next((ADVICE[known] for known in ADVICE if state.startswith(known)), None)
        kind = LinkLost if state in PASSING else DeviceError
        return kind(f"{self.serial} is {state}", hint=advice)

    def _listed(self) -> dict[str, str]:
        lines = self.server.ask("host:devices").splitlines()
        return {serial: state for serial, _, state in (line.partition("\t") for line in lines)}

    def start(self, command: str) -> RemoteCommand:
        """Starts `command` in the device's shell.

        Raises:
            LinkLost: the device cannot be reached.
        """
        try:
            return RemoteCommand(self.server.open(self.serial, f"shell,v2,raw:{command}"))
        except AdbRefused as error:
            raise LinkLost(f"{self.serial}: {error.reason}") from None

    def run(self, command: str, timeout_s: float = ANSWER_S) -> ShellResult:
        """Runs `command` in the device's shell to its end.

        Raises:
            LinkLost: the device is gone, or silent for `timeout_s`.
        """
        with self.start(command) as remote:
            return remote.finish(timeout_s)

    def push(self, file: Path, target: str, mode: int) -> None:
        """Sends a file.

        Raises:
            LinkLost: the connection broke.
            DeviceError: the device could not store it.
        """
        try:
            with self.server.open(self.serial, "sync:") as stream:
                push(stream, file, target, mode)
        except AdbRefused as error:
            raise LinkLost(f"{self.serial}: {error.reason}") from None
