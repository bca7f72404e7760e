"""Writing files so that a reader sees the old content or the new, never half of it."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from compofa.common.errors import UserError, file_error

FORMAT_SUFFIXES = frozenset(
    {".csv", ".htm", ".html", ".json", ".md", ".pdf", ".png", ".svg", ".txt", ".xlsx", ".xml"}
)
"""Of formats that people know by their suffix."""


def check_suffix(path: Path, *wanted: str) -> None:
    """Checks that a file's name does not promise another format than what will be written.

    A name without a suffix that people know, such as /dev/stdout, promises nothing.

    Args:
        path: the file.
        wanted: the suffixes of the format, the usual one first.

    Raises:
        UserError: it does.
    """
    suffix = path.suffix.lower()
    if suffix in FORMAT_SUFFIXES and suffix not in wanted:
        raise UserError(f"what is written there is {wanted[0]}, not {suffix}", path=path)


def write_atomically(path: Path, content: bytes | str, what: str = "the file") -> None:
    """Replaces `path` by `content`: written beside it, flushed to disk, then renamed.

    A link stays, and the file it points to is replaced. What is no file, such as a pipe or
    /dev/stdout, is written to as it is.

    Args:
        path: where it goes; the old file stays as it was if anything fails.
        content: text is written as UTF-8.
        what: names the file in messages.

    Raises:
        UserError: the disk is full, the folder is missing, permission is denied, and so on.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)
        else:
            _replace(Path(os.path.realpath(path)), data)
    except OSError as error:
        raise file_error(error, path, f"cannot write {what}") from None


def _replace(path: Path, data: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(_mode(path))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _mode(path: Path) -> int:
    """The permissions of the file being replaced, or what the umask gives a new one."""
    try:
        return path.stat().st_mode & 0o777
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask


def sha256(content: bytes) -> str:
    """The hexadecimal digest by which models and agents are named."""
    return hashlib.sha256(content).hexdigest()
