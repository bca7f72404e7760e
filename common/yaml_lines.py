"""Reads YAML files with the line of every key, so that an error can name the line.

A file is read strictly, so that it means what it seems to mean. Only words that all versions of
YAML read as the same number, true, false or null are read as such. All other words stay text, as do
numbers in octal, hexadecimal or base 60 and those that are too large. Keys are always text. Aliases
and explicit tags are refused: with them a small file can expand to a huge one, or to objects.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compofa.common.console import printable
from compofa.common.errors import UserError
from compofa.common.files import read_bounded

if TYPE_CHECKING:
    from yaml.nodes import Node

LARGEST = 200_000
"""Bytes. A larger configuration file is refused, since PyYAML needs a second for 100 KB."""

DEEPEST = 20
"""How many levels of mappings and lists may be nested."""

CONSTANTS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
"""The constants of YAML 1.2, in which `yes`, `no`, `on` and `off` are text."""

INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})")
FRACTION = re.compile(r"-?(0|[1-9][0-9]*)?(\.[0-9]+|(\.[0-9]*)?[eE][-+]?[0-9]+)")

YamlPath = tuple[str | int, ...]


@dataclass(frozen=True)
class Document:
    """A parsed YAML file.

    Attributes:
        path: the file.
        data: its content, in plain Python types.
        lines: the line of each value, counted from 1, by the path of keys and list positions that
            leads to the value.
        texts: each number as it is written in the file, by the path that leads to it.
    """

    path: Path
    data: Any
    lines: dict[YamlPath, int]
    texts: dict[YamlPath, str]

    def error(self, place: YamlPath, message: str, hint: str | None = None) -> UserError:
        """Makes an error about the value at `place`, with the line of the value.

        If the file has no such value, the error names the line of what would contain it.
        """
        while place not in self.lines and place:
            place = place[:-1]
        return UserError(message, path=self.path, line=self.lines.get(place), hint=hint)


def read_yaml(path: Path, what: str) -> Document:
    """Reads a YAML file.

    Args:
        path: the file.
        what: what messages call the file, as in "the space file".

    Raises:
        UserError: the file cannot be read, is not YAML, gives a key twice, uses aliases or tags,
            or is nested too deeply.
    """
    raw = read_bounded(path, LARGEST, what)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise UserError("not UTF-8 text", path=path, line=line) from None
    with _located(path):
        node = _compose(text, path)
        document = Document(path, None, {}, {})
        data = None if node is None else _value(document, node, ())
        return Document(path, data, document.lines, document.texts)


@contextmanager
def _located(path: Path) -> Iterator[None]:
    """Turns the exceptions of PyYAML into a `UserError` that names the line."""
    import yaml

    try:
        yield
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        # PyYAML names no problem where the file holds bytes that are not text.
        problem = getattr(error, "problem", None) or "the file is not text"
        line = None if mark is None else mark.line + 1
        message = f"not valid YAML: {printable(str(problem))[:150]}"
        raise UserError(message, path=path, line=line) from None
    except (ValueError, OverflowError, IndexError) as error:
        # PyYAML lets these through, for example for a %YAML directive with thousands of digits.
        message = f"not valid YAML: {printable(str(error))[:150]}"
        raise UserError(message, path=path) from None


def _compose(text: str, path: Path) -> Node | None:
    import yaml
    from yaml.events import AliasEvent, CollectionStartEvent, ScalarEvent

    class StrictLoader(yaml.SafeLoader):
        """Refuses aliases, tags and deep nesting before they are expanded."""

        depth = 0

        def compose_node(self, parent: Node | None, index: int) -> Node | None:
            # PyYAML's stubs have no types for this method.
            event: Any = self.peek_event()  # type: ignore[no-untyped-call]
            line = event.start_mark.line + 1
            if isinstance(event, AliasEvent):
                message = f"the alias *{printable(str(event.anchor))[:60]} is not allowed"
                hint = "write out the value that it stands for"
                raise UserError(message, path=path, line=line, hint=hint)
            if isinstance(event, ScalarEvent | CollectionStartEvent) and event.tag is not None:
                tag = printable(event.tag).replace("tag:yaml.org,2002:", "!!")
                message = f"the tag {tag[:60]} is not allowed"
                raise UserError(message, path=path, line=line, hint="leave it out")
            if self.depth >= DEEPEST:
                message = f"more than {DEEPEST} levels of mappings and lists are nested"
                raise UserError(message, path=path, line=line)
            self.depth += 1
            node: Node | None = super().compose_node(parent, index)
            self.depth -= 1
            return node

    loader = StrictLoader(text)
    try:
        return loader.get_single_node()
    finally:
        loader.dispose()


def _value(document: Document, node: Node, place: YamlPath) -> Any:
    """The value of `node` in Python types; its lines and texts are entered in `document`."""
    from yaml.nodes import MappingNode, ScalarNode, SequenceNode

    document.lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, SequenceNode):
        return [_value(document, each, (*place, i)) for i, each in enumerate(node.value)]
    if isinstance(node, MappingNode):
        mapping: dict[str, Any] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, ScalarNode):
                raise UserError("a key must be plain text", path=document.path, line=line)
            name = str(key.value)
            if name in mapping:
                message = f"{printable(name)[:60]!r} is given twice"
                raise UserError(message, path=document.path, line=line)
            document.lines[(*place, name)] = line
            mapping[name] = _value(document, value, (*place, name))
        return mapping
    assert isinstance(node, ScalarNode)
    # Quoted words and blocks have a style; they are text even if they look like numbers.
    value = node.value if node.style else _plain(node.value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        document.texts[place] = node.value
    return value


def _plain(text: str) -> Any:
    """The value of a word that is not quoted: a constant, a number or text."""
    if text in CONSTANTS:
        return CONSTANTS[text]
    if INTEGER.fullmatch(text):
        return int(text)
    if FRACTION.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    return text
