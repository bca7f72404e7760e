"""Reading files within bounds, and writing them so that nobody ever reads half of one."""

from __future__ import annotations

import hashlib
import os
import tempfile
from io import BufferedIOBase
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


def read_bounded(
    path: Path, largest: int, what: str = "the file", *, too_large: str | None = None
) -> bytes:
    """The content of `path`, of which no more is read than is accepted.

    Args:
        path: the file.
        largest: bytes; a larger file is refused.
        what: names it in messages, as in "the checkpoint".
        too_large: what is said of a larger file, where the usual message does not fit.

    Raises:
        UserError: it cannot be read, or is too large.
    """
    try:
        with path.open("rb") as file:
            too_large = too_large or f"{what} is larger than {_size(largest)}"
            return bounded(file, path, largest, too_large)
    except OSError as error:
        raise file_error(error, path, f"cannot read {what}") from None


def bounded(file: BufferedIOBase, path: Path, largest: int, too_large: str) -> bytes:
    """As `read_bounded`, from an open file such as one that is unpacked while it is read.

    Raises:
        UserError: it is too large.
        OSError: it cannot be read.
    """
    raw = file.read(largest + 1)
    if len(raw) > largest:
        raise UserError(too_large, path=path)
    return raw


def _size(count: int) -> str:
    for unit, name in ((1_000_000, "MB"), (1_000, "KB")):
        if count >= unit and count % unit == 0:
            return f"{count // unit} {name}"
    return f"{count:,} bytes"


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
