"""Shell completion for the names of spaces."""

from __future__ import annotations

from pathlib import Path


def complete_space(incomplete: str) -> list[str]:
    """The built-in spaces, and the YAML files in the folder of `incomplete`, that begin with it."""
    from compofa.supernet.spaces import SPACES

    # The x makes "folder/" a file in the folder, and "" one in the current folder.
    folder = Path(incomplete if incomplete.endswith("/") else incomplete + "x").parent
    files = (str(file) for pattern in ("*.yaml", "*.yml") for file in folder.glob(pattern))
    return [name for name in (*SPACES, *sorted(files)) if name.startswith(incomplete)]
