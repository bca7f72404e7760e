"""Core ML packages: folders, which are handled here as zips that always have the same bytes."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path

from compofa.common.errors import UserError, file_error

PACKAGE = ".mlpackage"
"""The suffix of packages."""

MANIFEST = "Manifest.json"
"""The file by which a package is recognised."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest date that a zip can contain."""


def zipped(files: Mapping[str, bytes]) -> bytes:
    """An archive of `files`, given by their paths. It is not compressed: weights hardly shrink."""
    import zipfile  # Deferred for the reason given in `write_package`.

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(files):
            entry = zipfile.ZipInfo(path, _EPOCH)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, files[path])
    return buffer.getvalue()


def write_package(path: Path, content: bytes) -> None:
    """Replaces the package at `path` by the zipped one in `content`.

    If that fails, the old package is still there, complete.

    Raises:
        UserError: `path` is something else than a package, or it cannot be written.
    """
    # Every command with formats among its options imports this module, and few write a package.
    import tempfile
    import zipfile

    target = Path(os.path.realpath(path))
    try:
        if target.exists() and not (target / MANIFEST).is_file():
            message = "this exists and is not a Core ML package, so it is not replaced"
            raise UserError(message, path=path)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as folder:
            new, old = Path(folder, "new"), Path(folder, "old")
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                archive.extractall(new)
            _flush(new)
            if target.exists():
                target.rename(old)
            try:
                new.rename(target)
            finally:
                # Also after Ctrl-C between the two renames, the old package must not be lost.
                if not target.exists() and old.exists():
                    old.rename(target)
    except OSError as error:
        raise file_error(error, path, "cannot write the exported file") from None


def _flush(folder: Path) -> None:
    """Waits until all files of `folder` are on disk."""
    for file in folder.rglob("*"):
        if file.is_file():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
