"""What to say where an SSH host and this computer know no algorithm in common."""

from __future__ import annotations

from collections.abc import Sequence

from paramiko.transport import SecurityOptions

from compofa.common.console import printable
from compofa.common.errors import DeviceError

KINDS = (
    ("key exchange", "KexAlgorithms", (0,)),
    ("host key", "HostKeyAlgorithms", (1,)),
    ("cipher", "Ciphers", (2, 3)),
    ("MAC", "MACs", (4, 5)),
)
"""What it is called, its line in sshd_config, and where its names stand in a host's offer."""

SHOWN = 6
"""Names of algorithms in a message, on each side."""


def nothing_in_common(
    alias: str, offered: Sequence[Sequence[str]], ours: SecurityOptions
) -> DeviceError:
    """Names the kind of algorithm of which a host knows none that this computer knows.

    Args:
        alias: the host, for the message.
        offered: the host's algorithms, see `WatchedPacketizer.offered`.
        ours: this computer's.
    """
    known = (ours.kex, ours.key_types, ours.ciphers, ours.digests)
    for (kind, setting, places), names in zip(KINDS, known, strict=True):
        its = [list(offered[place]) for place in places if place < len(offered)]
        lacking = next((some for some in its if not set(some) & set(names)), None)
        if lacking is not None:
            return DeviceError(
                f"{alias} and this computer know no {kind} in common: {alias} offers "
                f"{_listed(lacking)}, and the SSH library here (paramiko) has "
                f"{_listed(names)}",
                hint=f"add one of these to {setting} in sshd_config on {alias}",
            )
    return DeviceError(f"{alias} and this computer know no algorithms in common")


def _listed(names: Sequence[str]) -> str:
    # Some entries are signals of OpenSSH's, not algorithms.
    real = [printable(name)[:60] for name in names if not name.startswith(("ext-", "kex-strict-"))]
    more = f" and {len(real) - SHOWN} more" if len(real) > SHOWN else ""
    return ", ".join(real[:SHOWN]) + more if any(real) else "none"
