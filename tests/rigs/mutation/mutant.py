"""Small changes of the code: where they can be made, a sample of them, and how one looks."""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from cosmic_ray.ast import ast_nodes, get_ast_from_path
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

ROOT = Path(__file__).resolve().parent.parent.parent.parent

ROOMS = {
    "profiler/statistics": ["tests/profiler/statistics"],
    "profiler/latency_model": ["tests/profiler/latency_model"],
    "profiler/results": [
        "tests/profiler/results",
        "tests/profiler/report/test_report_command.py",
        "tests/profiler/measurement/test_profile.py",
    ],
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

NOTHING_RUNS = re.compile(r"import|TYPE_CHECKING|^ *@dataclass\(")
"""On lines that only say what is imported, or that facts are frozen, no change is made."""

CHECKS = re.compile(r"strict=True")
"""What only turns a mistake of ours into an error is not turned off."""


@dataclass(frozen=True)
class Mutant:
    """One change of one place."""

    room: str
    file: str
    line: int
    operator: str
    occurrence: int

    def code(self) -> str:
        """The file's text with the change."""
        operator = get_operator(self.operator)()
        changed = mutate_code((ROOT / self.file).read_bytes(), operator, self.occurrence)
        if changed is None:
            raise ValueError(f"{self.file} has no such place any more")
        return str(changed)

    def change(self) -> str:
        """A diff of the lines that differ."""
        before = (ROOT / self.file).read_text().splitlines()
        lines = difflib.unified_diff(before, self.code().splitlines(), lineterm="", n=0)
        return "\n".join([*lines][3:])

    def found_again(self, change: str) -> Mutant | None:
        """The same change of the same file, which may look otherwise elsewhere by now."""
        others = [other for other, _ in _mutants(self.room, ROOT / self.file)]
        alike = [other for other in others if other.operator == self.operator]
        alike.sort(key=lambda other: abs(other.line - self.line))
        return next((other for other in alike if other.change() == change), None)


def draw(rooms: Sequence[str], count: int, rng: Random) -> list[Mutant]:
    """A sample: places first, each as likely as any other, then one change of each place."""
    places: dict[tuple[str, tuple[int, int]], list[Mutant]] = defaultdict(list)
    for room in rooms:
        for path in sorted((ROOT / room).rglob("*.py")):
            for mutant, start in _mutants(room, path):
                places[mutant.file, start].append(mutant)
    chosen = rng.sample(sorted(places), min(count, len(places)))
    return [rng.choice(places[place]) for place in chosen]


def _mutants(room: str, path: Path) -> list[tuple[Mutant, tuple[int, int]]]:
    tree, found = get_ast_from_path(path), []
    lines = path.read_text().splitlines()
    for name in operator_names():
        if KINDS.match(name.partition("/")[2]) is None:
            continue
        operator: Any = get_operator(name)()
        starts = [s for node in ast_nodes(tree) for s, _ in operator.mutation_positions(node)]
        for occurrence, start in enumerate(starts):
            line = lines[start[0] - 1]
            if NOTHING_RUNS.search(line) or CHECKS.match(line, start[1] - len("strict=")):
                continue
            file = str(path.relative_to(ROOT))
            found.append((Mutant(room, file, start[0], name, occurrence), start))
    return found


def nearest_first(mutant: Mutant, tree: Path) -> list[str]:
    """The test files of the mutant's room: those of its folder first, then by likeness of name."""
    files: list[Path] = []
    for place in ROOMS[mutant.room]:
        path = tree / place
        files += path.rglob("test_*.py") if path.is_dir() else [path]
    changed = Path(mutant.file)

    def distance(file: Path) -> tuple[int, float]:
        folder = file.relative_to(tree / "tests").parent
        common = [a for a, b in zip(folder.parts, changed.parent.parts, strict=False) if a == b]
        alike = difflib.SequenceMatcher(None, changed.stem, file.stem.removeprefix("test_"))
        return -len(common), -alike.ratio()

    return [str(file.relative_to(tree)) for file in sorted(sorted(files), key=distance)]
