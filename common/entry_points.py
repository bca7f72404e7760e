"""Parts that packages register under a group of entry points, our own built-in ones among them.

Looking the groups up reads the metadata of every installed package (some 20 ms), so this is done
when a part is wanted by name, never at start-up.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points

from compofa.common.errors import UserError, suggestion


@cache
def registered(group: str) -> dict[str, EntryPoint]:
    """The entry points of `group`, by name; nothing is imported yet."""
    return {each.name: each for each in entry_points(group=group)}


def load_registered(group: str, name: str, what: str) -> object:
    """What an entry point refers to.

    Args:
        group: such as "compofa.report_formats".
        name: of the entry point.
        what: names such things in messages, as in "report format".

    Raises:
        UserError: nothing is registered by that name.
    """
    known = registered(group)
    if name not in known:
        hint = suggestion(name, sorted(known)) if known else f"no package registers a {what}"
        raise UserError(f"there is no {what} {name[:60]!r}", hint=hint)
    return known[name].load()
