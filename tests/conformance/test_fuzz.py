"""Any bytes at all: a decoder gives its result, or one of the errors that the table of answers foresees."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import zstandard
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_replay.errors import InvalidRequest, PermanentError
from otel_replay.model import DEFAULT_PROJECT, Signal, Source
from otel_replay.otlp import counting, thin
from otel_replay.otlp import json as otlp_json
from otel_replay.otlp.requests import accept
from otel_replay.receiver import bodies
from otel_replay.receiver.batching import BatchingHandler
from otel_replay.receiver.handler import Sender
from otel_replay.receiver.recordings import upload_facts
from otel_replay.recording.events import parse_events
from otel_replay.store.memory import MemoryStore
from tests.outside.telemetry import CHAT, log, logs, page, span, traces
from tests.receiver.wire import bytes_field, fixed_field, number_field

SOAK = settings().max_examples > 1_000
FUZZ_SECONDS = 600 if SOAK else 4
SENDER = Sender(DEFAULT_PROJECT, Source.SERVER)

SPAN_BYTES = traces(
    span("ab" * 16, 1, attributes=CHAT | {"session.id": "s", "list": ["a", 1, True, 2.5]}), span("ab" * 16, 2)
).SerializeToString()
LOG_BYTES = logs(
    log("text", attributes={"session.id": "s"}), log(json.dumps(page()), attributes={"rr-web.event": 1})
).SerializeToString()


@st.composite
def mutated(draw: st.DrawFn, original: bytes) -> bytes:
    """A good request with some bytes changed, taken out, repeated."""
    body = bytearray(original)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(0, len(body) - 1)))
        end = at + draw(st.integers(0, 12))
        body[at:end] = draw(st.binary(max_size=6) | st.just(bytes(body[at:end]) * 3))
    return bytes(body)


FIELDS: st.SearchStrategy[bytes] = st.recursive(
    st.binary(max_size=20)
    | st.builds(number_field, st.integers(1, 40), st.integers(0, 2**64 - 1), st.integers(0, 3))
    | st.builds(fixed_field, st.integers(1, 40), st.integers(0, 2**64 - 1)),
    lambda inner: st.builds(
        bytes_field, st.sampled_from([1, 2, 3, 4, 5, 9, 11, 13, 15, 40]), st.lists(inner, max_size=4).map(b"".join)
    ),
    max_leaves=20,
)
"""Protobuf that is well formed and means anything."""

WIRE = st.binary(max_size=200) | mutated(SPAN_BYTES) | mutated(LOG_BYTES) | FIELDS

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("ab" * 16)
NAMES = st.sampled_from(
    sorted(
        {"resourceSpans", "scopeSpans", "spans", "resourceLogs", "scopeLogs", "logRecords", "resourceMetrics"}
        | {"scopeMetrics", "metrics", "resource", "scope", "attributes", "key", "value", "stringValue", "intValue"}
        | {"doubleValue", "arrayValue", "values", "kvlistValue", "bytesValue", "traceId", "spanId", "name", "kind"}
        | {"status", "startTimeUnixNano", "events", "links", "body", "type", "timestamp", "data", "source", "node"}
        | {"childNodes", "seq", "stream_id", "sent_at"}
    )
)
DOCUMENTS = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=40,
)
AS_JSON = DOCUMENTS.map(lambda document: json.dumps(document).encode()) | st.binary(max_size=50)
BODIES = WIRE | AS_JSON


def handler() -> BatchingHandler:
    return BatchingHandler(MemoryStore(), lambda: 10**18, lambda: None)


def _export(signal: Signal, body: bytes) -> object:
    return handler().export(signal, body, SENDER)


def _export_json(signal: Signal, body: bytes) -> object:
    return handler().export_json(signal, body, SENDER)


def _upload(_signal: Signal, body: bytes) -> object:
    facts = upload_facts("s1", {}, body)
    return handler().upload(*facts, SENDER)


DECODERS: dict[str, Callable[[Signal, bytes], object]] = {
    "accept": accept,
    "json": otlp_json.decode,
    "events": lambda _, body: parse_events(body),
    "export": _export,
    "export json": _export_json,
    "upload": _upload,
    "gzip": lambda _, body: bodies.decompress(body, "gzip", 10_000),
    "deflate": lambda _, body: bodies.decompress(body, "deflate", 10_000),
    "zstd": lambda _, body: bodies.decompress(body, "zstd", 10_000),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DECODERS)
@settings(max_examples=4 * settings().max_examples)
@given(signal=st.sampled_from(Signal), body=BODIES)
def test_nothing_but_the_tables_errors(name: str, signal: Signal, body: bytes) -> None:
    """A permanent one, too: what is wrong with bytes is wrong with them the next time."""
    with suppress(PermanentError):
        DECODERS[name](signal, body)


@given(body=WIRE)
def test_the_thin_parse_takes_what_protobuf_takes(body: bytes) -> None:
    with suppress(DecodeError):
        request = thin.parse(body)
        assert len(thin.records_of(request)) == sum(1 for _ in thin.slices(body))


@given(body=WIRE, limit=st.integers(0, 5))
def test_no_record_is_left_uncounted(body: bytes, limit: int) -> None:
    """Whatever protobuf finds in bytes that it takes, the count finds, too."""
    try:
        request = thin.parse(body)
    except DecodeError:
        return
    found = sum(1 + sum(1 + len(scope.records) for scope in group.scopes) for group in request.resources)
    if found > limit and len(body) > limit:
        with pytest.raises(PermanentError):
            counting.check_count(body, limit)


def test_counting_refuses_only_what_is_too_much() -> None:
    good = traces(span("ab" * 16, 1), span("ab" * 16, 2)).SerializeToString()  # a resource, a scope and two spans
    counting.check_count(good, 4)
    with pytest.raises(PermanentError):
        counting.check_count(good, 3)


@given(data=st.binary(max_size=20_000), encoding=st.sampled_from(["gzip", "deflate", "zstd"]))
def test_what_was_compressed_comes_back(data: bytes, encoding: str) -> None:
    packers: dict[str, Callable[[bytes], bytes]]
    packers = {"gzip": gzip.compress, "deflate": zlib.compress, "zstd": zstandard.ZstdCompressor().compress}
    pack = packers[encoding]
    assert bodies.decompress(pack(data), encoding, 20_000) == data
    with suppress(InvalidRequest):
        bodies.decompress(pack(data)[: len(data) // 2], encoding, 20_000)


@pytest.mark.slow
@pytest.mark.timeout(FUZZ_SECONDS + 120)
@pytest.mark.parametrize("target", ["traces", "logs", "json", "upload"])
def test_the_wire_path_guided_by_coverage(tmp_path: Path, target: str) -> None:
    """Atheris, in a process of its own: it ends the process with the first thing that nobody foresaw."""
    pytest.importorskip("atheris", reason="no wheel of atheris for this platform")
    for name, seed in SEEDS[target].items():
        (tmp_path / name).write_bytes(seed)
    limits = [f"-max_total_time={FUZZ_SECONDS // 4 or 1}", "-max_len=4096", "-rss_limit_mb=2048", "-timeout=10"]
    command = [sys.executable, "-m", "tests.conformance.fuzzing", target, str(tmp_path), *limits]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    done: Any = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4_000:]
    assert "DONE" in done.stderr


SEEDS = {
    "traces": {"good": SPAN_BYTES},
    "logs": {"good": LOG_BYTES},
    "json": {"good": b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"' + b"ab" * 16 + b'"}]}]}]}'},
    "upload": {"good": json.dumps(page()).encode()},
}
