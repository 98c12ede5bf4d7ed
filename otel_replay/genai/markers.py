"""Byte strings to look for in encoded records."""

from __future__ import annotations

from collections.abc import Iterable


def shortest(keys: Iterable[str]) -> tuple[bytes, ...]:
    """The keys without those that contain another one: finding the shorter finds the longer as well."""
    kept: list[str] = []
    for key in sorted(set(keys), key=lambda one: (len(one), one)):
        if not any(shorter in key for shorter in kept):
            kept.append(key)
    return tuple(key.encode() for key in kept)
