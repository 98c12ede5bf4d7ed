"""What an answer of several receivers lacks, on answers that have no field for it: lists of names, traces as bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

Missing = Mapping[str, str]
"""A receiver that is left out: ``{"receiver": ADDRESS, "reason": TEXT}``."""

HEADER = "otel-replay-missing"
"""Of an answer whose body is OTLP: a JSON array of :data:`Missing`, only where something is missing."""

_REASON_CHARACTERS = 200
"""Of a reason in the header."""


class Names(list[str]):
    """Names; ``missing`` are receivers that may know more."""

    missing: Sequence[Missing] = ()


class TraceBytes(bytes):
    """``TracesData``; ``missing`` are receivers that may hold more spans of it."""

    missing: Sequence[Missing] = ()


def names(found: Sequence[str], missing: Sequence[Missing]) -> Names:
    told = Names(found)
    told.missing = missing
    return told


def trace_bytes(found: bytes, missing: Sequence[Missing]) -> TraceBytes:
    told = TraceBytes(found)
    told.missing = missing
    return told


def document(name: str, found: Sequence[str]) -> dict[str, object]:
    """``{name: [...]}``, with ``missing`` where several receivers were asked."""
    return {name: found, "missing": [*found.missing]} if isinstance(found, Names) else {name: found}


def header(found: bytes) -> dict[str, str]:
    """:data:`HEADER` of a trace as bytes, in ASCII."""
    if not isinstance(found, TraceBytes) or not found.missing:
        return {}
    return {HEADER: json.dumps([{**one, "reason": one["reason"][:_REASON_CHARACTERS]} for one in found.missing])}
