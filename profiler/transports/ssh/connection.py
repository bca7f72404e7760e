"""One SSH connection: made through jump hosts, its host key checked, and watched while it lasts."""

from __future__ import annotations

import re
import socket
import subprocess
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import replace

import paramiko

from compofa.common.closing import Closing
from compofa.common.console import detail, printable
from compofa.common.errors import DeviceError, UserError
from compofa.profiler.transports.base import LinkLost
from compofa.profiler.transports.ssh.algorithms import nothing_in_common
from compofa.profiler.transports.ssh.heartbeat import Heartbeat
from compofa.profiler.transports.ssh.library import WatchedPacketizer, reason, translated
from compofa.profiler.transports.ssh.login.host_keys import KnownHost
from compofa.profiler.transports.ssh.login.log_in import log_in
from compofa.profiler.transports.ssh.login.ssh_config import Login, SshConfig

CONNECT_S = 15.0
"""For each of: the TCP connection, the key exchange, a channel."""

MOST_JUMPS = 8

MOST_CONNECTIONS = 4
"""To one host that allows few sessions on each; we never have more than three at a time."""

FREED_S = 3.0
"""How long a host may take to notice that a session is over, before another may begin."""


class Connection(Closing):
    """A connection that is logged in; `connect` makes it.

    A host may allow one session only on each connection (MaxSessions 1 of OpenSSH). More
    connections are made there then; they count as parts of this one.
    """

    def __init__(
        self, config: SshConfig, login: Login, transport: paramiko.Transport, opened: ExitStack
    ) -> None:
        self.login = login
        self._config, self._transport, self._opened = config, transport, opened
        self._more: list[Connection] = []
        packetizer = transport.packetizer
        assert isinstance(packetizer, WatchedPacketizer)
        self._heartbeat = Heartbeat(transport, packetizer)

    @property
    def alive(self) -> bool:
        """Whether it can still be used, as far as is known."""
        return bool(self._transport.is_active()) and all(each.alive for each in self._more)

    def broke(self) -> bool:
        """Whether a broken connection is why a channel has ended.

        Channels hear of that first: paramiko's thread takes a moment to end.
        """
        for each in (self, *self._more):
            each._transport.join(0.2)
        return not self.alive

    @property
    def lost(self) -> LinkLost:
        """What to raise once it is not alive any more."""
        silent = any(each._heartbeat.silent for each in (self, *self._more))
        alias = self.login.alias
        return LinkLost(
            f"{alias} no longer answers" if silent else f"the connection to {alias} broke"
        )

    def open_session(self) -> paramiko.Channel:
        """A channel on which a command can be started.

        Raises:
            LinkLost: the connection is gone.
            DeviceError: the host allows no more sessions, on no connection.
        """
        until = time.monotonic() + FREED_S
        while True:
            for each in (self, *self._more):
                # Its limit is reached, which a host does not announce: the next one is tried.
                with suppress(paramiko.ChannelException):
                    return each._open_session()
            if len(self._more) < MOST_CONNECTIONS - 1:
                self._more.append(connect(self._config, self.login))
            elif time.monotonic() < until:
                time.sleep(0.05)
            else:
                raise DeviceError(
                    f"{self.login.alias} allows no more sessions at a time",
                    hint=f"raise MaxSessions in its sshd_config to {MOST_CONNECTIONS} or more",
                )

    def _open_session(self) -> paramiko.Channel:
        """As `open_session`, on this very connection; ChannelException where the host refuses."""

        def failed(why: str) -> LinkLost:
            return (
                LinkLost(f"{self.login.alias} refuses a channel: {why}")
                if self.alive
                else self.lost
            )

        with translated(failed, keep=(paramiko.ChannelException,)):
            return self._transport.open_session(timeout=CONNECT_S)

    def tunnel(self, host: str, port: int) -> paramiko.Channel:
        """A channel that the host connects to `host`.

        Raises:
            LinkLost: it cannot or may not.
        """
        alias = self.login.alias
        with translated(lambda why: LinkLost(f"{alias} cannot connect to {host}: {why}")):
            return self._transport.open_channel(
                "direct-tcpip", (host, port), ("127.0.0.1", 0), timeout=CONNECT_S
            )

    def close(self) -> None:
        """Hangs up."""
        for each in self._more:
            each.close()
        self._heartbeat.close()
        self._opened.close()


