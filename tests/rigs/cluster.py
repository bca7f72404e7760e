"""A Ray cluster of a test's own: several hosts on this computer, reachable from nowhere else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

import pytest

from compofa.common.closing import Closing

SETTINGS = {
    # So that every process of it listens on the loopback address alone, as off Linux.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}


class RayCluster(Closing):
    """Without devices until hosts are added.

    Args:
        home: of its hosts, whose ~/.ssh they use.

    Attributes:
        address: for `--cluster`, given that the environment has SETTINGS.
    """

    def __init__(self, home: Path) -> None:
        if find_spec("ray") is None:
            pytest.skip("ray is not installed: no cluster to test with")
        # Its sockets' names have to be short.
        self._folder = tempfile.mkdtemp(prefix="ray-")
        Path(self._folder, "ray").mkdir()
        self._log = Path(self._folder, "hosts.log")
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("ray_hosts.py"))],
                env={**os.environ, **SETTINGS, "RAY_TMPDIR": self._folder, "HOME": str(home)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        self.address = self._answer()

    def add(self, host: str, devices: Iterable[str]) -> None:
        """Adds a host on which devices hang."""
        self._say("add", host, *devices)

    def kill(self, host: str) -> None:
        """Kills all of a host at once."""
        self._say("kill", host)

    def close(self) -> None:
        """See `Closing.close`."""
        self._process.communicate()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _say(self, *words: str) -> None:
        assert self._process.stdin is not None
        print(*words, file=self._process.stdin, flush=True)
        self._answer()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        answer = self._process.stdout.readline().strip()
        if not answer:
            raise RuntimeError(f"the cluster ended: {self._log.read_text()[-2000:]}")
        return answer
