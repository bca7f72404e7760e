"""Changes the code at random places and sees whether the tests of its room notice: `make mutants`.

    python tests/mutants.py --count 20 --seed 1
    python tests/mutants.py --only profiler/statistics
    python tests/mutants.py --count 200 --seed 1 --results FILE   # goes on where it stopped
    python tests/mutants.py --results FILE --again   # what was not noticed and has no `why`

Comparisons, arithmetic, constants and conditions are changed, one at a time, in copies of the
repository; cosmic-ray makes the changes. The seed is printed; the same seed draws the same sample
of the same code. Exits with 1 where fewer than 90 % were noticed, and shows each that was not.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import Queue
from random import Random
from threading import Lock
from typing import Any

from rigs.mutation.mutant import ROOMS, ROOT, Mutant, draw
from rigs.mutation.trial import Copy, TooManyFlaky

sys.path.append(str(ROOT / "benchmarks"))

from machine import machine_facts

NOTICED = 0.9
"""The share of a sample that has to be noticed."""


@dataclass
class Trial:
    """One change of the sample, and what is known of it.

    Attributes:
        change: as a diff.
        tried: whether the tests have been run.
        noticed_by: the test that failed; None where none did.
        noticed_later_by: the test that was written since, where none failed at first.
        why: a change that none notices may live; written by hand.
    """

    mutant: Mutant
    change: str
    tried: bool = False
    noticed_by: str | None = None
    noticed_later_by: str | None = None
    why: str | None = None

    @property
    def noticed(self) -> bool:
        """Whether the tests of today notice it, as far as it was tried."""
        return (self.noticed_by or self.noticed_later_by) is not None

    def render(self) -> str:
        """The place, and the change below it."""
        return f"{self.mutant.file}:{self.mutant.line}\n" + "\n".join(
            f"    {line}" for line in self.change.splitlines()
        )

    @classmethod
    def of_json(cls, content: dict[str, Any]) -> Trial:
        """The opposite of `asdict`."""
        return cls(**{**content, "mutant": Mutant(**content["mutant"])})


class Results:
    """A sample and what became of it, in a file if there is one to be written."""

    def __init__(self, seed: int, trials: list[Trial], commit: str, path: Path | None) -> None:
        self.seed, self.trials, self.commit, self._path = seed, trials, commit, path

    @classmethod
    def drawn(cls, seed: int, rooms: Sequence[str], count: int, path: Path | None) -> Results:
        """A new sample of the code as it is."""
        trials = [Trial(mutant, mutant.change()) for mutant in draw(rooms, count, Random(seed))]
        command = ["git", "describe", "--always", "--dirty"]
        commit = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        return cls(seed, trials, commit.stdout.strip(), path)

    @classmethod
    def read(cls, path: Path) -> Results:
        """An earlier sample."""
        content = json.loads(path.read_text())
        trials = [Trial.of_json(each) for each in content["changes"]]
        return cls(content["seed"], trials, content["commit"], path)

    def write(self) -> None:
        """Replaces the file."""
        if self._path is None:
            return
        tried = [trial for trial in self.trials if trial.tried]
        rooms = Counter(trial.mutant.room for trial in tried)
        noticed = Counter(trial.mutant.room for trial in tried if trial.noticed)
        content = {
            "machine": machine_facts(),
            "seed": self.seed,
            "commit": self.commit,
            "drawn": len(self.trials),
            "tried": len(tried),
            "noticed_at_first": sum(trial.noticed_by is not None for trial in tried),
            "noticed": sum(trial.noticed for trial in tried),
            "noticed_by_room": {
                room: f"{noticed[room]} of {rooms[room]}" for room in sorted(rooms)
            },
            "changes": [asdict(trial) for trial in self.trials],
        }
        temporary = self._path.with_suffix(".new")
        temporary.write_text(json.dumps(content, indent=1) + "\n")
        temporary.replace(self._path)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=200, help="of changes; 200 by default")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--only", choices=ROOMS, action="append", help="only this room")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--results", type=Path, help="a JSON file; one that exists is gone on with")
    parser.add_argument(
        "--again", action="store_true", help="try those that were not noticed again"
    )
    options = parser.parse_args()
    if options.results is not None and options.results.exists():
        results = Results.read(options.results)
    else:
        rooms = options.only or list(ROOMS)
        results = Results.drawn(options.seed, rooms, options.count, options.results)
    print(f"seed {results.seed}: {len(results.trials)} changes", flush=True)
    trials = [
        each
        for each in results.trials
        if not each.tried or (options.again and not each.noticed and each.why is None)
    ]
    try_all(results, trials, options.workers)
    noticed = sum(trial.noticed for trial in results.trials)
    print(f"\n{noticed} of {len(results.trials)} were noticed")
    sys.exit(noticed < NOTICED * len(results.trials))


def try_all(results: Results, trials: Sequence[Trial], workers: int) -> None:
    """Tries the changes, and notes each verdict as it comes."""
    copies: Queue[Copy] = Queue()
    writing = Lock()

    def judge(trial: Trial) -> None:
        mutant = trial.mutant.found_again(trial.change)
        if mutant is None:
            print(f"\nNO SUCH PLACE ANY MORE {trial.render()}", flush=True, end="")
            return
        copy = copies.get()
        try:
            verdict = copy.try_(mutant)
        except TooManyFlaky as reason:
            print(f"\nNOT TRIED: {reason} {trial.render()}", flush=True, end="")
            return
        finally:
            copies.put(copy)
        with writing:
            for test in verdict.flaky:
                print(f"\nfails without a change too: {test}")
            if trial.tried:
                trial.noticed_later_by = verdict.test
            else:
                trial.tried, trial.noticed_by = True, verdict.test
            print("." if trial.noticed else f"\nNOT NOTICED {trial.render()}", flush=True, end="")
            results.write()

    with tempfile.TemporaryDirectory() as scratch:
        for number in range(workers):
            copies.put(Copy(Path(scratch) / str(number)))
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(judge, trials))


if __name__ == "__main__":
    main()
