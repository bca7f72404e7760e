"""Whether tests notice a change, in a copy of the repository."""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rigs.mutation.mutant import ROOT, Mutant, nearest_first

CPU_S = 600
"""Of a processor's time, for one process: beyond it, a change is noticed by never ending."""
TEST_S = 400
"""How long one test may take by the clock: long, for this computer may have other work."""
MEMORY = 8 << 30
"""Bytes of one process, before a change takes the whole computer down."""
MOST_FLAKY = 5
"""Tests that fail without the change too, before there is no point in going on."""


@dataclass(frozen=True)
class Verdict:
    """What became of one change.

    Attributes:
        test: the first that failed with the change and passes without it; None where none did.
        flaky: tests that failed without the change too, and so say nothing of it.
    """

    test: str | None
    flaky: tuple[str, ...] = ()


class TooManyFlaky(Exception):
    """So many tests fail without any change that nothing can be said of one."""


class Copy:
    """A copy of the repository whose packages are found before those that are installed."""

    def __init__(self, folder: Path) -> None:
        self.tree = folder / "tree"
        names = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        files = subprocess.run(names, cwd=ROOT, capture_output=True, check=True)
        for name in files.stdout.decode().split("\0"):
            if name and (ROOT / name).is_file():
                (self.tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.tree / name)
        if (ROOT.parent / "shared").exists():
            (folder / "shared").symlink_to(ROOT.parent / "shared")
        self._site = folder / "site"
        (self._site / "compofa").mkdir(parents=True)
        for room in ("common", "supernet", "profiler", "search"):
            (self._site / "compofa" / room).symlink_to(self.tree / room)

    def try_(self, mutant: Mutant) -> Verdict:
        """Runs the tests of the mutant's room until one notices it.

        A test that fails is run again without the change: one that fails there too, for want of
        time say, has noticed nothing.

        Raises:
            TooManyFlaky: too many tests do.
        """
        tests, flaky = nearest_first(mutant, self.tree), list[str]()
        while len(flaky) < MOST_FLAKY:
            failed = self._with(mutant, tests, flaky)
            if failed is None or self._first_failure([failed.partition("[")[0]]) is None:
                return Verdict(failed, tuple(flaky))
            flaky.append(failed)
        raise TooManyFlaky(f"these fail without any change: {', '.join(flaky)}")

    def _with(self, mutant: Mutant, tests: Sequence[str], without: Sequence[str]) -> str | None:
        path = self.tree / mutant.file
        before = path.read_text()
        path.write_text(mutant.code())
        try:
            return self._first_failure(tests, without)
        finally:
            path.write_text(before)

    def _first_failure(self, tests: Sequence[str], without: Sequence[str] = ()) -> str | None:
        """The first test that fails, or the first file whose tests cannot be run."""
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
        command += ["--timeout", str(TEST_S), *(f"--deselect={test}" for test in without)]
        environment = {
            **os.environ,
            "PYTHONPATH": str(self._site),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        ran = subprocess.run(
            command, cwd=self.tree, env=environment, capture_output=True, text=True, check=False,
            errors="replace", preexec_fn=_bounded,
        )  # fmt: skip
        if ran.returncode == 0:
            return None
        failed = re.search(r"^(?:FAILED|ERROR) (\S+::\S+|\S+\.py)", ran.stdout, re.M)
        if failed is None:
            # The interpreter itself ended: killed for its time, or for an error in C.
            return tests[0]
        return failed[1]


def _bounded() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S + 5))
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
