"""One SSH connection: made through jump hosts, its host key checked, and watched while it lasts."""

from __future__ import annotations

import logging
import socket
import subprocess
from contextlib import ExitStack
from dataclasses import replace

import paramiko

from compofa.common.closing import Closing
from compofa.common.console import printable
from compofa.common.errors import UserError
from compofa.profiler.transports.base import LinkLost
from compofa.profiler.transports.ssh.heartbeat import HeardPacketizer, Heartbeat
from compofa.profiler.transports.ssh.host_keys import KnownHost
from compofa.profiler.transports.ssh.login import log_in
from compofa.profiler.transports.ssh.ssh_config import Login, SshConfig

CONNECT_S = 15.0
"""For each of: the TCP connection, the key exchange, a channel."""

MOST_JUMPS = 8

# What matters is raised; without a handler of ours paramiko prints tracebacks.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


class Connection(Closing):
    """A connection that is logged in; `connect` makes it."""

    def __init__(self, login: Login, transport: paramiko.Transport, opened: ExitStack) -> None:
        self.login = login
        self._transport, self._opened = transport, opened
        packetizer = transport.packetizer
        assert isinstance(packetizer, HeardPacketizer)
        self._heartbeat = Heartbeat(transport, packetizer)

    @property
    def alive(self) -> bool:
        """Whether it can still be used, as far as is known."""
        return bool(self._transport.is_active())

    def broke(self) -> bool:
        """Whether a broken connection is why a channel has ended.

        Channels hear of that first: paramiko's thread takes a moment to end.
        """
        self._transport.join(0.2)
        return not self.alive

    @property
    def lost(self) -> LinkLost:
        """What to raise once it is not alive any more."""
        why = "it no longer answers" if self._heartbeat.silent else "the connection broke"
        return LinkLost(f"lost {self.login.alias}: {why}")

    def open_session(self) -> paramiko.Channel:
        """A channel on which a command or a subsystem can be started.

        Raises:
            LinkLost: the connection is gone, or the host allows no more channels.
        """
        try:
            return self._transport.open_session(timeout=CONNECT_S)
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise LinkLost(f"{self.login.alias} opens no channel: {_reason(error)}") from None

    def tunnel(self, host: str, port: int) -> paramiko.Channel:
        """A channel that the host connects to `host`.

        Raises:
            LinkLost: it cannot or may not.
        """
        try:
            return self._transport.open_channel(
                "direct-tcpip", (host, port), ("127.0.0.1", 0), timeout=CONNECT_S
            )
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise LinkLost(
                f"{self.login.alias} makes no connection to {host}: {_reason(error)}"
            ) from None

    def close(self) -> None:
        """Hangs up."""
        self._heartbeat.close()
        self._opened.close()


def connect(config: SshConfig, login: Login, jumps_left: int = MOST_JUMPS) -> Connection:
    """Connects to `login`, through its jump hosts.

    Raises:
        LinkLost: it cannot be reached.
        UserError: its host key is not known, or it is no host for agents.
        DeviceError: its host key is wrong, or it lets nobody in.
    """
    with ExitStack() as opened:
        line = _line(config, login, opened, jumps_left)
        transport = paramiko.Transport(line, packetizer_class=HeardPacketizer)
        opened.callback(transport.close)
        known = KnownHost(login)
        options = transport.get_security_options()
        options.key_types = known.preferred(options.key_types)
        try:
            transport.start_client(timeout=CONNECT_S)
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise LinkLost(f"{_place(login)} does not speak SSH: {_reason(error)}") from None
        known.check(transport.get_remote_server_key())
        if "windows" in transport.remote_version.lower():
            raise UserError(
                f"{login.alias} runs Windows, where agents cannot run",
                hint="an SSH server inside WSL on that computer can be used instead",
            )
        log_in(transport, login)
        return Connection(login, transport, opened.pop_all())


def _line(
    config: SshConfig, login: Login, opened: ExitStack, jumps_left: int
) -> socket.socket | paramiko.Channel:
    """What bytes to and from the host go over."""
    if login.jumps:
        if not jumps_left:
            raise UserError(f"{login.alias} is behind more than {MOST_JUMPS} jump hosts")
        *before, last = login.jumps
        hop = config.hop(last)
        if before:
            hop = replace(hop, jumps=tuple(before))
        connection = opened.enter_context(connect(config, hop, jumps_left - 1))
        return connection.tunnel(login.host, login.port)
    try:
        if login.proxy_command is None:
            return socket.create_connection((login.host, login.port), CONNECT_S)
        return _run_proxy(login.proxy_command, opened)
    except (OSError, UnicodeError) as error:
        raise LinkLost(f"cannot reach {_place(login)}: {_reason(error)}") from None


def _run_proxy(command: str, opened: ExitStack) -> socket.socket:
    """Starts a ProxyCommand, which the person's own configuration gives, as OpenSSH does."""
    ours, its = socket.socketpair()
    process = subprocess.Popen(
        ["/bin/sh", "-c", f"exec {command}"],
        stdin=its.fileno(),
        stdout=its.fileno(),
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    its.close()
    opened.callback(process.wait)
    opened.callback(process.kill)
    return ours


def _place(login: Login) -> str:
    where = f"{login.host} port {login.port}"
    return where if login.alias == login.host else f"{login.alias} ({where})"


def _reason(error: Exception) -> str:
    said = (isinstance(error, OSError) and error.strerror) or str(error)
    return printable(said) or "it hung up"
