"""Logging in to an SSH host with a key; passwords are never asked for."""

from __future__ import annotations

import fnmatch
import threading

import paramiko

from compofa.common.console import printable
from compofa.common.errors import CompofaError, DeviceError
from compofa.profiler.transports.base import LinkLost
from compofa.profiler.transports.ssh.library import WatchedPacketizer, translated
from compofa.profiler.transports.ssh.login.identities import Identities
from compofa.profiler.transports.ssh.login.ssh_config import Login

ANSWER_S = 60.0
"""For a host to say whether a key is right: some look it up over a network of their own."""


def log_in(transport: paramiko.Transport, login: Login) -> None:
    """Offers keys until one is taken; see `Identities` for their order.

    Raises:
        LinkLost: the host went silent, or hung up.
        DeviceError: no key was taken.
    """
    if not login.uses_keys:
        raise DeviceError(
            f"PubkeyAuthentication is off for {login.alias} in the SSH configuration",
            hint="compofa logs in with keys only: turn it on for this host",
        )
    accepted = _accepted(transport, login)
    with Identities(login) as identities:
        why, number = "there is no key to log in with", 0
        for key in identities:
            if _algorithms(key).isdisjoint(accepted):
                identities.problems.append(
                    f"PubkeyAcceptedAlgorithms leaves out the {key.get_name()} key"
                )
                continue
            number += 1
            verdict = _try(transport, login, key)
            if verdict is None:
                return
            why = verdict or f"it accepts none of {number} keys"
            # A host that takes no keys at all will not take the next one.
            if verdict and "publickey" not in verdict:
                break
        raise DeviceError(
            printable(
                "; ".join(
                    [
                        f"{login.alias} does not let {login.user} in: {why}",
                        *identities.problems[:3],
                        *login.unsupported,
                    ]
                )
            ),
            hint=f"this command has to work without asking anything: {login.command}",
        )


def _try(transport: paramiko.Transport, login: Login, key: paramiko.PKey) -> str | None:
    """Offers one key; None if the host lets us in, else why not: empty where it is the wrong key.

    Raises:
        LinkLost: the host went silent, or hung up.
        DeviceError: the key cannot sign, or the host takes no more keys.
    """
    alias = login.alias

    def ended(why: str) -> CompofaError:
        packetizer = transport.packetizer
        said = packetizer.farewell if isinstance(packetizer, WatchedPacketizer) else ""
        if "too many" in said.lower():
            return DeviceError(
                printable(f"{alias} does not let {login.user} in: {said}"),
                hint="IdentityFile and IdentitiesOnly in ~/.ssh/config choose the key to offer",
            )
        if said or why == "it hung up":
            return LinkLost(f"{alias} hung up while logging in" + (said and f": {said}"))
        # The library signs in its own thread, which an ssh-agent's refusal ends.
        return DeviceError(f"cannot log in to {alias} with the {key.get_name()} key: {why}")

    done = threading.Event()
    with translated(ended):
        transport.auth_publickey(login.user, key, done)
        if not done.wait(ANSWER_S):
            raise LinkLost(f"{alias} does not answer within {ANSWER_S:g} s while logging in")
        if transport.is_authenticated():
            return None
        error = transport.get_exception()
        if not transport.is_active():
            raise error or EOFError
    if isinstance(error, paramiko.ssh_exception.PartialAuthentication):
        return f"it wants more than a key: {', '.join(error.allowed_types)}"
    if isinstance(error, paramiko.BadAuthenticationType):
        return f"it takes {', '.join(error.allowed_types)} only"
    return "" if error is None else str(error)


def _accepted(transport: paramiko.Transport, login: Login) -> set[str]:
    """The signature algorithms to be used, by PubkeyAcceptedAlgorithms of the configuration."""
    known = [*transport.preferred_pubkeys, "sk-ssh-ed25519@openssh.com"]
    known += ["sk-ecdsa-sha2-nistp256@openssh.com"]
    text = login.accepted_algorithms
    # As in ssh_config(5): ^ only puts some first, + adds to all, - takes away.
    if text is None or text.startswith("^"):
        return set(known)
    patterns = text.lstrip("+-").split(",")
    matching = {name for name in known if any(fnmatch.fnmatchcase(name, p) for p in patterns)}
    if text.startswith("+"):
        return set(known)
    left = set(known) - matching if text.startswith("-") else matching
    transport.disabled_algorithms = {"pubkeys": [name for name in known if name not in left]}
    return left


def _algorithms(key: paramiko.PKey) -> set[str]:
    """The algorithms that a key can sign with."""
    kind = key.get_name().partition("-cert-")[0]
    return {"rsa-sha2-512", "rsa-sha2-256"} if kind == "ssh-rsa" else {kind}
