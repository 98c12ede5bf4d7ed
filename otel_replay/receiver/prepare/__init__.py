"""From an accepted request to a :class:`Write`: what is indexed, what becomes a row, what becomes a chunk. Pure.

Spans and log records that hold none of the marker bytes cost no Python of their own; the others are decoded one by one.
"""

from __future__ import annotations

from otel_replay.model import Chunk, Signal
from otel_replay.otlp.requests import AcceptedRequest
from otel_replay.receiver.prepare.chunks import note_chunk
from otel_replay.receiver.prepare.findings import Findings, Origin
from otel_replay.receiver.prepare.logs import read_logs
from otel_replay.receiver.prepare.metrics import read_metrics
from otel_replay.receiver.prepare.traces import read_traces
from otel_replay.store.base import Quarantined, Write

__all__ = ["Origin", "prepare", "prepare_chunk"]


def prepare(accepted: AcceptedRequest, origin: Origin, digest: bytes) -> Write:
    """The write for an accepted request; ``digest`` identifies the request as it was received."""
    found = Findings(quarantined=[Quarantined(accepted.signal, str(one), one.raw) for one in accepted.rejections])
    body = accepted.body
    if accepted.signal is Signal.TRACES:
        read_traces(accepted, found)
    elif accepted.signal is Signal.LOGS:
        body = read_logs(accepted, origin, found)
    else:
        read_metrics(accepted, found)
    return found.write(accepted.signal, origin, body=body if found.items else b"", digest=digest)


def prepare_chunk(chunk: Chunk, origin: Origin) -> Write:
    """The write for one uploaded chunk of a recording."""
    found = Findings()
    note_chunk(chunk, found)
    return found.write(Signal.LOGS, origin)
