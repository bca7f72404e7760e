"""What every part of the toolkit uses: errors, the console, files, lines of CSV and YAML."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from typing import Any

# ONNX Runtime 1.29 and later sends usage data to its maker unless this variable is set before it is
# imported. Every process of the toolkit imports this package first, and its children inherit it.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def lazy_exports(package: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Makes the `__getattr__` and `__dir__` of a package that exports the names in its stub.

    The stub, `__init__.pyi`, is read when a name is first asked for, not on import. The commands
    import modules from inside the packages and need none of these names, so that reading the stubs
    would only make them start 6 ms later.

    Args:
        package: the package's `__name__`.
        file: the package's `__file__`.
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
