"""A program of the toolkit: a typer application with the options that all its commands have."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from compofa.common.programs.command_classes import PlainCommand, PlainGroup
from compofa.common.running_log import log_to, loudness

EVERYWHERE = "Every command"
"""The panel of the help in which the shared options stand."""


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"compofa {version('compofa')}")
        raise typer.Exit


def _be_quiet(asked: bool) -> None:
    loudness().quiet |= asked


def _be_verbose(asked: bool) -> None:
    loudness().verbose |= asked


def _log_to(path: Path | None) -> None:
    if path is not None:
        log_to(path)


def _flag(names: tuple[str, ...], help_: str, callback: Callable[[bool], None]) -> Any:
    option = typer.Option(
        *names, metavar="", help=help_, callback=callback, is_eager=True, rich_help_panel=EVERYWHERE
    )
    return Annotated[bool, option]


_SHARED: dict[str, tuple[Any, Any]] = {
    "quiet_": (
        _flag(
            ("--quiet", "-q"),
            "Shows only the result and errors: no progress and no notes.",
            _be_quiet,
        ),
        False,
    ),
    "verbose_": (
        _flag(
            ("--verbose", "-v"),
            "Shows also details such as connections, uploads and processes on devices.",
            _be_verbose,
        ),
        False,
    ),
    "log_": (
        Annotated[
            Path | None,
            typer.Option(
                "--log",
                metavar="FILE",
                help="Appends notes, details and errors to FILE, each with its time in UTC.",
                callback=_log_to,
                is_eager=True,
                rich_help_panel=EVERYWHERE,
                show_default=False,
            ),
        ],
        None,
    ),
    "version_": (
        _flag(("--version",), "Prints the version of the toolkit and exits.", _print_version),
        False,
    ),
}
"""The shared options by the names of their parameters: each one's annotation and default."""


def _with_shared_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` with the shared options added to the signature that typer reads.

    The callbacks of these options do what they say, so that `function` does not get their values.
    """

    @functools.wraps(function)
    def command(**arguments: Any) -> Any:
        return function(**{k: v for k, v in arguments.items() if k not in _SHARED})

    own = inspect.signature(function, eval_str=True)
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for name, (kind, default) in _SHARED.items()
    ]
    parameters = [each.replace(kind=each.KEYWORD_ONLY) for each in own.parameters.values()]
    signature = own.replace(parameters=[*parameters, *shared])
    # Some versions of typer read the signature and others the annotations, so both are set.
    command.__dict__["__signature__"] = signature
    command.__annotations__ = {name: each.annotation for name, each in signature.parameters.items()}
    return command


class Program(typer.Typer):
    """An application whose commands all have -h, -q, -v, --log and --version.

    Args:
        cls: the class of the group of its subcommands, if it has any.
        no_args_is_help: whether it prints its help if it is called without arguments.
    """

    def __init__(
        self, *, cls: type[PlainGroup] | None = None, no_args_is_help: bool = False
    ) -> None:
        super().__init__(
            cls=cls or PlainGroup,
            no_args_is_help=no_args_is_help,
            pretty_exceptions_enable=False,
            context_settings={"help_option_names": ["-h", "--help"]},
        )

    # Versions of typer differ in the settings that they accept, so any are passed on to it.
    def command(self, name: str | None = None, **settings: Any) -> Callable[[Any], Any]:
        """As typer's `command`, with the shared options."""
        return _registering(super().command(name, **{"cls": PlainCommand, **settings}))

    def callback(self, **settings: Any) -> Callable[[Any], Any]:
        """As typer's `callback`, with the shared options: the function runs before subcommands."""
        return _registering(super().callback(**settings))


def _registering(register: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        register(_with_shared_options(function))
        return function

    return decorate
