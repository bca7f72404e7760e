"""All families, by their names."""

from __future__ import annotations

from compofa.common.csv_lines import shown
from compofa.common.errors import UserError, suggestion
from compofa.supernet.families.family import Family
from compofa.supernet.families.mobile import MBV3, PROXYLESS
from compofa.supernet.families.resnet import RESNET50
from compofa.supernet.space import Space

FAMILIES: dict[str, Family] = {family.name: family for family in (MBV3, PROXYLESS, RESNET50)}
"""A new family is one file here and one name in this list."""


def family_of(space: Space) -> Family:
    """The family that networks of `space` are built as.

    Raises:
        UserError: there is none of that name, as a space read from a file may say.
    """
    family = FAMILIES.get(space.family)
    if family is None:
        message = f"space {space.name} is of the unknown family {shown(space.family)}"
        raise UserError(message, hint=suggestion(space.family, list(FAMILIES)))
    return family
