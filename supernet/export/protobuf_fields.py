"""Encodes fields in protobuf's wire format without copying their contents, as protobuf would.

https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Sequence

LENGTH_DELIMITED = 2
"""The wire type of fields with a length: strings, messages, packed numbers."""


def length_delimited(
    number: int, content: Sequence[bytes | memoryview]
) -> list[bytes | memoryview]:
    """The field `number` of a message, in parts: the bytes before its content, and the content."""
    return [_varint(number << 3 | LENGTH_DELIMITED), _varint(sum(map(len, content))), *content]


def _varint(value: int) -> bytes:
    """An unsigned number, encoded in groups of seven bits, the lowest group first."""
    content = bytearray()
    while value > 0x7F:
        content.append(value & 0x7F | 0x80)
        value >>= 7
    content.append(value)
    return bytes(content)
