"""Classes of commands that typer's own do not do for.

Help calls arguments and options by their names instead of by types of Python, and groups of
commands name the command that was meant where a word is no subcommand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from typer.core import TyperArgument, TyperCommand, TyperGroup

from compofa.common.errors import UserError


class _NamedArgument(TyperArgument):
    """An argument that is shown as its metavar alone, as options are."""

    def display_type_rich(self, ctx: Any) -> str | None:
        return super().display_type_rich(ctx) if self.metavar is None else None


class PlainCommand(TyperCommand):
    """A command whose help shows no type of Python.

    Beside the metavar of an argument typer shows its type, such as `<list[Path]>`, and beside an
    option that takes no value `<bool>`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for parameter in self.params:
            # Typer makes the arguments itself and cannot be told of which class.
            if type(parameter) is TyperArgument:
                parameter.__class__ = _NamedArgument

    def get_params(self, ctx: Any) -> Any:
        """As typer's, without `<bool>`."""
        return _without_bool(super().get_params(ctx))


class PlainGroup(TyperGroup):
    """A group of such commands."""

    def get_params(self, ctx: Any) -> Any:
        """As typer's, without `<bool>`."""
        return _without_bool(super().get_params(ctx))


def _without_bool(parameters: list[Any]) -> list[Any]:
    for each in parameters:
        if each.metavar is None and getattr(each, "is_flag", False):
            each.metavar = ""
    return parameters


def pointing_group(meant: Callable[[Sequence[str]], str | None]) -> type[PlainGroup]:
    """A group for `Program(cls=...)`.

    Args:
        meant: gets the words that begin with no subcommand, and returns the command that was
            probably meant, or None. Misspelt subcommands are looked after by typer.
    """

    class PointingGroup(PlainGroup):
        """Says what was meant, in one line."""

        def resolve_command(self, ctx: Any, args: list[str]) -> Any:
            known = self.list_commands(ctx)
            if args and args[0] not in known and not _resembles(args[0], known):
                command = meant(args)
                if command is not None:
                    raise UserError(
                        f"there is no command {args[0][:60]!r}", hint=f"did you mean {command}?"
                    )
            return super().resolve_command(ctx, args)

    return PointingGroup


def _resembles(word: str, known: Sequence[str]) -> bool:
    """Whether it is a misspelt one of `known`, which typer suggests by itself."""
    from difflib import get_close_matches

    return bool(get_close_matches(word, known))
