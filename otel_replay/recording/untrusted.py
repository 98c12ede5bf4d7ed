"""Values from a page, made fit to keep: one line, bounded, and always possible to write as UTF-8 JSON."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

from otel_replay.texts import storable

_UNREADABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\s\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]+")


def clip(text: str, limit: int) -> str:
    """At most ``limit`` characters, the cut marked with an ellipsis; lone surrogates become U+FFFD."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return storable(cut)


def one_line(value: Any, limit: int) -> str:
    """A string as one line for a person: white space, control and direction characters collapse to one space.

    Anything that is not a string gives an empty one.
    """
    if not isinstance(value, str):
        return ""
    line = value[: limit * 4]
    if not line.isprintable() or "  " in line:  # what the expression looks for, but a single space, does not print
        line = _UNREADABLE.sub(" ", line)
    return clip(line.strip(), limit)


def bounded_json(value: Any, limit: int) -> Any:
    """``value`` where its JSON has at most ``limit`` bytes, else the beginning of that JSON as a string."""
    try:
        encoded = orjson.dumps(value)
    except TypeError:  # lone surrogates, integers over 64 bits, deep nesting
        return clip(_ascii_json(value), limit)
    if len(encoded) <= limit:
        return orjson.loads(encoded)
    return clip(encoded[:limit].decode(errors="ignore"), limit - 1) + "…"


def number(value: Any) -> int | float | None:
    """A number that any JSON reader takes, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) < 2**53 else None


def _ascii_json(value: Any) -> str:
    try:
        return json.dumps(value)
    except (RecursionError, TypeError, ValueError):
        return "nested too deeply"
