"""The elements of a JSON array as byte ranges, found without parsing: about 1 us a message. Pure."""

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

_ROLE = b'{"role"'
"""How libraries begin a message. Within a JSON string its quotes would be escaped."""

Range = tuple[int, int]
Marks = tuple[tuple[int, int], ...]


def elements(text: bytes) -> list[Range]:
    """The top-level elements (start, end) of a JSON array, without what delimits them.

    Anything else, and an array whose brackets and quotes do not match, is one piece. Never raises.
    """
    whole = [(0, len(text))]
    if not text.lstrip(_WHITESPACE).startswith(b"["):
        return whole
    if messages := _messages(text):
        return messages
    edges = _edges(text)
    if not 2 <= len(edges) <= MAX_ELEMENTS + 1 or text[edges[-1] + 1 :].strip(_WHITESPACE):
        return whole
    found = [_trimmed(text, start + 1, end) for start, end in pairwise(edges)]
    if len(found) == 1 and found[0][0] == found[0][1]:
        return []  # an empty array
    return whole if any(start == end for start, end in found) else found


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


def _edges(text: bytes) -> list[int]:
    """Positions of the outer brackets and of the commas directly within; empty when they cannot be told.

    Escapes are blanked by ones of equal length, so that whatever stands between two quotes is a string.
    """
    plain = text.replace(rb"\\", b"__").replace(rb"\"", b"__") if b"\\" in text else text
    pieces = plain.split(b'"', MAX_STRINGS)
    if len(pieces) % 2 == 0 or len(pieces) > MAX_STRINGS:
        return []
    starts = [0, *accumulate(map(len, pieces))]
    edges: list[int] = []
    depth = 0
    for number, structure in enumerate(pieces[::2]):
        if depth > 1 and structure in _PLAIN:
            continue
        for offset, change in _marks(structure):
            depth += change
            if depth + (change < 0) <= 1:
                edges.append(starts[2 * number] + 2 * number + offset)
    return [] if depth else edges


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
