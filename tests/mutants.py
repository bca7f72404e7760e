"""Changes the code at random places and sees whether the tests of its room notice: `make mutants`.

    python tests/mutants.py --count 20 --seed 1
    python tests/mutants.py --only profiler/statistics

Comparisons, arithmetic, constants and conditions are changed, one at a time, in copies of the
repository; cosmic-ray makes the changes. The seed is printed; the same seed draws the same sample.
Exits with 1 where fewer than 90 % were noticed, and shows each that was not.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from random import Random
from typing import Any

from cosmic_ray.ast import ast_nodes, get_ast_from_path
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

ROOT = Path(__file__).resolve().parent.parent

ROOMS = {
    "profiler/statistics": ["tests/profiler/statistics"],
    "profiler/latency_model": ["tests/profiler/latency_model"],
    "profiler/results": ["tests/profiler/results", "tests/profiler/measurement/test_profile.py"],
    "profiler/comparison": [
        "tests/profiler/comparison",
        "tests/search/commands/test_report_compare.py",
        "tests/search/commands/test_confirm.py",
    ],
    "search": ["tests/search"],
    "supernet/export": ["tests/supernet/export", "tests/supernet/commands/test_export_command.py"],
}
"""What is changed, and the tests that should notice."""

KINDS = re.compile(
    r"ReplaceComparisonOperator(?!_(Is_Eq|IsNot_NotEq|Eq_Is|NotEq_IsNot)$)|"
    r"ReplaceBinaryOperator_(Add|Sub|Mul|Div|Pow|Mod|FloorDiv)_(Add|Sub|Mul|Div|Pow|Mod|FloorDiv)|"
    r"ReplaceUnaryOperator|ReplaceTrueWithFalse|ReplaceFalseWithTrue|ReplaceAndWithOr|"
    r"ReplaceOrWithAnd|AddNot|NumberReplacer"
)
NOTICED = 0.9
"""The share of a sample that has to be noticed."""
PATIENCE = 4
"""So many times as long as without a change: then it is noticed by never ending."""


@dataclass(frozen=True)
class Mutant:
    """One change of one place."""

    room: str
    file: str
    line: int
    operator: str
    occurrence: int

    def code(self) -> str | None:
        """The file's text with the change."""
        operator = get_operator(self.operator)()
        changed = mutate_code((ROOT / self.file).read_bytes(), operator, self.occurrence)
        return None if changed is None else str(changed)

    def render(self) -> str:
        """The change as a diff of a line or two."""
        before, after = (ROOT / self.file).read_text(), self.code() or ""
        lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
        return "\n".join([f"{self.file}:{self.line}", *(f"    {each}" for each in [*lines][3:])])


def draw(rooms: list[str], count: int, rng: Random) -> list[Mutant]:
    """A sample: places first, each as likely as any other, then one change of each place."""
    places: dict[tuple[str, tuple[int, int]], list[Mutant]] = defaultdict(list)
    for room in rooms:
        for path in _files(room):
            for mutant, start in _mutants(room, path):
                places[mutant.file, start].append(mutant)
    chosen = rng.sample(sorted(places), min(count, len(places)))
    return [rng.choice(places[place]) for place in chosen]


def _files(room: str) -> list[Path]:
    deep = room != "search"  # its folders have rooms of their own
    return sorted((ROOT / room).rglob("*.py") if deep else (ROOT / room).glob("*.py"))


def _mutants(room: str, path: Path) -> list[tuple[Mutant, tuple[int, int]]]:
    tree, found = get_ast_from_path(path), []
    lines = path.read_text().splitlines()
    for name in operator_names():
        if KINDS.match(name.partition("/")[2]) is None:
            continue
        operator: Any = get_operator(name)()
        starts = [s for node in ast_nodes(tree) for s, _ in operator.mutation_positions(node)]
        for occurrence, start in enumerate(starts):
            if "import" not in lines[start[0] - 1]:
                file = str(path.relative_to(ROOT))
                found.append((Mutant(room, file, start[0], name, occurrence), start))
    return found


class Copy:
    """A copy of the repository whose packages are found before those that are installed."""

    def __init__(self, folder: Path) -> None:
        self.tree = folder / "tree"
        files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
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

    def passes(self, tests: list[str], limit_s: float) -> bool:
        """Whether the tests pass within that time."""
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
        environment = {
            **os.environ,
            "PYTHONPATH": str(self._site),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        try:
            ran = subprocess.run(
                command, cwd=self.tree, env=environment, capture_output=True, timeout=limit_s,
                check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return False
        return ran.returncode == 0

    def notices(self, mutant: Mutant, limit_s: float) -> bool:
        """Whether the tests fail with the change."""
        code, path = mutant.code(), self.tree / mutant.file
        assert code is not None
        before = path.read_text()
        path.write_text(code)
        try:
            return not self.passes(likely_first(mutant, self.tree), limit_s)
        finally:
            path.write_text(before)


def likely_first(mutant: Mutant, tree: Path) -> list[str]:
    """The test files of the mutant's room, those whose names are like the changed file's first."""
    files: list[str] = []
    for place in ROOMS[mutant.room]:
        found = (
            sorted((tree / place).rglob("test_*.py")) if (tree / place).is_dir() else [tree / place]
        )
        files += [str(path.relative_to(tree)) for path in found]
    stem = Path(mutant.file).stem

    def unlike(file: str) -> float:
        return -difflib.SequenceMatcher(None, stem, Path(file).stem.removeprefix("test_")).ratio()

    return sorted(files, key=unlike)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=200, help="of changes; 200 by default")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--only", choices=ROOMS, action="append", help="only this room")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    rooms = options.only or list(ROOMS)
    sample = draw(rooms, options.count, Random(options.seed))
    print(f"seed {options.seed}: {len(sample)} changes", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        copies: Queue[Copy] = Queue()
        for number in range(options.workers):
            copies.put(Copy(Path(scratch) / str(number)))
        limits = _limits({mutant.room for mutant in sample}, copies)

        def judge(mutant: Mutant) -> bool:
            copy = copies.get()
            try:
                noticed = copy.notices(mutant, limits[mutant.room])
            finally:
                copies.put(copy)
            print("." if noticed else f"\nNOT NOTICED {mutant.render()}", end="", flush=True)
            return noticed

        with ThreadPoolExecutor(options.workers) as pool:
            judged = list(pool.map(judge, sample))
    print(f"\n{sum(judged)} of {len(judged)} were noticed")
    sys.exit(sum(judged) < NOTICED * len(judged))


def _limits(rooms: set[str], copies: Queue[Copy]) -> dict[str, float]:
    """How long the tests of each room may take, from how long they take unchanged."""
    limits = {}
    for room in sorted(rooms):
        copy, begun = copies.get(), time.monotonic()
        if not copy.passes(ROOMS[room], 3600):
            sys.exit(f"the tests of {room} fail without any change")
        limits[room] = 10 + PATIENCE * (time.monotonic() - begun)
        copies.put(copy)
    return limits


if __name__ == "__main__":
    main()
