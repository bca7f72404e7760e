"""The built-in spaces, and a function that finds a space by its name or reads its file."""

from __future__ import annotations

from pathlib import Path

from compofa.common.csv_lines import shown
from compofa.common.errors import UserError, suggestion
from compofa.supernet.defaults import DEFAULT_SPACE
from compofa.supernet.families.registry import FAMILIES
from compofa.supernet.space import Space

SPACES: dict[str, Space] = {
    space.name: space for family in FAMILIES.values() for space in family.spaces
}
"""The built-in spaces by name."""


def get_space(name: str) -> Space:
    """The built-in space called `name`, or the space in the YAML file of that path.

    Raises:
        UserError: there is no such space, or the file is not a valid space file.
    """
    if name in SPACES:
        return SPACES[name]
    if name.endswith((".yaml", ".yml")):
        # This imports the YAML reader, which built-in spaces do not need.
        from compofa.supernet.space_file import read_space_file

        return read_space_file(Path(name), SPACES, DEFAULT_SPACE)
    raise UserError(f"unknown space {shown(name)}", hint=suggestion(name, list(SPACES)))
