"""The published format of block tables: one ``RES_lookup_table.yaml`` for each resolution.

The format is that of OFA's latency tables: each block's key has a mean and a standard deviation,
in milliseconds, over a number of runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from yaml.events import (
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    StreamEndEvent,
    StreamStartEvent,
)

from compofa.common.csv_lines import parse_count, parse_number, shown
from compofa.common.errors import UserError, file_error
from compofa.common.files import read_bounded, write_atomically

LARGEST_FILE = 20_000_000
"""Bytes; published files have 15 thousand."""

FIELDS = ("mean", "std", "count")

FRAME = (StreamStartEvent, DocumentStartEvent, DocumentEndEvent, StreamEndEvent)
"""Events that carry nothing of a file with one document."""

FILE_NAME = re.compile(r"([1-9][0-9]{0,3})_lookup_table\.yaml", re.ASCII)


@dataclass(frozen=True, slots=True)
class BlockTime:
    """The latency of one block: mean and standard deviation of `count` runs."""

    mean_ms: float
    std_ms: float
    count: int


Blocks = Mapping[int, Mapping[str, BlockTime]]
"""For each resolution, block key -> latency."""


def block_file(folder: Path, resolution: int) -> Path:
    """The file of one resolution."""
    return folder / f"{resolution}_lookup_table.yaml"


def read_block_files(folder: Path) -> Blocks:
    """Reads every ``RES_lookup_table.yaml`` in `folder`; other files are left alone.

    Raises:
        UserError: there is none, or one is not as published; the message names file and line.
    """
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        raise file_error(error, folder, "cannot read the block table") from None
    resolutions = {int(match[1]) for name in names if (match := FILE_NAME.fullmatch(name))}
    if not resolutions:
        hint = "a block table has a file such as 224_lookup_table.yaml for each resolution"
        raise UserError("no block table in this folder", path=folder, hint=hint)
    return {each: _read_file(block_file(folder, each)) for each in sorted(resolutions)}


def write_block_files(folder: Path, blocks: Blocks) -> None:
    """Writes `blocks` in the published format, making `folder` if need be.

    Raises:
        UserError: a file cannot be written.
    """
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise file_error(error, folder, "cannot make the folder") from None
    for resolution, times in blocks.items():
        content = {
            key: {"count": time.count, "mean": time.mean_ms, "std": time.std_ms}
            for key, time in times.items()
        }
        text = yaml.dump(content, Dumper=dumper, default_flow_style=False)
        write_atomically(block_file(folder, resolution), text, "the block table")


def _read_file(path: Path) -> dict[str, BlockTime]:
    raw = read_bounded(path, LARGEST_FILE, "the block table")
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        blocks = _blocks(_Events(yaml.parse(raw.decode("utf-8"), Loader=loader), path))
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise UserError("not UTF-8 text", path=path, line=line) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        at = None if mark is None else mark.line + 1
        raise UserError(f"not valid YAML: {problem}", path=path, line=at) from None
    if not blocks:
        raise UserError("the block table is empty", path=path)
    return blocks


class _Events:
    """The parts of a YAML file, one after another.

    The format is flat, so it needs no tree; and building one from deep nesting, which a hostile
    file may have, overflows the C library's stack.
    """

    def __init__(self, events: Iterator[Any], path: Path) -> None:
        self._events = (event for event in events if not isinstance(event, FRAME))
        self._path = path

    def mapping(self) -> Iterator[tuple[Any, str]]:
        """The keys of the mapping that begins here; whoever iterates takes each value.

        Yields:
            The key's event, for messages, and its text.
        """
        event = next(self._events, None)
        if event is None:
            return
        if not isinstance(event, MappingStartEvent):
            raise self.error(event, "expected a mapping of blocks to mean, std and count")
        seen: set[str] = set()
        while not isinstance(event := next(self._events), MappingEndEvent):
            key = self._text(event, "a key")
            if key in seen:
                raise self.error(event, f"{shown(key)} is given twice")
            seen.add(key)
            yield event, key

    def number(self, name: str) -> float:
        """The figure that comes next: neither negative nor infinite, and whole if a count."""
        event = next(self._events)
        text = self._text(event, name)
        try:
            value = parse_count(text, name) if name == "count" else parse_number(text, name)
            if value < 0:
                raise ValueError(f"{name} must not be negative, as {value} is")
        except ValueError as error:
            raise self.error(event, str(error)) from None
        return value

    def end(self) -> None:
        """Raises UserError where more follows."""
        event = next(self._events, None)
        if event is not None:
            raise self.error(event, "a block table is one YAML document, and here another begins")

    def _text(self, event: Any, name: str) -> str:
        if not isinstance(event, ScalarEvent):
            raise self.error(event, f"{name} must be plain text")
        return str(event.value)

    def error(self, event: Any, message: str) -> UserError:
        """An error about `event`, with its line."""
        return UserError(message, path=self._path, line=event.start_mark.line + 1)


def _blocks(events: _Events) -> dict[str, BlockTime]:
    blocks: dict[str, BlockTime] = {}
    for at, key in events.mapping():
        given: dict[str, float] = {}
        for name_at, name in events.mapping():
            if name not in FIELDS:
                raise events.error(name_at, f"expected mean, std and count, not {shown(name)}")
            given[name] = events.number(name)
        for name in FIELDS:
            if name not in given:
                raise events.error(at, f"block {shown(key)} has no {name}")
        blocks[key] = BlockTime(given["mean"], given["std"], int(given["count"]))
    events.end()
    return blocks
