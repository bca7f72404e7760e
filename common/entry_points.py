"""Parts that packages register under a group of entry points, our own built-in ones among them.

There are transports, runtimes, report formats and measures. A package says in its pyproject.toml
what it adds:

    [project.entry-points."compofa.transports"]
    serial = "my_package.serial:TRANSPORT"

Looking the groups up reads a file of every installed package (some 10 ms), so this is done once,
and when a part is wanted by name, never at start-up.
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
    """Those of every group; Python 3.11 and 3.12 have different types for them."""
    return entry_points()


@cache
def registered(group: str) -> dict[str, EntryPoint]:
    """The entry points of `group`, by name and in that order; nothing is imported yet.

    Raises:
        UserError: two packages have registered different things by one name.
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
    # Installers write them in one order or another; messages should not depend on that.
    return dict(sorted(known.items()))


def load_registered(group: str, name: str, what: str, kind: type[T]) -> T:
    """What an entry point refers to.

    Args:
        group: such as "compofa.report_formats".
        name: of the entry point.
        what: names such things in messages, as in "report format".
        kind: the class that it has to be an instance of.

    Raises:
        UserError: nothing is registered by that name; or what another package than ours registers
            cannot be imported or is of another class, and then the package is named.
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
        # The other package's fault, whatever it raises; the user has to know which one it is.
        message = f"{_whose(what, entry)} cannot be loaded: {type(error).__name__}: {error}"
        raise UserError(message, hint=f"it should be at {entry.value}") from error
    if not isinstance(part, kind):
        wrong = f"{entry.value} is a {type(part).__name__}, not a {kind.__name__}"
        raise UserError(f"{_whose(what, entry)} cannot be used: {wrong}")
    return part


def _whose(what: str, entry: EntryPoint) -> str:
    # Only for messages: the name of a package is read from its metadata, which takes a while.
    return f"the {what} {entry.name!r} of the package {_package(entry)}"


def _package(entry: EntryPoint) -> str:
    return "unknown" if entry.dist is None else entry.dist.name
