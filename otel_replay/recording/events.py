"""rrweb events as they arrive: parsed, checked and dated.

Source of the shapes: ``packages/types/src/index.ts`` of rrweb 2.2.2.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from decimal import Decimal
from enum import IntEnum
from operator import itemgetter
from typing import Any, NamedTuple, NoReturn, TypeGuard

import orjson

from otel_replay.errors import InvalidRequest

Event = dict[str, Any]
"""One rrweb event: ``{"type": int, "timestamp": ms, "data": {...}}``, numbers and strings from outside."""

MAX_TIMESTAMP_MS = 9_223_372_036_854
"""Year 2262: the last millisecond whose nanoseconds fit 64 bits."""
MAX_SEQ = 2**53
"""JavaScript's integers are exact up to here."""
MAX_DEPTH = 500
"""Levels of arrays and objects in a payload, about two for each level of the page: json.dumps gives up at some 900."""

MAX_ID_CHARS = 200
_LONG_NUMBER = re.compile(rb"(?:\A|[:,\[ ])-?[0-9]{19}")
_DIGITS = bytes(ord("1") if chr(byte) in "0123456789" else ord("0") for byte in range(256))
_SIX_DIGITS = b"1" * 6
_TYPE, _TIMESTAMP = itemgetter("type"), itemgetter("timestamp")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class EventType(IntEnum):
    """rrweb's event types that mean something here."""

    DOM_CONTENT_LOADED = 0
    FULL_SNAPSHOT = 2
    INCREMENTAL_SNAPSHOT = 3
    META = 4
    CUSTOM = 5
    PLUGIN = 6


class ChunkSummary(NamedTuple):
    """What a chunk says of its events, as :class:`~otel_replay.model.Chunk` names it; earliest and latest timestamp.

    A mouse move packs past positions with a negative ``timeOffset``: what it shows may precede ``start_unix_nano``.
    """

    start_unix_nano: int
    end_unix_nano: int
    events: int
    has_full_snapshot: bool
    repeats: bool = False


def parse_events(payload: bytes) -> list[Event]:
    """The events of a payload in the order sent, each with an integer ``type`` and a ``timestamp`` in range.

    ``payload`` is UTF-8 JSON: an array of events, an object with an ``events`` array, or one event.
    Raises ``InvalidRequest`` saying what and where (``events[3].timestamp: ...``).
    """
    events = raw_events(payload)
    if not _are_usual(events):
        for position, event in enumerate(events):
            _check(event, f"events[{position}]")
    if not _is_shallow(events):
        _check_depth(events)
    return events


def raw_events(payload: bytes) -> list[Event]:
    """The events of a payload, JSON-equal to what was sent and in that order, their fields unchecked.

    Strings may hold lone surrogates, which JSON can escape and UTF-8 cannot hold: write them with ``json.dumps``.
    Raises ``InvalidRequest`` where the payload is not JSON or holds no events.
    """
    document = load(payload)
    if isinstance(document, dict):
        document = document.get("events", [document])
    if not isinstance(document, list):
        raise InvalidRequest(
            f"events: expected an array, found {_type_name(document)}",
            hint="send an array of rrweb events, or an object with an events array",
        )
    return document


def ms_to_unix_nano(ms: int | float) -> int:
    """rrweb's milliseconds as nanoseconds: the one place where that is done.

    A float stands for the decimal it is written as (1.1 ms is 1,100,000 ns); nanoseconds never pass through a float.
    """
    if isinstance(ms, int):
        return ms * 1_000_000
    return round(Decimal(repr(ms)) * 1_000_000)


def event_unix_nano(event: Event) -> int | None:
    """When an event happened, or None where its timestamp is no number in range."""
    timestamp = event.get("timestamp")
    return ms_to_unix_nano(timestamp) if _is_timestamp(timestamp) else None


def summarise(events: list[Event]) -> ChunkSummary:
    """The metadata of at least one parsed event."""
    times = list(map(_TIMESTAMP, events))
    has_full_snapshot = EventType.FULL_SNAPSHOT.value in map(_TYPE, events)
    repeats = has_full_snapshot and is_repeat((event["type"], event.get("repeats") is True) for event in events)
    return ChunkSummary(
        ms_to_unix_nano(min(times)), ms_to_unix_nano(max(times)), len(events), has_full_snapshot, repeats
    )