def connect(config: SshConfig, login: Login, jumps_left: int = MOST_JUMPS) -> Connection:
    """Connects to `login`, through its jump hosts.

    Raises:
        LinkLost: it cannot be reached, or does not speak SSH.
        UserError: its host key is not known, or it is no host for agents.
        DeviceError: its host key is wrong, it lets nobody in, or no algorithm is known to both.
    """
    detail(f"connecting to {_place(login)} as {login.user}")
    with ExitStack() as opened:
        line = _line(config, login, opened, jumps_left)
        with translated(lambda why: LinkLost(f"{_place(login)} does not speak SSH: {why}")):
            transport = paramiko.Transport(line, packetizer_class=WatchedPacketizer)
            opened.callback(_hang_up, transport)
            transport.banner_timeout = transport.handshake_timeout = CONNECT_S
            known = KnownHost(login)
            options = transport.get_security_options()
            # Of its keys a host shows one: asked for another than is known, it would look strange.
            options.key_types = known.preferred(options.key_types)
            _exchange_keys(transport, login)
            key = transport.get_remote_server_key()
        known.check(key)
        # Agents and their folder need a POSIX shell; asked now, the message can say why.
        if "windows" in transport.remote_version.lower():
            raise UserError(
                f"{login.alias} runs Windows, where agents cannot run",
                hint="an SSH server inside WSL on that computer can be used instead",
            )
        log_in(transport, login)
        return Connection(config, login, transport, opened.pop_all())


def _exchange_keys(transport: paramiko.Transport, login: Login) -> None:
    """Greets the host and agrees on keys with it, in `CONNECT_S` altogether.

    Raises:
        LinkLost: it stays silent, takes longer, or says something else.
        DeviceError: no algorithm is known to both.
    """
    packetizer = transport.packetizer
    assert isinstance(packetizer, WatchedPacketizer)
    done = threading.Event()
    transport.start_client(event=done)
    in_time = done.wait(CONNECT_S)
    error = transport.get_exception()
    if isinstance(error, paramiko.ssh_exception.IncompatiblePeer):
        raise nothing_in_common(login.alias, packetizer.offered, transport.get_security_options())
    if not in_time or packetizer.late:
        what = "does not finish its greeting" if packetizer.greeted else "says nothing"
        raise LinkLost(f"{_place(login)} does not speak SSH: it {what} within {CONNECT_S:g} s")
    if error is not None or not transport.is_active():
        # paramiko names the step that failed, and nothing more where the host hung up.
        said = re.sub(r"^Error reading SSH protocol banner|\[Errno \d+\] ", "", str(error or ""))
        raise LinkLost(
            f"{_place(login)} does not speak SSH: "
            + (packetizer.farewell or printable(said)[:200] or "it hung up")
        )


def _hang_up(transport: paramiko.Transport) -> None:
    """Closes a connection; one that is broken already may object to that."""
    with suppress(Exception):
        transport.close()


def _line(
    config: SshConfig, login: Login, opened: ExitStack, jumps_left: int
) -> socket.socket | paramiko.Channel:
    """What bytes to and from the host go over."""
    if login.jumps:
        if not jumps_left:
            raise UserError(
                f"{login.alias} is behind more than {MOST_JUMPS} jump hosts",
                hint="does ProxyJump in ~/.ssh/config lead in a circle?",
            )
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
        raise LinkLost(f"cannot reach {_place(login)}: {reason(error)}") from None


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
