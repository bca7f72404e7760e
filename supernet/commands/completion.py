"""What a shell offers where a space is to be named."""

from __future__ import annotations

from pathlib import Path


def complete_space(incomplete: str) -> list[str]:
    """The built-in spaces, and the YAML files of the folder that is being named."""
    from compofa.supernet.spaces import SPACES

    folder = Path(incomplete if incomplete.endswith("/") else incomplete + "x").parent
    files = (str(file) for pattern in ("*.yaml", "*.yml") for file in folder.glob(pattern))
    return [name for name in (*SPACES, *sorted(files)) if name.startswith(incomplete)]
