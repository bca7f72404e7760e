"""A program on an SSH host: its stdin and stdout over one channel, without a terminal."""

from __future__ import annotations

import re
import threading
import time
from contextlib import suppress
from dataclasses import dataclass

from compofa.common.console import printable
from compofa.common.errors import CompofaError, DeviceError
from compofa.profiler.transports.base import AgentLost, LinkLost, Lost
from compofa.profiler.transports.ssh.connection import Connection
from compofa.profiler.transports.ssh.library import translated
from compofa.profiler.transports.stream import StreamChannel

START_S = 30.0
"""For a shell to start."""

SEND_S = 30.0
"""For the program to take what it is sent."""

MARK = "compofa-process-id"

LAST_WORDS = 2000
"""Bytes of stderr that are kept."""

LONGEST_OUTPUT = 1 << 20
"""Bytes of stdout that `finish` takes; what it waits for prints a few lines."""

READ = 1 << 16

WINDOW = 1 << 21
"""More bytes than this are never under way: paramiko's usual window."""

KILL = (
    'case "$(ps -ww -o args= -p "$1" 2>/dev/null || tr "\\0" " " < "/proc/$1/cmdline")" in '
    '*"$2"*) kill -9 "$1" ;; esac'
)
"""Kills process $1 if $2 is in its command line; busybox has no `ps -p`, macOS no /proc."""


@dataclass(frozen=True)
class ProgramEnd:
    """How a program ended, what it printed, and the end of what it wrote to stderr."""

    code: int
    output: str
    errors: str

    @property
    def last_words(self) -> str:
        """The last line of its stderr, or else of its stdout, fit to be shown."""
        lines = (self.errors.strip() or self.output.strip()).splitlines()
        return printable(lines[-1])[:200] if lines else f"exit code {self.code}"


def quote(word: str) -> str:
    """`word` as one word of a command line, for sh, bash, zsh, fish, csh and busybox alike.

    Even inside single quotes fish gives backslashes a meaning, and csh exclamation marks. So these
    stand outside, behind a backslash, as single quotes have to.
    """
    return "'" + re.sub(r"['\\!]", r"'\\\g<0>'", word) + "'"


