"""Typer's classes of commands, changed in two respects.

Their help shows no Python types beside arguments and options. A group of commands suggests the
command that was probably meant if its first word is not a subcommand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from typer.core import TyperArgument, TyperCommand, TyperGroup

from compofa.common.errors import UserError


class _NamedArgument(TyperArgument):
    """An argument whose help shows its metavar alone, as that of options does."""

    def display_type_rich(self, ctx: Any) -> str | None:
        return super().display_type_rich(ctx) if self.metavar is None else None


class PlainCommand(TyperCommand):
    """A command whose help shows no Python types.

    Typer shows the type of an argument beside its metavar, such as `<list[Path]>`, and `<bool>`
    beside an option that takes no value.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for parameter in self.params:
            # Typer creates the arguments itself and offers no way to choose their class.
            if type(parameter) is TyperArgument:
                parameter.__class__ = _NamedArgument

    def get_params(self, ctx: Any) -> Any:
        """As typer's, without `<bool>`."""
        return _without_bool(super().get_params(ctx))


class PlainGroup(TyperGroup):
    """A group of commands whose help shows no Python types."""

    def get_params(self, ctx: Any) -> Any:
        """As typer's, without `<bool>`."""
        return _without_bool(super().get_params(ctx))


def _without_bool(parameters: list[Any]) -> list[Any]:
    for each in parameters:
        if each.metavar is None and getattr(each, "is_flag", False):
            each.metavar = ""
    return parameters


def pointing_group(meant: Callable[[Sequence[str]], str | None]) -> type[PlainGroup]:
    """Makes a class of groups that suggests commands of other programs, for `Program(cls=...)`.

    Args:
        meant: is called with the words of a command line that does not begin with a subcommand,
            and returns the command that was probably meant, or None. It is not called for
            misspelt subcommands, for which typer itself makes a suggestion.
    """

    class PointingGroup(PlainGroup):
        """A group that suggests the command that was probably meant."""

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
    """Whether `word` is a misspelt one of `known`; typer suggests those by itself."""
    from difflib import get_close_matches

    return bool(get_close_matches(word, known))
