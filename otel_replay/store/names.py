"""The names kept of services and operations (span names): bounded, for names made of ids must not fill the store.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

from otel_replay.store.base import KEPT_OPERATIONS

KEPT_SERVICES = 1_000
"""Services of a project whose names are kept."""

KEPT_CHARS = 200
"""Of each name; most are shorter than 40."""


def kept_name(name: str) -> str:
    """As much of a service's or operation's name as is kept."""
    return name[:KEPT_CHARS]


def kept_pairs(pairs: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """(service, operation) as they are kept."""
    return {(kept_name(service), kept_name(name)) for service, name in pairs}


def kept_operations(arrived: Iterable[Iterable[tuple[str, str]]]) -> dict[str, set[str]]:
    """Operations by service, of pairs in the order they arrived: what comes beyond the bounds is left out."""
    kept: dict[str, set[str]] = {}
    for pairs in arrived:
        for service, name in sorted(kept_pairs(pairs)):
            if service not in kept and len(kept) < KEPT_SERVICES:
                kept[service] = set()
            if service in kept and len(kept[service]) < KEPT_OPERATIONS:
                kept[service].add(name)
    return kept
