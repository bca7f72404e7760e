"""YAML files with the line of every key, so that an error can say where it is.

A file is read strictly, so that it means what it seems to mean. Only what every version of YAML
takes for the same number, true, false or null is one. All other words stay text, as do numbers in
octal, hexadecimal or base 60 and those that are too large. Keys are always text. Aliases and
explicit tags, with which a small file can mean a huge or a strange one, are refused.
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
"""Bytes; a configuration file larger than this is refused. PyYAML reads 100 KB in a second."""

DEEPEST = 20
"""Levels of mappings and lists within each other."""

CONSTANTS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
"""As in YAML 1.2; `yes`, `no`, `on` and `off` are words there."""

INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})")
FRACTION = re.compile(r"-?(0|[1-9][0-9]*)?(\.[0-9]+|(\.[0-9]*)?[eE][-+]?[0-9]+)")

YamlPath = tuple[str | int, ...]


@dataclass(frozen=True)
class Document:
    """A parsed YAML file.

    Attributes:
        data: what it holds, in plain Python types.
        lines: for the path of keys (and list positions) to a value, its line, counted from 1.
        texts: for the path to a number, how the file writes it.
    """

    path: Path
    data: Any
    lines: dict[YamlPath, int]
    texts: dict[YamlPath, str]

    def error(self, place: YamlPath, message: str, hint: str | None = None) -> UserError:
        """An error about the value at `place`, or the nearest place around it."""
        while place not in self.lines and place:
            place = place[:-1]
        return UserError(message, path=self.path, line=self.lines.get(place), hint=hint)


def read_yaml(path: Path, what: str) -> Document:
    """Reads `path`, which holds `what` (for messages).

    Raises:
        UserError: it cannot be read, is not YAML, gives a key twice, or uses aliases or tags.
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
    """Turns what PyYAML raises into errors with a place."""
    import yaml

    try:
        yield
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "not even text"
        line = None if mark is None else mark.line + 1
        message = f"not valid YAML: {printable(str(problem))[:150]}"
        raise UserError(message, path=path, line=line) from None
    except (ValueError, OverflowError, IndexError) as error:
        # As for a %YAML directive whose numbers have thousands of digits.
        message = f"not valid YAML: {printable(str(error))[:150]}"
        raise UserError(message, path=path) from None


def _compose(text: str, path: Path) -> Node | None:
    import yaml
    from yaml.events import AliasEvent, CollectionStartEvent, ScalarEvent

    class StrictLoader(yaml.SafeLoader):
        """Refuses what makes a file mean more than it shows, before it is unfolded."""

        depth = 0

        def compose_node(self, parent: Node | None, index: int) -> Node | None:
            # The stubs of PyYAML give the method no types.
            event: Any = self.peek_event()  # type: ignore[no-untyped-call]
            line = event.start_mark.line + 1
            if isinstance(event, AliasEvent):
                message = (
                    f"the alias *{printable(str(event.anchor))[:60]} is not taken: write it out"
                )
                raise UserError(message, path=path, line=line)
            if isinstance(event, ScalarEvent | CollectionStartEvent) and event.tag is not None:
                tag = printable(event.tag).replace("tag:yaml.org,2002:", "!!")
                message = f"the tag {tag[:60]} is not taken"
                raise UserError(message, path=path, line=line, hint="leave it out")
            if self.depth >= DEEPEST:
                message = f"more than {DEEPEST} levels within each other"
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
    """What `node` stands for; lines and texts of all that is in it are noted in `document`."""
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
    # Quoted words and blocks have a style; they are text whatever they look like.
    value = node.value if node.style else _plain(node.value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        document.texts[place] = node.value
    return value


def _plain(text: str) -> Any:
    """What a word without quotes stands for."""
    if text in CONSTANTS:
        return CONSTANTS[text]
    if INTEGER.fullmatch(text):
        return int(text)
    if FRACTION.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    return text
