"""The bundled sample session is a whole story: `python -m tests.e2e.make_sample` made it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from tests.e2e.conversation import QUESTIONS
from tests.e2e.make_sample import MAX_BYTES, SAMPLE, write


def spans_of(trace: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {**span, "attributes": {item["key"]: next(iter(item["value"].values())) for item in span["attributes"]}}
        for resource in trace["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]


def test_the_sample_holds_two_questions_and_their_recording() -> None:
    assert SAMPLE.stat().st_size < MAX_BYTES
    document = json.loads(gzip.decompress(SAMPLE.read_bytes()))
    assert document["version"] == 1
    session_id = document["recording"]["session_id"]
    for trace, question in zip(document["traces"], QUESTIONS, strict=True):
        spans = spans_of(trace)
        assert {span["name"] for span in spans} == {"click", "POST", "POST /api/chat", "chat gpt-4o-mini"}
        assert {span["attributes"]["session.id"] for span in spans} == {session_id}
        assert any(question in span["attributes"].get("gen_ai.input.messages", "") for span in spans)
    (stream,) = document["recording"]["streams"]
    assert [event["type"] for event in stream["events"][:2]] == [4, 2]


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    document = json.loads(gzip.decompress(SAMPLE.read_bytes()))
    assert write(document, tmp_path / "again.gz") == SAMPLE.stat().st_size
    assert (tmp_path / "again.gz").read_bytes() == SAMPLE.read_bytes()
