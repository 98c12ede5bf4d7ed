"""Text made of invented words with the frequencies of real ones: the n-th word is 1/n as common as the first.

It is the same on every machine, and compresses somewhat better than real text.
"""

from __future__ import annotations

import random
from functools import cache

import numpy as np

VOCABULARY = 4_000
TAPE_CHARACTERS = 16 << 20
"""Texts are pieces of one long tape: so long that within the reach of zstd's window 3 % of the bytes are repeated."""
SYLLABLES = tuple(
    consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in ("a", "e", "i", "o", "u", "en", "ar")
)


@cache
def vocabulary() -> tuple[str, ...]:
    rng = random.Random("words")
    return tuple("".join(rng.choices(SYLLABLES, k=rng.randint(1, 4))) for _ in range(VOCABULARY))


@cache
def tape() -> bytes:
    """:data:`TAPE_CHARACTERS` of prose: lower-case letters and single spaces, nothing that JSON would escape."""
    words = np.array(vocabulary())
    weights = 1 / np.arange(1, VOCABULARY + 1)
    shares = np.cumsum(weights / weights.sum())
    drawn = np.random.default_rng(1).random(TAPE_CHARACTERS // 3)
    return " ".join(words[np.searchsorted(shares, drawn)].tolist()).encode()[:TAPE_CHARACTERS]


def text(rng: random.Random, length: int) -> str:
    """`length` characters from anywhere on the tape."""
    at = rng.randrange(TAPE_CHARACTERS - length)
    return tape()[at : at + length].decode()
