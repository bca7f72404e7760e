"""Finds the transports, runtimes, report formats and measures that packages register.

They are registered as entry points, those built into the toolkit too. A package declares in its
pyproject.toml what it adds:

    [project.entry-points."compofa.transports"]
    serial = "my_package.serial:TRANSPORT"

Looking up entry points reads a file of every installed package (about 10 ms). This is therefore
done once, when a part is first needed, and never at start-up.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from compofa.common.errors import UserError, suggestion

T = TypeVar("T")

OWN_PACKAGE = "compofa"


@cache
def all_entry_points() -> Any:
    """The entry points of all groups; their type differs between Python 3.11 and 3.12."""
    return entry_points()


@cache
def registered(group: str) -> dict[str, EntryPoint]:
    """The entry points of `group` in the order of their names; none is imported yet.

    Raises:
        UserError: two packages have registered different things under one name.
    """
    known: dict[str, EntryPoint] = {}
    for entry in all_entry_points().select(group=group):
        before = known.setdefault(entry.name, entry)
        if before.value != entry.value:
            raise UserError(
                f"two packages register {entry.name!r} in {group}: "
                f"{_package(before)} and {_package(entry)}",
                hint="uninstall one of them",
            )
    # Installers write entry points in different orders, and messages should not depend on that.
    return dict(sorted(known.items()))


def load_registered(group: str, name: str, what: str, kind: type[T]) -> T:
    """Imports the object that an entry point refers to.

    Args:
        group: the group of the entry point, such as "compofa.report_formats".
        name: the name of the entry point.
        what: what messages call such an object, as in "report format".
        kind: the class that the object has to be an instance of.

    Raises:
        UserError: nothing is registered under that name, or another package registers an object
            that cannot be imported or is of the wrong class. The message names that package.
    """
    known = registered(group)
    if name not in known:
        hint = suggestion(name, sorted(known)) if known else f"no package registers a {what}"
        raise UserError(f"there is no {what} {name[:60]!r}", hint=hint)
    entry = known[name]
    try:
        part: object = entry.load()
    except Exception as error:
        if _package(entry) == OWN_PACKAGE:
            raise
        # Whatever the other package raises, it is not a bug in this toolkit, and the user has to
        # know which package it is.
        message = f"{_whose(what, entry)} cannot be loaded: {type(error).__name__}: {error}"
        raise UserError(message, hint=f"it should be at {entry.value}") from error
    if not isinstance(part, kind):
        wrong = f"{entry.value} is a {type(part).__name__}, not a {kind.__name__}"
        raise UserError(f"{_whose(what, entry)} cannot be used: {wrong}")
    return part


def _whose(what: str, entry: EntryPoint) -> str:
    # The name of the package is read from its metadata, which is slow, so only messages ask for it.
    return f"the {what} {entry.name!r} of the package {_package(entry)}"


def _package(entry: EntryPoint) -> str:
    return "unknown" if entry.dist is None else entry.dist.name