class SshProcess(StreamChannel):
    """A POSIX shell script that is running; it usually ends with `exec` of the program proper.

    Args:
        connection: the way to the host.
        script: what `sh` runs there; the arguments are its $1, $2 and so on.

    Attributes:
        pid: of the shell, and so of what it execs.
        over: whether it is known to have ended.

    Raises:
        LinkLost: the connection broke.
        AgentLost: the host's shell ended without having run the script.
        DeviceError: the host refuses to run commands, or its shell prints without end.
    """

    def __init__(self, connection: Connection, script: str, *arguments: str) -> None:
        super().__init__()
        self._connection = connection
        self._last_words = bytearray()
        self._closed = self.over = False
        self.pid = 0
        # The login shell may be any; it only sees quoted words. What its start-up files print
        # comes before the mark.
        script = f'umask 077; echo "{MARK} $$"; {script}'
        words = ("sh", "-c", script, "compofa", *arguments)
        self._last_argument = words[-1]
        self._channel = connection.open_session()
        self._execute("exec " + " ".join(map(quote, words)))
        self.pid = self._read_mark()

    def _execute(self, command: str) -> None:
        """Has the host run a command line, and waits until it agrees to."""
        # paramiko waits for ever for the answer of a host that goes on sending signs of life.
        alarm = threading.Timer(START_S, self._let_go)
        alarm.start()
        try:
            with translated(self._refused):
                self._channel.exec_command(command)
        finally:
            alarm.cancel()

    def _refused(self, _: str) -> CompofaError:
        """What to raise where the host does not run the command."""
        self._let_go()
        if self._connection.broke():
            return self._connection.lost
        return DeviceError(f"{self._alias} refuses to run commands")

    def _let_go(self) -> None:
        """Closes the channel; a connection that is broken may object to that."""
        with suppress(Exception):
            self._channel.close()

    def _read_mark(self) -> int:
        """Reads up to the mark that the script prints before anything else."""
        noise, heard = b"", 0
        while heard < LONGEST_OUTPUT:
            try:
                line = self.receive_line(START_S, LONGEST_OUTPUT)
            except Lost as error:
                self.close()
                said = printable(noise.decode(errors="replace").strip()[:200])
                if self._connection.broke():
                    raise self._connection.lost from None
                raise AgentLost(f"{self._alias} runs no shell: {said or error.message}") from None
            mark = re.fullmatch(rb".*" + MARK.encode() + rb" (\d{1,10})\r?\n", line, re.DOTALL)
            if mark:
                return int(mark[1])
            noise, heard = line, heard + len(line)
        self.close()
        raise DeviceError(f"the start-up files of the shell on {self._alias} print without end")

    def send(self, data: bytes) -> None:
        """See `Channel.send`."""
        self._channel.settimeout(SEND_S)
        with translated(lambda _: self.ended()):
            self._channel.sendall(data)

    def end_input(self) -> None:
        """Tells it that there is no more input; where it has ended, nobody needs to know."""
        with suppress(Exception):
            self._channel.shutdown_write()

    def receive(self, timeout_s: float) -> bytes:
        """See `StreamChannel.receive`."""
        until = time.monotonic() + timeout_s
        while True:
            # Unread stderr would fill the channel's window, and stdout would come to a halt too.
            self._keep_last_words()
            left = until - time.monotonic()
            self._channel.settimeout(max(0.0, min(0.2, left)))
            try:
                return self._channel.recv(READ)
            except TimeoutError:
                if left <= 0:
                    raise

    def diagnosis(self) -> str:
        """See `Channel.diagnosis`."""
        code = self._exit_code(1.0)
        if code is None:
            return ""
        # sshd tells of a signal in a message of its own, which paramiko drops.
        parts = ["killed" if code < 0 else f"exit code {code}", *self.errors.splitlines()[-1:]]
        return printable(", ".join(parts))

    def ended(self) -> Lost:
        """See `StreamChannel.ended`."""
        return self._connection.lost if self._connection.broke() else super().ended()

    @property
    def errors(self) -> str:
        """The end of what it wrote to stderr."""
        return self._last_words.decode(errors="replace").strip()

    def close(self) -> None:
        """See `Channel.close`. Where the connection is lost, `over` stays false."""
        if self._closed:
            return
        self._closed = True
        self.end_input()
        self.over = self.over or self._exit_code(self.closing_s) is not None
        self._let_go()
        if not self.over and self._connection.alive and self.pid:
            self.kill(self._connection)

    def kill(self, connection: Connection) -> None:
        """Kills it over `connection`, unless it is over or its id belongs to something else."""
        if not self.over:
            run(connection, KILL, str(self.pid), self._last_argument)
            self.over = True

    def finish(self, deadline_s: float, longest: int = LONGEST_OUTPUT) -> ProgramEnd:
        """Waits for its end.

        Args:
            deadline_s: how long.
            longest: bytes that it may print.

        Raises:
            LinkLost: the connection broke, or it did not end within `deadline_s`.
            DeviceError: it printed more than anything we run does.
        """
        until = time.monotonic() + deadline_s
        try:
            while part := self.receive(max(0.0, until - time.monotonic())):
                self._pending += part
                if len(self._pending) > longest:
                    raise DeviceError(f"{self._alias} prints without end")
        except TimeoutError:
            raise LinkLost(f"{self._alias} did not finish within {deadline_s:g} s") from None
        code = self._exit_code(START_S)
        if code is None:
            raise self.ended()
        return ProgramEnd(code, self._pending.decode(errors="replace").strip(), self.errors)

    def _exit_code(self, timeout_s: float) -> int | None:
        """Waits for its exit code, -1 if a signal ended it; None where it never came.

        What it writes meanwhile is dropped: a program that nobody reads would never end.
        """
        until = time.monotonic() + timeout_s
        channel = self._channel
        while not channel.status_event.wait(0.0 if channel.recv_ready() else 0.05):
            if channel.recv_ready():
                channel.recv(READ)
            self._keep_last_words()
            if time.monotonic() > until:
                return None
        self._keep_last_words()
        # paramiko says -1 for a signal and for a broken connection alike.
        if channel.exit_status < 0 and self._connection.broke():
            return None
        return channel.exit_status

    def _keep_last_words(self) -> None:
        if self._channel.recv_stderr_ready():
            self._last_words += self._channel.recv_stderr(WINDOW)
            del self._last_words[:-LAST_WORDS]

    @property
    def _alias(self) -> str:
        return self._connection.login.alias


def run(
    connection: Connection, script: str, *arguments: str, deadline_s: float = 60.0
) -> ProgramEnd:
    """Runs a script to its end, without input; see `SshProcess` and `SshProcess.finish`."""
    with SshProcess(connection, script, *arguments) as process:
        return process.finish(deadline_s)
