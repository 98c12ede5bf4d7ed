"""What pages and plugins say of themselves in a recording: custom events (type 5) and plugin events (type 6)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

from otel_replay.recording.mirror import entries
from otel_replay.recording.nodes import mapping
from otel_replay.recording.segments import SEGMENT_TAG
from otel_replay.recording.untrusted import bounded_json, clip, number, one_line

MAX_PAYLOAD_BYTES = 8_000
MAX_CONSOLE_CHARS = 2_000
MAX_REQUESTS = 200
MAX_TITLE_CHARS = 160
_TRACE_ID = re.compile(r"[0-9a-f]{32}")
_SPAN_ID = re.compile(r"[0-9a-f]{16}")


class Draft(NamedTuple):
    """A DomEvent without its place in the recording."""

    kind: str
    title: str
    detail: dict[str, Any]
    trace_id: str = ""
    span_id: str = ""
    unix_nano: int | None = None
    """When it happened, where that is not the time of the event that tells it."""


def custom_event(data: dict[str, Any]) -> Draft:
    """A custom event ``{"tag", "payload"}``; ``trace_id`` and ``span_id`` (or camel case) in the payload are links."""
    tag = one_line(data.get("tag"), 100)
    payload = data.get("payload")
    if tag == SEGMENT_TAG:
        return _segment(mapping(payload))
    trace_id = _hex_id(payload, _TRACE_ID, "trace_id", "traceId")
    span_id = _hex_id(payload, _SPAN_ID, "span_id", "spanId") if trace_id else ""
    return Draft(_kind(tag), _title(tag, payload), _detail(tag, payload), trace_id, span_id)


def plugin_event(data: dict[str, Any]) -> Iterator[Draft]:
    """The events in one plugin event: a console line, or network requests; nothing for other plugins."""
    plugin = data.get("plugin")
    payload = mapping(data.get("payload"))
    if plugin == "rrweb/console@1":
        yield console_line(payload)
    elif plugin == "rrweb/network@1":
        for request in list(entries(payload, "requests"))[:MAX_REQUESTS]:
            yield _request(request)


def _hex_id(payload: Any, pattern: re.Pattern[str], *keys: str) -> str:
    """The first valid id under the keys: lower-case hex, not all zeros (W3C Trace Context)."""
    values = (value.lower() for key in keys if isinstance(value := mapping(payload).get(key), str))
    return next((value for value in values if pattern.fullmatch(value) and value.strip("0")), "")


def _kind(tag: str) -> str:
    last = tag.lower().rpartition(".")[2]
    if tag == "otel.fetch" or "network" in tag.lower():
        return "network"
    return last if last in ("error", "console", "navigation") else "dom"


def _title(tag: str, payload: Any) -> str:
    said = mapping(payload)
    words = [said.get(key) for key in ("name", "method", "target", "url", "message")]
    line = " ".join(word for word in words if isinstance(word, str) and word) or payload
    return one_line(f"{tag or 'custom event'} {one_line(line, MAX_TITLE_CHARS)}", MAX_TITLE_CHARS)


def _detail(tag: str, payload: Any) -> dict[str, Any]:
    if tag == "otel.session":
        attributes = mapping(payload).get("attributes", payload)
        return {"type": "session", "attributes": bounded_json(attributes, MAX_PAYLOAD_BYTES)}
    return {"type": "custom", "tag": tag, "payload": bounded_json(payload, MAX_PAYLOAD_BYTES)}


def console_line(payload: dict[str, Any]) -> Draft:
    """A line of the console, as rrweb's plugin writes it and rrweb 1 wrote it itself."""
    level = one_line(payload.get("level"), 20) or "log"
    said = payload.get("payload")
    pieces = [_unquoted(piece) for piece in said[:100] if isinstance(piece, str)] if isinstance(said, list) else []
    text = clip(" ".join(pieces), MAX_CONSOLE_CHARS)
    title = one_line(f"console.{level}: {text}", MAX_TITLE_CHARS)
    return Draft("console", title, {"type": "console", "level": level, "text": text})


def _segment(payload: dict[str, Any]) -> Draft:
    """A piece of a recording that is kept and cannot be played."""
    size = len(body) if isinstance(body := payload.get("body"), str) else 0
    title = "part of the recording in Splunk's own format, which cannot be played"
    return Draft("dom", title, {"type": "segment", "playable": False, "chars": size})


def _unquoted(piece: str) -> str:
    """The console plugin writes each argument as JSON, strings in quotes."""
    try:
        value = orjson.loads(piece) if piece.startswith('"') else piece
    except ValueError:
        return piece
    return value if isinstance(value, str) else piece


def _request(request: dict[str, Any]) -> Draft:
    """A request without headers and bodies, which may hold secrets."""
    url = one_line(request.get("name") or request.get("url"), 2_000)
    method = one_line(request.get("method"), 20)
    status = number(request.get("status"))
    detail = {
        "type": "network",
        "url": url,
        "method": method or None,
        "status": status,
        "initiator_type": one_line(request.get("initiatorType"), 40) or None,
        "duration_ms": number(request.get("duration")),
    }
    words = [method, url, "" if status is None else f"→ {status}"]
    return Draft("network", one_line(" ".join(filter(None, words)), MAX_TITLE_CHARS) or "request", detail)
