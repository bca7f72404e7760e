"""An SSH host that is ready for agents: a private folder, and a Python that is new enough."""

from __future__ import annotations

import re
from contextlib import ExitStack

from compofa.common.closing import Closing
from compofa.common.errors import DeviceError
from compofa.profiler.transports.ssh.connection import Connection
from compofa.profiler.transports.ssh.remote_files import RemoteFiles
from compofa.profiler.transports.ssh.remote_process import SshProcess, run
from compofa.profiler.transports.ssh.ssh_device import SshDevice

OLDEST_PYTHON = 3, 8

ENVIRONMENT = "venv"
"""The folder's own Python environment, where there is one."""

READY = f"{ENVIRONMENT}/compofa-ready"
"""Written once the environment is complete."""

MAKE_FOLDER = 'CDPATH=; cd && pwd && mkdir -p "$1" && chmod 700 "$1" && cd "$1" && pwd -P'
ASK_VERSION = 'exec "$1" -c "import sys; print(\\"%d %d\\" % sys.version_info[:2])"'


class Host(Closing):
    """A device that is connected; closing it closes the connection.

    Attributes:
        alias: the device, for messages.
        files: the agent's folder.
        named_python: the interpreter that the inventory names.

    Raises:
        LinkLost: the connection broke.
        DeviceError: the folder cannot be made.
    """

    def __init__(self, device: SshDevice, connection: Connection) -> None:
        with ExitStack() as opened:
            self.connection = opened.enter_context(connection)
            self.alias, self.named_python = device.name, device.python
            self._home, self._folder = self._make_folder(device.folder)
            self.files = RemoteFiles(connection, self._folder)
            self._opened = opened.pop_all()
        self._known_python: str | None = None

    def start_agent(self, name: str) -> SshProcess:
        """Runs the file `name` of the folder as the agent.

        Raises:
            LinkLost: the connection broke.
            DeviceError: there is no Python that can run it.
        """
        if self._known_python is None:
            self._known_python = self.python()
        # Isolated: nobody's PYTHONPATH or current folder may bring modules of its own.
        words = self._known_python, "-I", self.files.path(name), self._folder
        return SshProcess(self.connection, 'exec "$@"', *words)

    def system_python(self) -> str:
        """The interpreter that the inventory names, or python3.

        Raises:
            DeviceError: it is not there, or too old.
        """
        python = self._at_home(self.named_python or "python3")
        asked = run(self.connection, ASK_VERSION, python)
        numbers = asked.output.split()
        if (
            asked.code
            or len(numbers) != 2
            or not all(re.fullmatch(r"[0-9]{1,4}", n) for n in numbers)
        ):
            raise self._no_python(f"cannot run {python}: {asked.last_words}")
        if tuple(map(int, numbers)) < OLDEST_PYTHON:
            raise self._no_python(f"has Python {'.'.join(numbers)} as {python}")
        return python

    def _at_home(self, path: str) -> str:
        """`path` with a leading ~/ replaced: no shell will do that for us."""
        return f"{self._home}/{path[2:]}" if path.startswith("~/") else path

    def close(self) -> None:
        """See `Closing.close`."""
        self._opened.close()

    def python(self) -> str:
        """The interpreter for agents: that of our own environment, if it is there and may be used.

        Raises:
            DeviceError: another is needed, and is not there or too old.
        """
        if self.named_python is None and self.files.exists(READY):
            return self.files.path(f"{ENVIRONMENT}/bin/python")
        return self.system_python()

    def _make_folder(self, folder: str) -> tuple[str, str]:
        """The user's home and the absolute path of `folder`, which exists from now on."""
        made = run(self.connection, MAKE_FOLDER, folder.removeprefix("~/"))
        lines = made.output.splitlines()
        if made.code or len(lines) != 2:
            raise DeviceError(
                f"cannot make {folder} on {self.alias}: {made.last_words}",
                hint="name another folder with `folder` in the inventory",
            )
        return lines[0], lines[1]

    def _no_python(self, what: str) -> DeviceError:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        return DeviceError(
            f"{self.alias} {what}; an agent needs Python {oldest} or newer",
            hint="name another interpreter with `python` in the inventory",
        )