def is_repeat(events: Iterable[tuple[int, bool]]) -> bool:
    """Whether events, by their types and whether they are marked, are nothing but full snapshots that repeat.

    This project's recorder marks so (``"repeats": true`` in the event) a snapshot of a page of which it has told
    everything, which is there for players to start from.
    """
    return all(kind == EventType.META or (kind == EventType.FULL_SNAPSHOT and marked) for kind, marked in events)


def check_id(name: str, value: str) -> None:
    """Raises ``InvalidRequest`` unless ``value`` has 1 to 200 characters, none of them a control character."""
    if not 1 <= len(value) <= MAX_ID_CHARS:
        raise InvalidRequest(f"{name}: {len(value)} characters, expected 1 to {MAX_ID_CHARS}")
    if _CONTROL.search(value):
        raise InvalidRequest(f"{name}: holds a control character")


def _are_usual(events: list[Any]) -> bool:
    """Whether all have integers in range for type and timestamp: four times faster than looking at each."""
    try:
        kinds, times = list(map(_TYPE, events)), list(map(_TIMESTAMP, events))
    except (LookupError, TypeError):
        return False
    return {*map(type, kinds), *map(type, times)} == {int} and min(times) >= 0 and max(times) <= MAX_TIMESTAMP_MS


def _check(event: Any, where: str) -> None:
    if not isinstance(event, dict):
        raise InvalidRequest(f"{where}: expected an rrweb event object, found {_type_name(event)}")
    kind = event.get("type")
    if not isinstance(kind, int) or isinstance(kind, bool):
        raise InvalidRequest(f"{where}.type: expected an integer, found {_type_name(kind)}")
    timestamp = event.get("timestamp")
    if not _is_timestamp(timestamp):
        found = str(timestamp)[:30] if isinstance(timestamp, int | float) else _type_name(timestamp)
        raise InvalidRequest(
            f"{where}.timestamp: expected Unix milliseconds, 0 to {MAX_TIMESTAMP_MS}, found {found}",
            hint="rrweb's own timestamps are milliseconds; nanoseconds do not belong here",
        )


def _is_shallow(events: list[Event]) -> bool:
    """Whether orjson can write the events, which it does not beyond 254 levels: ten times faster than looking."""
    try:
        orjson.dumps(events)
    except orjson.JSONEncodeError:  # or lone surrogates, or integers over 64 bits
        return False
    return True


def _check_depth(events: list[Event]) -> None:
    level: list[Any] = [events]
    for _ in range(MAX_DEPTH):
        level = [
            value
            for container in level
            for value in (container.values() if isinstance(container, dict) else container)
            if isinstance(value, dict | list)
        ]
        if not level:
            return
    raise InvalidRequest(f"events: nested deeper than {MAX_DEPTH} levels")


def _is_timestamp(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MAX_TIMESTAMP_MS


def _type_name(value: Any) -> str:
    names = {type(None): "nothing", dict: "an object", list: "an array", str: "a string", bool: "a boolean"}
    return names.get(type(value), "a number")


def load(payload: bytes) -> Any:
    """Any JSON document; orjson where it is exact, else the standard library (lone surrogates, 64-bit overflow)."""
    if not _may_overflow(payload):
        try:
            return orjson.loads(payload)
        except orjson.JSONDecodeError:
            pass  # the standard library decides, and words the error
    try:
        return json.loads(payload.decode(), parse_constant=_not_a_number, parse_float=_finite)
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"events: not UTF-8 at byte {error.start}") from error
    except RecursionError as error:
        raise InvalidRequest("events: nested too deeply") from error
    except ValueError as error:
        raise InvalidRequest(f"events: not JSON: {error}") from error


def _may_overflow(payload: bytes) -> bool:
    """Whether an integer in it may have over 64 bits, which orjson would make a float.

    A run of 19 digits has six in every third place: looking there first is 14 times faster than the expression.
    """
    return _SIX_DIGITS in payload[::3].translate(_DIGITS) and _LONG_NUMBER.search(payload) is not None


def _not_a_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number is too large for a double")
    return number
