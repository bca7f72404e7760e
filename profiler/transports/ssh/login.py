"""Logging in to an SSH host with a key; passwords are never asked for."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import paramiko
from paramiko.pkey import UnknownKeyType

from compofa.common.console import printable
from compofa.common.errors import DeviceError
from compofa.profiler.transports.ssh.ssh_config import Login

USUAL_IDENTITIES = ("id_ed25519", "id_ecdsa", "id_rsa")


def log_in(transport: paramiko.Transport, login: Login) -> None:
    """Offers keys until one is taken: those of the configuration, then the agent's and the usual.

    Raises:
        DeviceError: none was.
    """
    locked: list[Path] = []
    why = "there is no key to log in with"
    for number, key in enumerate(_keys(login, locked), 1):
        try:
            if not transport.auth_publickey(login.user, key):
                return
            why = "it wants more than a key"
            break
        except paramiko.BadAuthenticationType as error:
            why = f"it takes {', '.join(error.allowed_types)} only"
            break
        except paramiko.AuthenticationException:
            why = f"none of {number} keys is right"
        except paramiko.SSHException as error:
            why = f"after {number} keys: {error}"
            break
    if locked:
        why += f"; {locked[0]} is locked with a passphrase, ssh-add opens it"
    raise DeviceError(
        printable(f"{login.alias} does not let {login.user} in: {why}"),
        hint=f"this must work without a question: {login.command}",
    )


def _keys(login: Login, locked: list[Path]) -> Iterator[paramiko.PKey]:
    """Keys in the order in which OpenSSH offers them; `locked` collects files that need opening."""
    held: dict[bytes | None, paramiko.PKey] = {}
    with ExitStack() as opened:
        with suppress(paramiko.SSHException):
            agent = opened.enter_context(closing(paramiko.Agent()))
            held.update((key.asbytes(), key) for key in agent.get_keys())
        usual = [Path.home() / ".ssh" / name for name in USUAL_IDENTITIES]
        for path in login.identities or usual:
            # Also where only named keys are offered, the agent may hold them without a passphrase.
            key = held.pop(_public(path), None) or _private(path, locked)
            if key is not None:
                yield key
        if not login.identities_only:
            yield from held.values()


def _public(path: Path) -> bytes | None:
    """The public half of the key in `path`, as its .pub file has it."""
    try:
        return base64.b64decode(path.with_name(path.name + ".pub").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None


def _private(path: Path, locked: list[Path]) -> paramiko.PKey | None:
    try:
        return paramiko.PKey.from_path(path)
    except (TypeError, paramiko.PasswordRequiredException):
        locked.append(path)
    except (OSError, ValueError, paramiko.SSHException, UnknownKeyType):
        pass  # not there, or of a kind that no host takes any more
    return None
