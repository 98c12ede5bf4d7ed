"""Pieces of recordings: what they say of their session."""

from __future__ import annotations

import xxhash

from otel_replay.model import Chunk
from otel_replay.receiver.prepare.findings import SESSION_ATTRIBUTES, Findings
from otel_replay.recording.announcements import announcements
from otel_replay.store.base import AttributeValue

CHUNK_ATTRIBUTES = (*SESSION_ATTRIBUTES, "service.name")


def note_chunk(chunk: Chunk, found: Findings) -> None:
    """Keeps the chunk, and what it announces: attributes of its session, traces that its page started."""
    found.chunks.append(chunk)
    announced = announcements(chunk)
    digest = xxhash.xxh3_128_hexdigest(chunk.payload)
    told = {
        name: AttributeValue(chunk.end_unix_nano, digest, value)
        for name, value in announced.attributes.items()
        if name in CHUNK_ATTRIBUTES
    }
    found.see(chunk.session_id, chunk.start_unix_nano, chunk.end_unix_nano)
    found.tell(chunk.session_id, told)
    found.session_traces.update((chunk.session_id, trace_id) for trace_id in announced.trace_ids)
