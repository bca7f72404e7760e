"""Fields of protobuf's wire format, framed around contents that protobuf itself would copy.

https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Sequence

LENGTH_DELIMITED = 2
"""The wire type of whatever has a length: strings, messages, packed numbers."""


def length_delimited(
    number: int, content: Sequence[bytes | memoryview]
) -> list[bytes | memoryview]:
    """The field `number` of a message, in parts: what comes before its content, and the content."""
    return [_varint(number << 3 | LENGTH_DELIMITED), _varint(sum(map(len, content))), *content]


def _varint(value: int) -> bytes:
    """An unsigned number in groups of seven bits, the lowest first."""
    content = bytearray()
    while value > 0x7F:
        content.append(value & 0x7F | 0x80)
        value >>= 7
    content.append(value)
    return bytes(content)
