"""The folder of one training, with its state, its result, and files about it.

state.pt          all that is needed to continue
supernet.pt       the result: a checkpoint
run.json          what is trained, how, and on which data; the costs when it is done
split.json        which images were held out
steps.csv         every step: learning rate, losses, subnets
validation.csv    every validation
log.txt           messages for people
tensorboard/      curves, with --tensorboard
"""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from compofa.common.errors import UserError, file_error
from compofa.common.files import write_atomically

FILES = ("run.json", "split.json", "steps.csv", "validation.csv", "log.txt", "supernet.pt")


class RunFolder:
    """The folder of a training, with the paths of its files.

    Attributes:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.state = path / "state.pt"
        self.checkpoint = path / "supernet.pt"
        self.about = path / "run.json"
        self.split = path / "split.json"
        self.steps = path / "steps.csv"
        self.validation = path / "validation.csv"
        self.log = path / "log.txt"
        self.tensorboard = path / "tensorboard"

    @property
    def begun(self) -> bool:
        """Whether the folder has a training that can be continued.

        Raises:
            UserError: it has files of a training, but no state.
        """
        if self.state.exists():
            return True
        left = [name for name in FILES if (self.path / name).exists()]
        if left:
            message = f"a training left {left[0]} here, but its state.pt is missing"
            hint = "discard it and start again with --fresh"
            raise UserError(message, path=self.path, hint=hint)
        return False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Makes the folder, and locks it against other processes that train.

        Raises:
            UserError: another process is training in it, or the folder cannot be made.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = (self.path / ".lock").open("w")
        except OSError as error:
            raise file_error(error, self.path, "cannot use the run's folder") from None
        with lock:
            try:
                # The system releases the lock when this process ends, however it ends.
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                message = "another process is training in this folder"
                raise UserError(message, path=self.path) from None
            yield

    def clear(self) -> None:
        """Deletes the files of a training, first its state, and nothing else.

        Raises:
            UserError: a file cannot be deleted.
        """
        try:
            for path in (self.state, *(self.path / name for name in FILES)):
                path.unlink(missing_ok=True)
            if self.tensorboard.exists():
                shutil.rmtree(self.tensorboard)
        except OSError as error:
            raise file_error(error, self.path, "cannot discard the training") from None

    def describe(self, about: Mapping[str, Any]) -> None:
        """Writes run.json."""
        write_atomically(self.about, json.dumps(about, indent=1) + "\n", "run.json")


def differences(expected: Mapping[str, Any], recorded: Mapping[str, Any]) -> list[str]:
    """The differences between two descriptions, such as `batch_size: 128, was 256`."""
    told = []
    for name in sorted(set(expected) | set(recorded)):
        now, was = expected.get(name), recorded.get(name)
        if isinstance(now, Mapping) and isinstance(was, Mapping):
            told += [f"{name}.{each}" for each in differences(now, was)]
        elif now != was:
            short = max(len(str(now)), len(str(was))) < 40
            told.append(f"{name}: {now}, was {was}" if short else f"{name} is different")
    return told
