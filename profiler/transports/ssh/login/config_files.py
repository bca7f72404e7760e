"""The text of OpenSSH's configuration files, made fit for paramiko's reader."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from compofa.common.errors import UserError, file_error

DEEPEST_INCLUDE = 16
"""As in OpenSSH; deeper means that files include each other."""

LARGEST_CONFIG = 1_000_000
"""Bytes of one file."""

CERTIFICATE = "certificate:"
"""Before the path of a CertificateFile. paramiko keeps every IdentityFile of a host, but only the
first CertificateFile, so they are handed to it as the former."""

WHOLE_LINE = ("host", "match", "proxycommand", "localcommand", "remotecommand")
"""Keywords whose value may hold blanks and `#`; of all others the words count."""


def config_text(paths: tuple[Path, ...]) -> str:
    """What is in those of `paths` that exist, one after another, with what they include.

    Raises:
        UserError: a file cannot be read, or has a line that cannot be taken apart.
    """
    return "\nHost *\n".join(_with_includes(path, path.parent, 0) for path in paths)


def _with_includes(path: Path, folder: Path, depth: int) -> str:
    """The text of a configuration file with the files it includes in their places.

    paramiko does not know `Include`. After an included file the `Host` or `Match` that stood before
    it counts again, as in OpenSSH.

    Args:
        folder: where files are that are included by a relative name.
    """
    if depth > DEEPEST_INCLUDE:
        raise UserError("files include each other without end", path=path)
    kept, section = [], "Host *"
    for number, line in enumerate(_lines(path, depth == 0), 1):
        keyword, _, rest = re.sub(r"\s*=\s*|\s+", " ", line.strip(), count=1).partition(" ")
        if keyword.lower() in ("host", "match"):
            section = line
        try:
            if keyword.lower() != "include":
                kept.append(_plain(line, keyword, rest))
                continue
            for pattern in words(rest):
                for included in sorted(_matching(home(pattern), folder)):
                    kept += [_with_includes(included, folder, depth + 1), section]
        except ValueError as error:
            raise UserError(
                f"not a valid SSH configuration: {error}", path=path, line=number
            ) from None
    return "\n".join(kept)


def _lines(path: Path, may_lack: bool) -> list[str]:
    """The lines of a file; none where it is not there and need not be."""
    try:
        if may_lack and not path.exists():
            return []
        if path.stat().st_size > LARGEST_CONFIG:
            raise UserError(f"larger than {LARGEST_CONFIG:,} bytes", path=path)
        return path.read_text().splitlines()
    except OSError as error:
        raise file_error(error, path, "cannot read the SSH configuration") from None
    except UnicodeDecodeError:
        raise UserError("not UTF-8 text", path=path) from None


def _plain(line: str, keyword: str, rest: str) -> str:
    """A line without quotes and without the comment at its end, neither of which paramiko reads."""
    key = keyword.lower()
    if not keyword or keyword.startswith("#") or key in WHOLE_LINE or not rest:
        return line
    values = words(rest)
    if key == "certificatefile":
        return f"IdentityFile {CERTIFICATE}{' '.join(values)}"
    if key in ("userknownhostsfile", "globalknownhostsfile"):
        return f"{keyword} {shlex.join(values)}"
    return f"{keyword} {' '.join(values)}" if values else line


def words(text: str) -> list[str]:
    """The words of a line, in which quotes hold blanks and `#` begins a comment."""
    return shlex.split(text, comments=True)


def _matching(pattern: str, folder: Path) -> list[Path]:
    """Files that a pattern of `Include` names; none where it can be the name of no file."""
    whole = folder / pattern
    try:
        return list(Path(whole.anchor).glob(str(whole.relative_to(whole.anchor))))
    except (OSError, ValueError):
        return []


def home(path: str) -> str:
    """`path` with a leading ~ or ~user written out."""
    try:
        return str(Path(path).expanduser())
    except RuntimeError:  # the home folder of somebody who does not exist
        return path
