"""YAML files with the line of every key, so that an error can say where it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compofa.common.errors import UserError, file_error

LARGEST = 1_000_000
"""Bytes; a configuration file larger than this is refused."""

YamlPath = tuple[str | int, ...]


@dataclass(frozen=True)
class Document:
    """A parsed YAML file.

    Attributes:
        data: what it holds, in plain Python types.
        lines: for the path of keys (and list positions) to a value, its line, counted from 1.
    """

    path: Path
    data: Any
    lines: dict[YamlPath, int]

    def error(self, place: YamlPath, message: str, hint: str | None = None) -> UserError:
        """An error about the value at `place`, or the nearest place around it."""
        while place not in self.lines and place:
            place = place[:-1]
        return UserError(message, path=self.path, line=self.lines.get(place), hint=hint)


def read_yaml(path: Path, what: str) -> Document:
    """Reads `path`, which holds `what` (for messages), with the safe loader.

    Raises:
        UserError: it cannot be read, is not YAML, or gives a key twice.
    """
    import yaml

    try:
        raw = path.read_bytes()
    except OSError as error:
        raise file_error(error, path, f"cannot read {what}") from None
    if len(raw) > LARGEST:
        raise UserError(f"{what} of {len(raw):,} bytes is too large", path=path)
    loader = None
    lines: dict[YamlPath, int] = {}
    try:
        # Loader set-up already decodes the first bytes, so it can fail on them.
        loader = yaml.SafeLoader(raw.decode("utf-8"))
        node = loader.get_single_node()
        if node is not None:
            _walk(node, (), lines, path)
        data = None if node is None else loader.construct_document(node)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise UserError("not UTF-8 text", path=path, line=line) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "not valid YAML"
        at = None if mark is None else mark.line + 1
        raise UserError(f"not valid YAML: {problem}", path=path, line=at) from None
    finally:
        if loader is not None:
            loader.dispose()
    return Document(path, data, lines)


def _walk(node: Any, place: YamlPath, lines: dict[YamlPath, int], path: Path) -> None:
    from yaml.nodes import MappingNode, SequenceNode

    lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key.value, str):
                raise UserError("a key must be plain text", path=path, line=line)
            if key.value in seen:
                raise UserError(f"{key.value!r} is given twice", path=path, line=line)
            seen.add(key.value)
            lines[(*place, key.value)] = line
            _walk(value, (*place, key.value), lines, path)
    elif isinstance(node, SequenceNode):
        for i, value in enumerate(node.value):
            _walk(value, (*place, i), lines, path)
