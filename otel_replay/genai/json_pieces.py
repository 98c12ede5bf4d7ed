"""The elements of a JSON array as byte ranges, found without parsing: about 1 us a message. Pure.

Also of the array of messages in a request that a library copied whole.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import accumulate, pairwise

MAX_ELEMENTS = 2_000
"""More than any conversation has messages; an array of more is one piece."""

MAX_STRINGS = 100_000

_WHITESPACE = b" \t\r\n"
_PLAIN = frozenset((b":", b": ", b",", b", "))
_MARK = re.compile(rb"[\[\]{},]")
_CHANGE = {b"[": 1, b"{": 1, b"]": -1, b"}": -1, b",": 0}  # of depth
_KEPT_BYTES = 16

_HISTORY = re.compile(rb'"(?:messages|contents|input|items)"\s*:\s*(?=\[)')
"""Where an object has its messages. Within a JSON string the quotes would be escaped."""

_ROLE = b'{"role"'
"""How libraries begin a message. Within a JSON string its quotes would be escaped."""

Range = tuple[int, int]
Marks = tuple[tuple[int, int], ...]


def elements(text: bytes) -> list[Range]:
    """The top-level elements (start, end) of a JSON array, without what delimits them.

    Of an object with messages: what stands before them, each of them, and what stands behind. Anything else, and what
    has brackets and quotes that do not match, is one piece. Never raises.
    """
    whole = [(0, len(text))]
    stripped = text.lstrip(_WHITESPACE)
    if stripped.startswith(b"{"):
        return _of_object(text) or whole
    if not stripped.startswith(b"["):
        return whole
    if messages := _messages(text):
        return messages
    edges = _edges(text, 0)
    if not 2 <= len(edges) <= MAX_ELEMENTS + 1 or text[edges[-1] + 1 :].strip(_WHITESPACE):
        return whole
    found = [_trimmed(text, start + 1, end) for start, end in pairwise(edges)]
    if len(found) == 1 and found[0][0] == found[0][1]:
        return []  # an empty array
    return whole if any(start == end for start, end in found) else found


def _of_object(text: bytes) -> list[Range]:
    """Before, between and behind the commas of the first list of messages; empty where there are not two of them."""
    if not (match := _HISTORY.search(text)):
        return []
    edges = _edges(text, match.end())
    if not 3 <= len(edges) <= MAX_ELEMENTS + 1:
        return []
    found = [_trimmed(text, start + 1, end) for start, end in pairwise(edges)]
    if any(start == end for start, end in found):
        return []
    behind = text[edges[-1] + 1 :].lstrip(b"," + _WHITESPACE)
    rest = [(len(text) - len(behind), len(text))] if behind.strip(b"}" + _WHITESPACE) else []
    return [(0, match.end()), *found, *rest]


def _messages(text: bytes) -> list[Range]:
    """The elements of an array in which each begins with its role, and nothing else does; empty for any other array.

    Looking for that beginning costs a fifth of looking at every string. That each element ends as an object does, and
    the last one with the array, tells apart the beginnings of objects within messages.
    """
    start = text.find(_ROLE)
    if start < 0 or text[:start].strip(_WHITESPACE) != b"[":
        return []
    found: list[Range] = []
    while len(found) < MAX_ELEMENTS:
        following = text.find(_ROLE, start + len(_ROLE))
        end = _object_end(text, start, following, b",") if following >= 0 else _object_end(text, start, len(text), b"]")
        if not end:
            return []
        found.append((start, end))
        if following < 0:
            return found
        start = following
    return []


def _object_end(text: bytes, start: int, end: int, mark: bytes) -> int:
    """Where the object ends that, but for whitespace, one mark parts from ``end``; 0 when there is none."""
    first = max(start, end - _KEPT_BYTES)
    before_mark = text[first:end].rstrip(_WHITESPACE)
    last = before_mark[:-1].rstrip(_WHITESPACE)
    return first + len(last) if before_mark[-1:] == mark and last[-1:] == b"}" else 0


def _edges(text: bytes, begin: int) -> list[int]:
    """Positions of the brackets of the array that begins there, and of the commas directly within; empty when they
    cannot be told.

    Escapes are blanked by ones of equal length, so that whatever stands between two quotes is a string.
    """
    rest = text[begin:] if begin else text
    plain = rest.replace(rb"\\", b"__").replace(rb"\"", b"__") if b"\\" in rest else rest
    pieces = plain.split(b'"', MAX_STRINGS)
    if len(pieces) % 2 == 0 or len(pieces) > MAX_STRINGS:
        return []
    starts = list(accumulate(map(len, pieces), initial=begin))
    edges: list[int] = []
    depth = 0
    for number, structure in enumerate(pieces[::2]):
        if depth > 1 and structure in _PLAIN:
            continue
        for offset, change in _marks(structure):
            depth += change
            if depth + (change < 0) <= 1:
                edges.append(starts[2 * number] + 2 * number + offset)
            if not depth:
                return edges
    return []


def _marks(structure: bytes) -> Marks:
    """Brackets and commas: where, and the change of depth. What stands between strings repeats: the short are kept."""
    return _kept_marks(structure) if len(structure) <= _KEPT_BYTES else _find_marks(structure)


def _find_marks(structure: bytes) -> Marks:
    return tuple((match.start(), _CHANGE[match[0]]) for match in _MARK.finditer(structure))


_kept_marks = lru_cache(1024)(_find_marks)


def _trimmed(text: bytes, start: int, end: int) -> Range:
    """Without whitespace at both ends; nothing but whitespace is empty, and stands at ``start``."""
    end = start + len(text[start:end].rstrip(_WHITESPACE))
    return end - len(text[start:end].lstrip(_WHITESPACE)), end
