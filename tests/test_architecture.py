"""What may import what, and how large a folder or a function may grow.

`LAYERS` is the drawing in docs/architecture.md as a table. The library is not run here: its
source is read.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

LAYERS = {
    "common": """
        errors closing
        files running_log
        arrays
        programs console csv_lines normal_interval entry_points option_values scratch
        progress_meter yaml_lines
    """,
    "supernet": """
        defaults preprocessing ranks subnet
        blocks subnet_keys
        space
        data families space_file
        graph spaces
        network
        elastic
        supernet
        checkpoints
        evaluation
        training export accuracy_predictor
        commands
    """,
    "profiler": """
        settings
        agent runtimes statistics
        transports
        inventory latency_model
        results
        block_tables report
        models
        measurement
        comparison fleet
        history side_by_side layers
        commands
    """,
    "search": """
        uncertainty
        exact
        accuracy
        candidates
        front_change measures transfer
        answer large
        export output plot request
        family verification
        commands
    """,
}
"""The rooms, and in each its folders and own files from the ground up.

A room may import the rooms above it in this list. Inside a room, what stands on a line may import
what stands on the lines above it, and nothing that stands beside it or below.
"""

LONGEST_FUNCTION = 60
MOST_PARAMETERS = 6
"""Outside the command line, where each parameter is an option."""
MOST_FILES = 13
"""In a folder, `__init__.py` not counted: a dozen or so."""
MOST_IN_ROOM = {"profiler": 6, "search": 12}


@dataclass(frozen=True)
class Module:
    """A source file of the library."""

    path: Path

    @property
    def name(self) -> str:
        """Its name below `compofa`, as in `profiler.transports.ssh.login`."""
        parts = self.path.relative_to(ROOT).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def room(self) -> str:
        return self.path.relative_to(ROOT).parts[0]

    @property
    def place(self) -> str | None:
        """The word for it in `LAYERS`; None for what a room shows of itself."""
        first = self.path.relative_to(ROOT).with_suffix("").parts[1]
        return None if first == "__init__" else first

    @property
    def is_command(self) -> bool:
        return "commands" in self.path.parts

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.path.read_text())

    @cached_property
    def imports(self) -> frozenset[str]:
        """The modules of the library that it imports anywhere, in functions and for types too."""
        return frozenset(self._imports())

    def _imports(self) -> Iterator[str]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (name.name.removeprefix("compofa.") for name in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module is not None:
                module = node.module.removeprefix("compofa.")
                for name in node.names:
                    below = f"{module}.{name.name}"
                    yield below if below in NAMES else module

    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node

    def public_types(self) -> Iterator[str]:
        """Classes, and names in capitals as types have them, such as `Limits = tuple[float]`."""
        for node in self.tree.body:
            if isinstance(node, ast.ClassDef):
                yield node.name
            elif isinstance(node, ast.Assign) and not _is_type_variable(node.value):
                targets = (t.id for t in node.targets if isinstance(t, ast.Name))
                yield from (name for name in targets if re.fullmatch(r"[A-Z]+[a-z]\w*", name))


def _is_type_variable(value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and ast.unparse(value.func) in ("TypeVar", "ParamSpec")


# `python -m` runs a `__main__.py`, and no module imports one.
FILES = [
    path
    for room in LAYERS
    for path in sorted((ROOT / room).rglob("*.py"))
    if path.name != "__main__.py"
]
NAMES = {Module(path).name for path in FILES}
MODULES = {module.name: module for module in map(Module, FILES)}


def check(found: set[str]) -> None:
    """Fails on anything that is found, and names all of it."""
    assert not found, "; ".join(sorted(found))


def test_every_file_has_a_place_in_the_table() -> None:
    places = {(room, word) for room, words in LAYERS.items() for word in words.split()}
    found = {(m.room, m.place) for m in MODULES.values() if m.place is not None}
    assert found == places


def test_imports_point_one_way() -> None:
    rooms = list(LAYERS)
    levels = {
        (room, word): (rooms.index(room), level)
        for room, words in LAYERS.items()
        for level, line in enumerate(words.strip().splitlines())
        for word in line.split()
    }

    def level(module: Module) -> tuple[int, int]:
        # What a room shows of itself stands above all that is in it.
        return levels.get((module.room, module.place or ""), (rooms.index(module.room), 99))

    upward = {
        f"{module.name} -> {name}"
        for module in MODULES.values()
        for name in module.imports & NAMES
        if (module.room, module.place) != (MODULES[name].room, MODULES[name].place)
        and level(module) <= level(MODULES[name])
    }
    check(upward)


def test_no_imports_go_round_in_a_circle() -> None:
    """Those inside functions included."""
    below = {name: module.imports & NAMES - {name} for name, module in MODULES.items()}
    reached = {name: _reachable(name, below) for name in below}
    circles = {
        ", ".join(sorted(other for other in reached[name] if name in reached[other]))
        for name in below
        if name in reached[name]
    }
    check(circles)


def _reachable(start: str, below: dict[str, frozenset[str]]) -> set[str]:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        new = below[waiting.pop()] - seen
        seen |= new
        waiting += new
    return seen


def test_no_module_is_there_for_tests_alone() -> None:
    """Each is reached from a command, an entry point, or something that is run as a program."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["scripts"], *project.get("entry-points", {}).values()]
    named = {target.split(":")[0] for group in groups for target in group.values()}
    starts = {name.removeprefix("compofa.") for name in named}
    starts |= {
        name for name, m in MODULES.items() if '__name__ == "__main__"' in m.path.read_text()
    }
    for room in LAYERS:
        stub = ROOT / room / "__init__.pyi"  # what the room exports
        exported = re.findall(
            r"^from \.(\S+) import", stub.read_text() if stub.exists() else "", re.M
        )
        starts |= {f"{room}.{module}" for module in exported}
    below = {name: module.imports & NAMES for name, module in MODULES.items()}
    used = set(starts).union(*(_reachable(name, below) for name in starts))
    folders = {name for name, module in MODULES.items() if module.path.name == "__init__.py"}
    check(NAMES - used - folders)


