"""Classes of commands that typer's own do not do for.

Groups of commands name the command that was meant where a word is no subcommand, and help calls
arguments by their names instead of by types of Python.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from typer.core import TyperArgument, TyperCommand, TyperGroup

from compofa.common.errors import UserError


def pointing_group(meant: Callable[[Sequence[str]], str | None]) -> type[TyperGroup]:
    """A group for `typer.Typer(cls=...)`.

    Args:
        meant: gets the words that begin with no subcommand, and returns the command that was
            probably meant, or None. Misspelt subcommands are looked after by typer.
    """

    class PointingGroup(TyperGroup):
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


class _NamedArgument(TyperArgument):
    """An argument that is shown as its metavar alone, as options are."""

    def display_type_rich(self, ctx: Any) -> str | None:
        return super().display_type_rich(ctx) if self.metavar is None else None


class PlainCommand(TyperCommand):
    """The command of a function that takes arguments, for `app.command(cls=...)`.

    Beside the metavar of an argument typer shows its type, such as `<list[Path]>`. Beside that of
    an option it does not.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for parameter in self.params:
            # Typer makes the arguments itself and cannot be told of which class.
            if type(parameter) is TyperArgument:
                parameter.__class__ = _NamedArgument
