"""Calls of ``/api/session-replay`` as its clients send them."""

from __future__ import annotations

import json
from typing import Any

import requests

from tests.outside.outside import JSON, PROBLEM, Outside

Document = dict[str, Any]
BASE = "/api/session-replay"
AT = "2026-11-20T10:00:00.250Z"
AT_NS = 1_795_168_800_250_000_000
START = {"userId": "user_123", "feature": "chat", "label": "Customer Support Chat"}
CALL: Document = {
    "timestamp": AT,
    "model": "gpt-4",
    "prompt": "What is the status of my order?",
    "response": "Let me check that for you...",
    "tokens": {"input": 15, "output": 25},
    "cost": 0.0008,
    "latency": 1200,
    "provider": "openai",
    "requestMetadata": {"temperature": 0.7, "max_tokens": 500},
}


def send(receiver: Outside, path: str, body: Any = None, **headers: str) -> Document:
    answer = receiver.post(path, b"" if body is None else json.dumps(body).encode(), JSON, **headers)
    assert answer.status_code == 200, answer.text
    found: Document = answer.json()
    return found


def started(receiver: Outside, **told: Any) -> str:
    return str(send(receiver, f"{BASE}/recording/start", {**START, **told})["sessionId"])


def refused(answer: requests.Response, status: int, words: str) -> None:
    assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM), answer.text
    assert words in answer.json()["detail"]


def entries(receiver: Outside, session_id: str, kind: str) -> list[Document]:
    found = receiver.timeline(f"/api/v1/sessions/{session_id}/timeline")["entries"]
    return [one for one in found if one["kind"] == kind]


def only(found: list[Document]) -> Document:
    (one,) = found
    return one
