"""rrweb events made by hand, and the recorded page."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from otel_replay.model import Chunk
from otel_replay.recording.events import Event
from otel_replay.recording.uploads import chunk_from_upload

START_MS = 1_700_000_000_000
SENTENCE = ("The ", "quick ", "brown ", "fox ", "— naïve 🦊 —", " jumps.")


@cache
def recorded() -> dict[str, Any]:
    """``events`` of the recorded page, and ``texts`` that its elements showed at the end."""
    document: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "chat.json").read_text("utf-8"))
    return document


def element(node_id: int, tag: str, *children: dict[str, Any], **attributes: Any) -> dict[str, Any]:
    named = {key.rstrip("_"): value for key, value in attributes.items()}
    return {"type": 2, "id": node_id, "tagName": tag, "attributes": named, "childNodes": list(children)}


def text(node_id: int, content: str) -> dict[str, Any]:
    return {"type": 3, "id": node_id, "textContent": content}


def event(kind: int, data: Any, ms: int | float = START_MS) -> Event:
    return {"type": kind, "data": data, "timestamp": ms}


def snapshot(*body: dict[str, Any], ms: int = START_MS) -> Event:
    """A full snapshot: document 1, html 2, body 3."""
    page = {"type": 0, "id": 1, "childNodes": [element(2, "html", element(3, "body", *body))]}
    return event(2, {"node": page, "initialOffset": {"left": 0, "top": 0}}, ms)


def add(parent: int, node: dict[str, Any], before: int | None = None) -> dict[str, Any]:
    return {"parentId": parent, "nextId": before, "node": node}


def mutation(ms: int = START_MS, **changes: Any) -> Event:
    return event(3, {"source": 0, "texts": [], "attributes": [], "removes": [], "adds": [], **changes}, ms)


def chunk(seq: int | None, *events: Event, **changes: Any) -> Chunk:
    uploaded = chunk_from_upload(
        project=1,
        session_id="s1",
        stream_id="tab",
        seq=seq,
        payload=orjson.dumps(list(events)),
        received_unix_nano=7,
        sent_at_unix_nano=None,
    )
    return replace(uploaded, **changes)
