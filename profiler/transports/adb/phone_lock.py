"""Holding a phone for one profiler: the same lock file as the agents', taken from the host.

The lock is the kernel's, and a shell on the phone holds it as long as its stdin is open and
heartbeats come: the lock of a profiler that died, or whose connection was cut, is released. On a
phone without the program flock a folder is the lock: only one profiler can make it, and it counts
until the heartbeats stop.
"""

from __future__ import annotations

import contextlib
import math
import time
from datetime import UTC, datetime
from shlex import quote

from compofa.common.closing import Closing
from compofa.common.console import printable
from compofa.common.errors import DeviceError
from compofa.profiler.agent.compofa_agent import Refused
from compofa.profiler.transports.adb.phone import Phone
from compofa.profiler.transports.adb.shell import RemoteCommand
from compofa.profiler.transports.base import LinkLost

SILENCE_S = 900
"""Without a heartbeat for so long the phone releases the lock; no request takes longer."""

CLAIMING_S = 5.0

HELD = b"held\n"

# A descriptor of a group of commands is open in the programs it starts, in every shell. From 126 on
# a code says that the shell could not run the program. Without timeout, which Android has since
# version 6, the end of stdin alone ends the lock.
HOLD = """\
umask 077; cd {folder} && {{
flock -n 9 2> /dev/null; code=$?
if [ $code -ge 126 ]; then
  [ -n "$(find held -prune -mmin +{stale} 2> /dev/null)" ] && rmdir held
  mkdir held 2> /dev/null || {{ cat lock; exit 75; }}
  trap 'rmdir held' EXIT
elif [ $code -ne 0 ]; then cat lock; exit 75; fi
printf %s {holder} > lock; echo held
within="timeout {silence}"; command -v timeout > /dev/null || within=
while [ -n "$($within head -n 1)" ]; do [ ! -d held ] || touch held; done
}} 9>>lock"""


class AdbLock(Closing):
    """The lock of one folder on a phone; free until it is claimed."""

    def __init__(self, phone: Phone, folder: str) -> None:
        self._phone, self._folder = phone, folder
        self._remote: RemoteCommand | None = None

    def claim(self, holder: str) -> None:
        """Takes the lock.

        Raises:
            Refused: with kind busy: somebody else has it; the message says who.
            LinkLost: the phone is gone.
        """
        self.close()
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        text = quote(f"{printable(holder)[:300]} since {now}")
        stale = math.ceil(SILENCE_S / 60) + 1
        folder = quote(self._folder)
        hold = HOLD.format(folder=folder, holder=text, silence=SILENCE_S, stale=stale)
        remote = self._phone.start(hold)
        said, until = b"", time.monotonic() + CLAIMING_S
        try:
            while said != HELD and remote.code is None:
                said += remote.receive(until - time.monotonic())
        except (DeviceError, TimeoutError) as error:
            remote.close()
            raise LinkLost(f"cannot lock {self._phone.serial}: {error}") from None
        if said != HELD:
            remote.close()
            holder = printable(said.decode(errors="replace"))[:400] or "another profiler"
            raise Refused("busy", f"in use by {holder}")
        self._remote = remote

    def beat(self) -> None:
        """Says that the profiler is alive, if it holds the lock.

        Raises:
            LinkLost: the connection broke, and the lock with it.
        """
        if self._remote is not None:
            self._remote.send(b"beat\n")

    def close(self) -> None:
        """Lets go of the lock. Safe to call twice."""
        if self._remote is not None:
            remote, self._remote = self._remote, None
            # Waited for, so that whoever claims it next finds it free.
            with remote, contextlib.suppress(DeviceError):
                remote.close_stdin()
                remote.finish(CLAIMING_S)
