"""Make the bundled sample session anew: ``python -m tests.e2e.make_sample``.

A visitor asks the example application two questions; what the receiver then has is written as one compressed file.
"""

from __future__ import annotations

import gzip
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import requests

from tests.e2e import processes
from tests.e2e.conversation import Visit, chromium, visit, wait_for_story

SAMPLE = Path(__file__).parents[2] / "otel_replay" / "examples" / "sample_session.json.gz"
MAX_BYTES = 100_000
_KEY_MS = 45  # A quick typist; each key is an event of the recording.


def main() -> None:
    """Record, collect, write; fails when the file would be larger than what is worth bundling."""
    with tempfile.TemporaryDirectory() as folder, processes.receiver(Path(folder) / "sample.db") as receiver:
        with processes.chat_example(receiver) as page_url, chromium() as browser:
            visited = visit(browser, page_url, key_ms=_KEY_MS)
            for turn in visited.turns:
                wait_for_story(receiver.url, turn)
        document = collect(receiver.url, visited)
    written = write(document, SAMPLE)
    sys.stdout.write(f"{SAMPLE}: {written} bytes\n")


def collect(receiver_url: str, visited: Visit) -> dict[str, Any]:
    """All that the receiver has of the visit: every trace as OTLP/JSON ``TracesData``, every stream's events."""
    traces = [_get(f"{receiver_url}/api/v1/traces/{turn.trace_id}") for turn in visited.turns]
    return {
        "version": 1,
        "traces": traces,
        "recording": {"session_id": visited.session_id, "streams": _streams(receiver_url, visited.session_id)},
    }


def write(document: dict[str, Any], path: Path) -> int:
    """Write the document, the same bytes for the same content; gives their number."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    packed = gzip.compress(text.encode("utf-8"), compresslevel=9, mtime=0)
    if len(packed) > MAX_BYTES:
        raise SystemExit(f"the sample has {len(packed)} bytes, more than {MAX_BYTES}")
    path.write_bytes(packed)
    return len(packed)


def _streams(receiver_url: str, session_id: str) -> list[dict[str, Any]]:
    """The streams of the recording, page by page; one stream's events may come in several pages."""
    streams: dict[str, dict[str, Any]] = {}
    cursor = None
    while True:
        page = _get(f"{receiver_url}/api/v1/sessions/{session_id}/recording", cursor=cursor)
        for stream in page["streams"]:
            known = streams.setdefault(stream["stream_id"], {"stream_id": stream["stream_id"], "events": []})
            known["events"] += stream["events"]
        cursor = page.get("next_cursor")
        if not cursor:
            return list(streams.values())


def _get(url: str, **parameters: str | None) -> Any:
    answer = requests.get(url, params=parameters, timeout=30)
    answer.raise_for_status()
    return answer.json()


if __name__ == "__main__":
    main()
