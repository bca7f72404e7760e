"""Telling one device from another without telling anybody which one it is.

A device sends a hash of its serial number. Serial numbers are short, so whoever has the hash can
try them all; and the same hash in two published tables says that one device made both. So what is
written is that hash keyed with a secret of the user's, made when it is first needed.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import Any

VARIABLE = "COMPOFA_DEVICE_KEY"
"""Names another file with a key: people who share it can tell that they measured one device."""

KEY_BYTES = 32
DIGITS = 16

SERIAL = "serial_sha256"
"""What facts and fingerprints call it, since before it was keyed."""


def with_keyed_serial(facts: dict[str, Any]) -> dict[str, Any]:
    """`facts` of a device with the hash of its serial number keyed; without it where no key is."""
    told = facts.get(SERIAL)
    rest = {name: each for name, each in facts.items() if name != SERIAL}
    key = _key() if isinstance(told, str) else None
    return rest if key is None else {**rest, SERIAL: _keyed(key, str(told))}


def same_serial(old: object, new: object) -> bool:
    """Whether two serials of tables may be those of one device.

    Earlier versions wrote the hash as the device sent it: keyed now, it has to be the other one.
    """
    if old == new:
        return True
    key = _key() if isinstance(old, str) and isinstance(new, str) else None
    return key is not None and _keyed(key, str(old)) == new


def _keyed(key: bytes, told: str) -> str:
    return hmac.new(key, told.encode(), hashlib.sha256).hexdigest()[:DIGITS]


def _key() -> bytes | None:
    """The user's key; None where there is none and none is to be made.

    A CI job gets none of its own: it would be another one in every job, and the serials of one
    device would differ.
    """
    named = os.environ.get(VARIABLE)
    try:
        path = Path(named) if named else _usual_place()
        return path.read_bytes()[:1024] or None
    except FileNotFoundError:
        return None if named or os.environ.get("CI") else _make(path)
    except (OSError, RuntimeError):
        return None  # unreadable, or an account without a home


def _usual_place() -> Path:
    config = os.environ.get("XDG_CONFIG_HOME")
    return (Path(config) if config else Path("~/.config").expanduser()) / "compofa" / "device-key"


def _make(path: Path) -> bytes | None:
    key = secrets.token_hex(KEY_BYTES).encode()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_bytes() or None  # another process of ours was faster
    except OSError:
        return None
    with os.fdopen(handle, "wb") as file:
        file.write(key)
    return key
