"""What a search asks for, and where a text says it. Pure.

Words are runs of letters, digits and marks; case and the accents of Latin, Greek and Cyrillic letters do not count. In
scripts without spaces between words, such as Chinese, each character is one. A query is a list of words that all have
to occur. ``"words in quotes"``, and what is written without a space (``get_weather``, ``東京``), have to follow each
other; ``refun*`` stands for any word that starts so. Nothing else is special.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple

from otel_replay.errors import InvalidRequest

MAX_CHARACTERS = 1_000
MAX_WORDS = 32
MIN_PREFIX_BYTES = 3
"""Of UTF-8: all words with a beginning are read together, which takes a second where it is that of every tenth."""

SNIPPET_CHARACTERS = 200
_BEFORE = 60
_HIGHLIGHTS = 20

_CHUNK = re.compile(r'"([^"]*)"?|([^\s"]+)')
_IN_WORD = r"0-9a-z\x80-\U0010ffff"

_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff]"
)
"""Thai, Lao, Burmese, Khmer, kana, Han: nobody searches for the whole run between two marks."""


class _Folding(dict[int, str]):
    """Code point to what counts of it: found out when it first occurs."""

    def __missing__(self, code: int) -> str:
        folded = "".join(map(_folded, unicodedata.normalize("NFKD", chr(code)).casefold()))
        self[code] = folded
        return folded


def _folded(character: str) -> str:
    if "\u0300" <= character <= "\u036f":
        return ""
    if unicodedata.category(character)[0] not in "LNM":
        return " "
    return f" {character} " if _UNSPACED.match(character) else character


_FOLDING = _Folding()


def fold(text: str) -> str:
    """A text as its words are compared: letters and digits, apart where words are apart."""
    return text.lower() if text.isascii() else text.translate(_FOLDING)


class Term(NamedTuple):
    """Words that follow each other; with ``is_prefix`` the last one may go on."""

    words: tuple[str, ...]
    is_prefix: bool


class Snippet(NamedTuple):
    """Part of a text round the first match, on one line; ``highlights`` are (start, end) in it."""

    text: str
    highlights: Sequence[tuple[int, int]]


class TextQuery:
    """A parsed query. Raises :class:`InvalidRequest` for one that asks for nothing, or too much."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_CHARACTERS:
            raise InvalidRequest(f"the query has {len(text)} characters", hint=f"ask for at most {MAX_CHARACTERS}")
        self.terms = tuple(filter(None, (_term(*chunk.groups()) for chunk in _CHUNK.finditer(text))))
        if not self.terms:
            raise InvalidRequest("the query holds no word", hint="search for letters or digits")
        if len(self.words) > MAX_WORDS:
            raise InvalidRequest(f"the query has {len(self.words)} words", hint=f"ask for at most {MAX_WORDS}")
        if any(term.is_prefix and len(term.words[-1].encode()) < MIN_PREFIX_BYTES for term in self.terms):
            raise InvalidRequest("the beginning of a word is too short", hint="write three letters or more before *")

    @cached_property
    def words(self) -> dict[tuple[str, bool], None]:
        """Each (word, whether it may go on), once."""
        return {
            (word, term.is_prefix and place == len(term.words)): None
            for term in self.terms
            for place, word in enumerate(term.words, 1)
        }

    @cached_property
    def _patterns(self) -> list[re.Pattern[str]]:
        return [_pattern(term) for term in self.terms]

    def find(self, text: str) -> Snippet | None:
        """None when some of what is asked for does not occur."""
        folded = fold(text)
        matches = [pattern.search(folded) for pattern in self._patterns]
        starts = [match.start() for match in matches if match]
        if len(starts) < len(matches):
            return None
        return self._snippet(text, _original(text, [min(starts)])[0])

    def _snippet(self, text: str, match: int) -> Snippet:
        start = max(0, match - _BEFORE)
        if start and (space := text.find(" ", start, match)) >= 0:
            start = space + 1
        end = start + SNIPPET_CHARACTERS
        if end < len(text) and (space := text.rfind(" ", match, end)) > match:
            end = space
        shown = " ".join(text[start:end].split())
        shown = ("…" if start else "") + shown + ("…" if end < len(text) else "")
        return Snippet(shown, self._highlights(shown))

    def _highlights(self, text: str) -> list[tuple[int, int]]:
        """Ascending and apart."""
        folded = fold(text)
        found = sorted(match.span() for pattern in self._patterns for match in pattern.finditer(folded))
        # Accents that follow its end belong to a word, and one character may be several: ¾ is 3 and 4.
        places = _original(text, [place for start, end in found for place in (start, end - 1, end)])
        apart: list[tuple[int, int]] = []
        for start, last, end in zip(places[::3], places[1::3], places[2::3], strict=True):
            if not apart or start >= apart[-1][1]:
                apart.append((start, max(last + 1, end)))
        return apart[:_HIGHLIGHTS]


def _term(quoted: str | None, plain: str | None) -> Term | None:
    chunk = quoted or plain or ""
    words = tuple(re.findall(f"[{_IN_WORD}]+", fold(chunk)))
    return Term(words, plain is not None and plain.endswith("*")) if words else None


def _pattern(term: Term) -> re.Pattern[str]:
    """Starts with a literal character, which is looked for fast; the one before it is tested afterwards."""
    first, *others = map(re.escape, term.words)
    first, rest = first[0], first[1:] + "".join(f"[^{_IN_WORD}]+{word}" for word in others)
    end = f"[{_IN_WORD}]*" if term.is_prefix else f"(?![{_IN_WORD}])"
    return re.compile(f"{first}(?<![{_IN_WORD}]{first}){rest}{end}")


def _original(text: str, places: Sequence[int]) -> list[int]:
    """Places in a folded text as places in the text itself."""
    if text.isascii():
        return list(places)
    ends = list(accumulate(len(_FOLDING[ord(character)]) for character in text))
    return [bisect_right(ends, place) for place in places]