def test_only_commands_import_commands() -> None:
    upward = {
        f"{module.name} -> {name}"
        for module in MODULES.values()
        if not module.is_command
        for name in module.imports & NAMES
        if MODULES[name].is_command
    }
    check(upward)


@pytest.mark.parametrize("room", LAYERS)
def test_no_module_name_occurs_twice_in_a_room(room: str) -> None:
    files = [path.name for path in FILES if path.relative_to(ROOT).parts[0] == room]
    twice = {name for name, count in Counter(files).items() if count > 1}
    assert twice <= {"__init__.py"}


def test_no_public_type_stands_for_two_things() -> None:
    homes = defaultdict(list)
    for name, module in MODULES.items():
        for type_ in module.public_types():
            if not type_.startswith("_"):
                homes[type_].append(name)
    check({type_ for type_, where in homes.items() if len(where) > 1})


def test_no_folder_is_too_full_to_be_taken_in() -> None:
    counts = Counter(
        str(path.parent.relative_to(ROOT)) for path in FILES if path.name != "__init__.py"
    )
    check({folder for folder, count in counts.items() if count > MOST_FILES})
    for room, most in MOST_IN_ROOM.items():
        assert len(list((ROOT / room).glob("*.py"))) <= most


def test_no_function_is_too_long_to_be_taken_in() -> None:
    found = {
        f"{name}.{node.name}"
        for name, module in MODULES.items()
        for node in module.functions()
        if (node.end_lineno or 0) - node.lineno >= LONGEST_FUNCTION
    }
    check(found)


def test_no_function_outside_the_command_line_takes_too_many_parameters() -> None:
    found = {
        f"{name}.{node.name}"
        for name, module in MODULES.items()
        if not module.is_command
        for node in module.functions()
        if len(_parameters(node)) > MOST_PARAMETERS
    }
    check(found)


def _parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return [each.arg for each in given if each.arg not in ("self", "cls")]


def test_most_files_fit_on_a_few_screens() -> None:
    lines = sorted(len(path.read_text().splitlines()) for path in FILES)
    assert lines[len(lines) * 9 // 10] <= 300
