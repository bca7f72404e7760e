"""All families, by their names."""

from __future__ import annotations

from compofa.common.csv_lines import shown
from compofa.common.errors import UserError, suggestion
from compofa.supernet.families.family import Family
from compofa.supernet.families.mobile import MBV3, PROXYLESS
from compofa.supernet.families.resnet import RESNET50
from compofa.supernet.space import Space

FAMILIES: dict[str, Family] = {family.name: family for family in (MBV3, PROXYLESS, RESNET50)}
"""All families by name. A new family is a file in this folder and an entry in this list."""


def family_of(space: Space) -> Family:
    """The family of the networks of `space`.

    Raises:
        UserError: the family is not known; a checkpoint may contain such a space.
    """
    family = FAMILIES.get(space.family)
    if family is None:
        message = f"space {space.name} is of the unknown family {shown(space.family)}"
        raise UserError(message, hint=suggestion(space.family, list(FAMILIES)))
    return family
