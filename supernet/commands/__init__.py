"""The commands of this room: `compofa-train` and `compofa-export`."""

from __future__ import annotations

from importlib.util import find_spec

from compofa.common.errors import MissingExtra


def require_torch() -> None:
    """Says what to install where torch is missing.

    Raises:
        MissingExtra: it is.
    """
    if find_spec("torch") is None:
        raise MissingExtra("torch", "train")
