"""What every part of the toolkit uses: errors, the console, files, lines of CSV and YAML."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from typing import Any

# ONNX Runtime from 1.29 on reports what it runs to its maker unless it is told not to before it is
# imported. Every process of ours imports this package first, and hands the setting on.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def lazy_exports(package: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The `__getattr__` and `__dir__` of a package that exports what its `__init__.pyi` lists.

    The stub is read when a name is first asked for, not when the package is imported: a command
    imports modules from inside the packages and asks for none of these names, and reading the
    stubs would take 6 ms of its start.

    Args:
        package: its `__name__`.
        file: its `__file__`.
    """

    @cache
    def attached() -> Any:
        import lazy_loader

        return lazy_loader.attach_stub(package, file)

    def load_name(name: str) -> Any:
        if name == "__version__":
            from importlib.metadata import version

            return version("compofa")
        load, _, exported = attached()
        return exported if name == "__all__" else load(name)

    return load_name, lambda: attached()[1]()
