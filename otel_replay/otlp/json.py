"""OTLP's JSON mapping: protobuf's own, but for ids in hex, enums as numbers and unknown names ignored.

Source: opentelemetry-proto, docs/specification.md, "JSON Protobuf Encoding".
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from google.protobuf import json_format
from google.protobuf.message import Message
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from otel_replay.errors import InvalidRequest
from otel_replay.model import Signal
from otel_replay.otlp.requests import MAX_REJECTIONS, RECORD_TYPES, REQUEST_TYPES, Rejection, groups, records, scopes
from otel_replay.otlp.spans import span_defect

_ID_BYTES = {"traceId": 16, "spanId": 8, "parentSpanId": 8, "trace_id": 16, "span_id": 8, "parent_span_id": 8}
MAX_REASON_CHARS = 300
_NAMES = {
    Signal.TRACES: ("resourceSpans", "scopeSpans", "spans"),
    Signal.LOGS: ("resourceLogs", "scopeLogs", "logRecords"),
    Signal.METRICS: ("resourceMetrics", "scopeMetrics", "metrics"),
}


class Decoded(NamedTuple):
    """A request as protobuf bytes, and the records that could not be read; ``further`` are only counted."""

    encoded: bytes
    rejections: tuple[Rejection, ...]
    further: int


def decode(signal: Signal, body: bytes) -> Decoded:
    """An OTLP/JSON request in protobuf's encoding.

    Raises :class:`InvalidRequest` when the body is not JSON or its envelopes are not OTLP's.
    """
    document = _load(body)
    outer, middle, inner = _NAMES[signal]
    request, rejections, further = REQUEST_TYPES[signal](), list[Rejection](), 0
    for where, group_json in _objects(document, outer, ""):
        group = groups(signal, request).add()
        _envelope(group_json, "resource", group.resource, Resource, where)
        group.schema_url = _text(group_json, "schemaUrl", where)
        for scope_where, scope_json in _objects(group_json, middle, where):
            scope_group = scopes(signal, group).add()
            _envelope(scope_json, "scope", scope_group.scope, InstrumentationScope, scope_where)
            scope_group.schema_url = _text(scope_json, "schemaUrl", scope_where)
            for record_where, record_json in _objects(scope_json, inner, scope_where):
                try:
                    records(signal, scope_group).append(_record(signal, record_json))
                except InvalidRequest as error:
                    if len(rejections) == MAX_REJECTIONS:
                        further += 1
                        continue
                    rejections.append(Rejection(record_where, error.message, json.dumps(record_json).encode()))
    return Decoded(request.SerializeToString(), tuple(rejections), further)


def _load(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(
            f"the body is not JSON: {error}", hint="send OTLP/JSON or application/x-protobuf"
        ) from error
    if not isinstance(document, dict):
        raise InvalidRequest(f"the body is a JSON {type(document).__name__}, not an object")
    return document


def _objects(parent: dict[str, Any], name: str, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of an array field with their places; a missing or null field is an empty array."""
    items = parent.get(name)
    place = f"{where}.{name}" if where else name
    if items is None:
        return
    if not isinstance(items, list):
        raise InvalidRequest(f"{place} is not an array")
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            raise InvalidRequest(f"{place}[{index}] is not an object")
        yield f"{place}[{index}]", item


def _text(parent: dict[str, Any], name: str, where: str) -> str:
    value = parent.get(name) or ""
    if not isinstance(value, str):
        raise InvalidRequest(f"{where}.{name} is not a string")
    return value


def _envelope(parent: dict[str, Any], name: str, target: Message, kind: Any, where: str) -> None:
    if parent.get(name) is not None:
        try:
            target.CopyFrom(_message(kind, parent[name]))
        except InvalidRequest as error:
            raise InvalidRequest(f"{where}.{name}: {error.message}") from error


def _record(signal: Signal, document: dict[str, Any]) -> Message:
    try:
        document = _map_ids(document, _hex_to_base64)
    except RecursionError:
        raise InvalidRequest("nested too deeply") from None
    record = _message(RECORD_TYPES[signal], document)
    if signal is Signal.TRACES and (defect := span_defect(record)):  # type: ignore[arg-type]
        raise InvalidRequest(defect)
    return record


def _message(kind: Any, document: Any) -> Message:
    try:
        message: Message = json_format.ParseDict(document, kind(), ignore_unknown_fields=True)
        message.SerializeToString()  # a lone surrogate shows only here
    except (json_format.ParseError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidRequest(_brief(error)) from error
    return message


def _brief(error: Exception) -> str:
    """The end of a message that repeats "Failed to parse ... field" for every level: what is wrong stands there."""
    text = str(error)
    return text if len(text) <= MAX_REASON_CHARS else f"...{text[-MAX_REASON_CHARS:]}"


def _map_ids(value: Any, convert: Callable[[str, str, int], str]) -> Any:
    """A copy with every trace and span id converted. Attribute names never stand as object keys, so none is touched."""
    if isinstance(value, list):
        return [_map_ids(item, convert) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: convert(name, item, _ID_BYTES[name])
        if name in _ID_BYTES and isinstance(item, str)
        else _map_ids(item, convert)
        for name, item in value.items()
    }


def _hex_to_base64(name: str, text: str, size: int) -> str:
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raise InvalidRequest(f"{name} {text[:40]!r} is not hexadecimal") from None
    if raw and len(raw) != size:
        raise InvalidRequest(f"{name} {text[:40]!r} has {len(text)} characters, not {2 * size}")
    return base64.b64encode(raw).decode()


def _base64_to_hex(_name: str, text: str, _size: int) -> str:
    return base64.b64decode(text).hex()


def encode(message: Message) -> dict[str, Any]:
    """Any OTLP message as its JSON mapping (a ``dict`` for ``json.dumps``)."""
    document = json_format.MessageToDict(message, use_integers_for_enums=True)
    mapped: dict[str, Any] = _map_ids(document, _base64_to_hex)
    return mapped
