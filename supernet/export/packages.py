"""A Core ML package: a folder by nature, here a zip that always has the same bytes."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path

from compofa.common.errors import UserError, file_error

PACKAGE = ".mlpackage"
"""How the names of packages end."""

MANIFEST = "Manifest.json"
"""The file by which a folder is known to be a package."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest date that a zip can hold."""


def zipped(files: Mapping[str, bytes]) -> bytes:
    """`files`, by their path, as an archive without compression: weights hardly shrink."""
    import zipfile  # as in `write_package`

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(files):
            entry = zipfile.ZipInfo(path, _EPOCH)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, files[path])
    return buffer.getvalue()


def write_package(path: Path, content: bytes) -> None:
    """Replaces the package at `path` by the one zipped in `content`: the old one whole, or the new.

    Raises:
        UserError: something else is at `path`, or it cannot be written.
    """
    # Every command that names formats imports this module, and few write a package.
    import tempfile
    import zipfile

    target = Path(os.path.realpath(path))
    try:
        if target.exists() and not (target / MANIFEST).is_file():
            raise UserError("it exists and is no Core ML package, so it is not replaced", path=path)
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
                # Ctrl-C may come in between as well.
                if not target.exists() and old.exists():
                    old.rename(target)
    except OSError as error:
        raise file_error(error, path, "cannot write the exported file") from None


def _flush(folder: Path) -> None:
    """Waits until all files of `folder` are on the disk."""
    for file in folder.rglob("*"):
        if file.is_file():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
