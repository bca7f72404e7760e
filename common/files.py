"""Reads files up to a size limit, and replaces files so that nobody ever reads half of one."""

from __future__ import annotations

import os
from io import BufferedIOBase
from pathlib import Path

from compofa.common.errors import UserError, file_error

FORMAT_SUFFIXES = frozenset(
    {".csv", ".htm", ".html", ".json", ".md", ".pdf", ".png", ".svg", ".txt", ".xlsx", ".xml"}
)
"""Suffixes by which people recognise a format."""


def check_suffix(path: Path, *wanted: str) -> None:
    """Checks that the suffix of a file to be written is not that of another format.

    A name without a well-known suffix, such as /dev/stdout, is accepted.

    Args:
        path: the file.
        wanted: the suffixes of the format that will be written, the usual one first.

    Raises:
        UserError: the suffix is that of another format.
    """
    suffix = path.suffix.lower()
    if suffix in FORMAT_SUFFIXES and suffix not in wanted:
        raise UserError(f"this file is written as {wanted[0]}, not as {suffix}", path=path)


def read_bounded(
    path: Path, largest: int, what: str = "the file", *, too_large: str | None = None
) -> bytes:
    """Reads a file of at most `largest` bytes.

    Args:
        path: the file.
        largest: bytes; a larger file is refused without reading all of it.
        what: what messages call the file, as in "the checkpoint".
        too_large: the message about a larger file, where the usual one does not fit.

    Raises:
        UserError: the file cannot be read, or is too large.
    """
    try:
        with path.open("rb") as file:
            too_large = too_large or f"{what} is larger than {_size(largest)}"
            return bounded(file, path, largest, too_large)
    except OSError as error:
        raise file_error(error, path, f"cannot read {what}") from None


def bounded(file: BufferedIOBase, path: Path, largest: int, too_large: str) -> bytes:
    """As `read_bounded`, but reads an open file, such as one that is unpacked while it is read.

    Raises:
        UserError: the file is too large; `too_large` is the message.
        OSError: the file cannot be read.
    """
    # One byte more than is allowed shows that the file is too large, however large it is.
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
    """Replaces `path` by a new file, which is written beside it, flushed to disk and then renamed.

    If `path` is a link, the file that it points to is replaced. If it is not a regular file but a
    pipe or /dev/stdout, for example, the content is written to it directly.

    Args:
        path: the file to replace; it stays as it was if anything fails.
        content: the new content; text is encoded as UTF-8.
        what: what messages call the file.

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
    # Reading needs neither tempfile nor hashlib, and most commands only read.
    import tempfile

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
    """The permissions of the file that is replaced, or those that the umask gives a new one."""
    try:
        return path.stat().st_mode & 0o777
    except FileNotFoundError:
        # The umask can only be read by setting it.
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask


def sha256(content: bytes) -> str:
    """The hexadecimal SHA-256 digest, by which models and agents are named."""
    import hashlib

    return hashlib.sha256(content).hexdigest()
