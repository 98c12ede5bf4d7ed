"""Untrusted values and text, made harmless for JSON and for one line on a screen."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any

MAX_DEPTH = 100
"""Levels of nesting that are kept; protobuf itself stops at 100, and so does the reader of JSON texts."""

MAX_TITLE = 200
"""Characters."""

_SAFE_INTEGER = 2**53 - 1
"""The greatest integer that a JSON reader which knows only doubles reads exactly."""

_CONTROLS = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+")
"""White space and control characters, ESC and CSI among them: without these no terminal sequence starts."""

_DIRECTIONS = re.compile(r"[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Marks that reorder the text around them: a title could pose as another one."""


def plain(value: Any, depth: int = 0) -> Any:
    """The value as JSON can hold it, in OTLP/JSON's manner.

    Bytes become base64 text, infinities and NaN their names, integers beyond 2^53 decimal text, lone surrogates
    question marks, and what is nested deeper than 100 levels the text ``...``.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, int):
        return value if -_SAFE_INTEGER <= value <= _SAFE_INTEGER else str(value)
    if isinstance(value, float):
        return value if value - value == 0 else _name_of(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return _plain_nested(value, depth)


def _plain_nested(value: Any, depth: int) -> Any:
    if depth >= MAX_DEPTH:
        return "..."
    if isinstance(value, Mapping):
        return {plain(str(key)): plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [plain(item, depth + 1) for item in value]
    return plain(str(value))


def _name_of(value: float) -> str:
    if value != value:
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def one_line(text: str, limit: int = MAX_TITLE) -> str:
    """Text on one line: white space and control characters become a space, direction marks go, the rest is cut."""
    line = _DIRECTIONS.sub("", _CONTROLS.sub(" ", text[: 4 * limit])).strip()
    line = line.encode("utf-8", "replace").decode()
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"
