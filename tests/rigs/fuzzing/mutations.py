"""Damage: what becomes of a good file, a line of a protocol or an option on its way here."""

from __future__ import annotations

import json
from random import Random
from typing import Any

NUMBERS = (
    "0", "-1", "-0.0", "1e999", "-1e999", "nan", "inf", "-Infinity", "NaN", "1e-320", "5e-324",
    "1e308", "0.1e-9", "1e", "1e5", ".5", "5.", "9223372036854775808", "0x10", "0o17", "0022",
    "22:22", "1_000", "1,5", "1.5.5", "+5", "٣", "½", "9" * 23, "1" * 400, "1" * 5000,
)  # fmt: skip

WORDS = (
    "", " ", "\t", "\n", "\r\n", "\x00", "\x1b[31m", "\x07", "\u202e", "\u2028", "\ufeff", "é",
    "\U0001f600", "=1+1", "@SUM(1)", "-x", "--help", "../../../etc/passwd", "/dev/zero",
    "/dev/stdin", "CON", "~", "$(true)", "`true`", "a;b", "a' 'b", '"', "'", "\\", "*a",
    "<script>alert(1)</script>", "]]>", "-->", "::error::x", "##[command]x", "{{7*7}}", "%s%n",
    "null", "true", "yes", "NO", "&a [*a, *a]", "!!python/object/apply:os.system [true]",
    "!!binary x", "? x", "- - - x", "{", "}", "[", "]", "[" * 2000, '{"a":' * 2000, "A" * 5000,
    "a,b", "a\nb", "d22222", "d99999", "d-e-k", "compofa", "2026-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z", "0000-00-00T00:00:00Z", "1970-01-01", "2026-01-01T00:00:00+99:99",
    "unconverged", "predicted", "float16",
)  # fmt: skip


def nasty_value(rng: Random) -> Any:
    """Something that JSON can say and nobody expects."""
    return rng.choice(
        [
            None, True, False, 0, -1, 1e308, 5e-324, 2**63, 10**400, float("nan"), float("inf"),
            "", [], {}, [[]], {"": ""}, "\ud800", "\x1b]0;x\x07", "A" * 5000, [1] * 1000,
            rng.choice(WORDS), rng.choice(NUMBERS), {"a": {"b": {"c": []}}},
        ]
    )  # fmt: skip


def damaged(content: bytes, rng: Random) -> bytes:
    """`content` with one to four things wrong with it."""
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        content = rng.choice(_WAYS)(content, rng)
    return content


def damaged_json(value: Any, rng: Random) -> Any:
    """`value` with one node of it changed, left out, doubled or wrapped."""
    if isinstance(value, dict) and value and rng.random() < 0.8:
        changed = dict(value)
        key = rng.choice(list(changed))
        way = rng.random()
        if way < 0.1:
            del changed[key]
        elif way < 0.2:
            changed[rng.choice(WORDS)] = nasty_value(rng)
        else:
            changed[key] = damaged_json(changed[key], rng)
        return changed
    if isinstance(value, list) and value and rng.random() < 0.8:
        items = list(value)
        place = rng.randrange(len(items))
        way = rng.random()
        if way < 0.1:
            del items[place]
        elif way < 0.2:
            items.insert(place, nasty_value(rng))
        else:
            items[place] = damaged_json(items[place], rng)
        return items
    if isinstance(value, int | float) and not isinstance(value, bool) and rng.random() < 0.4:
        if abs(value) >= 10**300:  # beyond what a float holds
            return 0
        others = [-value, value * 1000, value + 1, value - 0.5, value * 10**15, str(value)[:100]]
        return rng.choice(others)
    return rng.choice([nasty_value(rng), [value], {"x": value}])


def _in_json(content: bytes, rng: Random) -> bytes:
    """Damages one line that is JSON, or all of it; bytes where there is none."""
    lines = content.split(b"\n")
    place = rng.randrange(len(lines))
    for part in (lines[place], content):
        try:
            value = damaged_json(json.loads(part), rng)
        except (ValueError, RecursionError):
            continue
        said = json.dumps(value).encode()
        return said if part is content else b"\n".join([*lines[:place], said, *lines[place + 1 :]])
    return _in_a_word(content, rng)


def _in_a_word(content: bytes, rng: Random) -> bytes:
    """One field, as commas, colons, spaces and ends of lines part them, becomes another."""
    text = content.decode("latin-1")
    ends = [i for i, c in enumerate(text) if c in ',:; \t\n{}[]"='] or [0]
    begin = rng.choice(ends) + 1
    end = next((i for i in ends if i >= begin), len(text))
    new = rng.choice(rng.choice([NUMBERS, WORDS])).encode(errors="surrogatepass")
    return content[:begin] + new + content[end:]


def _in_the_lines(content: bytes, rng: Random) -> bytes:
    lines = content.split(b"\n")
    place, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    way = rng.randrange(5)
    if way == 0:
        del lines[place]
    elif way == 1:
        lines.insert(place, lines[other])
    elif way == 2:
        lines[place], lines[other] = lines[other], lines[place]
    elif way == 3:
        lines[place] = lines[place].replace(b",", rng.choice([b";", b"\t", b",,", b""]))
    else:
        lines[place] += rng.choice([b"\r", b" ", b",", b"\x00", b"#x"])
    return b"\n".join(lines)


def _in_the_bytes(content: bytes, rng: Random) -> bytes:
    place = rng.randrange(len(content) + 1)
    size = rng.choice([1, 1, 2, 8, 64])
    way = rng.randrange(5)
    if way == 0:
        return content[:place]
    if way == 1:
        return content[:place] + rng.randbytes(size) + content[place:]
    if way == 2:
        return content[:place] + content[place + size :]
    if way == 3:
        return content[:place] + rng.randbytes(size) + content[place + size :]
    return content[:place] + content[place : place + size] * rng.choice([2, 100]) + content[place:]


_WAYS = (_in_json, _in_a_word, _in_a_word, _in_the_lines, _in_the_bytes)
