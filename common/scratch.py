"""Private folders for temporary files; those that killed processes left behind are deleted."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

from compofa.common.closing import Closing
from compofa.common.errors import file_error

PREFIX = "compofa-scratch-"

SETTLED_S = 60.0
"""A folder younger than this may not be locked yet by the process that is making it."""


class Scratch(Closing):
    """A folder that only this user can enter, and that `close` deletes.

    The folder is locked while it is in use. The system releases the lock when the process ends,
    however it ends. A folder that is not locked therefore belongs to a process that has ended; it
    is deleted when the next folder is made.

    Attributes:
        path: the folder.

    Raises:
        UserError: no folder can be made in the folder for temporary files.
    """

    def __init__(self) -> None:
        import fcntl

        where = Path(tempfile.gettempdir())
        try:
            _sweep(where)
            self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=where))
            self._lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        except OSError as error:
            raise file_error(error, where, "cannot make a folder for temporary files") from None

    def close(self) -> None:
        """See `Closing.close`."""
        if self._lock >= 0:
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self._lock)
            self._lock = -1


def _sweep(where: Path) -> None:
    """Deletes the folders of those processes of this user that have ended."""
    import fcntl

    for path in where.glob(f"{PREFIX}*"):
        try:
            folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue  # It is another user's, or was deleted meanwhile.
        try:
            status = os.fstat(folder)
            if status.st_uid == os.geteuid() and time.time() - status.st_mtime > SETTLED_S:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
        except OSError:
            pass  # A running process holds the lock.
        finally:
            os.close(folder)
