"""What a span costs against the plainest store there could be: the check of ``make test`` against slow changes.

A ratio of CPU times of one process, so that it holds on slow and on busy machines. The plain store spends its time on
what ours does, in protobuf, Python, SQLite, its full-text index and zstd: against parsing and zstd alone the same code
was at 4.6 on one kind of machine and at 5.2 on another. A neighbour on the same physical core makes everything half as
fast for a while: each piece of work is compared with the plain store right before and after it, and the median of many
short pieces counts. Renew the baseline after a change that is worth its price: ``python -m tests.bench.ratios``.
"""

from __future__ import annotations

import json
import sqlite3
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

import zstandard
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from .costs import cpu, prepared, requests_of, stored
from .load.workload import Workload

BASELINE = Path(__file__).with_name("baseline.json")
PIECES = 16
REQUESTS = {Workload.W1: 16, Workload.W2: 8}
"""In a piece: about 50 ms."""
TOLERANCE = 0.15
LONG_CHARS = 2_000


def ratio(workload: Workload) -> float:
    """CPU time of everything from request bytes to rows that can be asked for, over that of the plain store."""
    bodies, _ = requests_of(workload, REQUESTS[workload])
    return statistics.median(piece(bodies) for _ in range(PIECES))


def piece(bodies: Sequence[bytes]) -> float:
    before, _ = cpu(lambda: plainly_stored(bodies))
    preparing, writes = cpu(lambda: prepared(bodies))
    storing = stored(writes).cpu_seconds
    after, _ = cpu(lambda: plainly_stored(bodies))
    return (preparing + storing) / ((before + after) / 2)


def plainly_stored(bodies: Sequence[bytes]) -> None:
    """A row a span, its attributes as JSON, and a full-text index of the long ones."""
    compressor = zstandard.ZstdCompressor(level=1)
    with tempfile.TemporaryDirectory() as name:
        connection = sqlite3.connect(Path(name) / "plain.db")
        connection.executescript(
            "PRAGMA synchronous = OFF; CREATE TABLE spans (trace_id, span_id, name, start, end, attributes);"
            " CREATE VIRTUAL TABLE texts USING fts5 (text); CREATE TABLE requests (body)"
        )
        for body in bodies:
            request = ExportTraceServiceRequest.FromString(body)
            scopes = [scope for resource in request.resource_spans for scope in resource.scope_spans]
            rows = [_row(span) for scope in scopes for span in scope.spans]
            connection.executemany("INSERT INTO spans VALUES (?, ?, ?, ?, ?, ?)", rows)
            long = [(row[-1],) for row in rows if len(row[-1]) > LONG_CHARS]
            connection.executemany("INSERT INTO texts VALUES (?)", long)
            connection.execute("INSERT INTO requests VALUES (?)", (compressor.compress(body),))
        connection.commit()
        connection.close()


def _row(span: Span) -> tuple[bytes, bytes, str, int, int, str]:
    told = {one.key: one.value.string_value or one.value.int_value for one in span.attributes}
    return (
        span.trace_id,
        span.span_id,
        span.name,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        json.dumps(told),
    )


def main() -> None:
    """Writes the baseline: the median of three, so that it is nobody's lucky moment."""
    found = {workload.value: round(sorted(ratio(workload) for _ in range(3))[1], 3) for workload in REQUESTS}
    BASELINE.write_text(json.dumps(found, indent=2) + "\n")
    print(f"{BASELINE.name}: {found}")


if __name__ == "__main__":
    main()
