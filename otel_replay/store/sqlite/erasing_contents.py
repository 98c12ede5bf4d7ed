"""Contents without those that only what is gone carried; others were first said by somebody else from now on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import xxhash
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_replay.model import MAX_UNIX_NANO, Signal
from otel_replay.otlp import thin
from otel_replay.store import bodies
from otel_replay.store.erasing import Removed
from otel_replay.store.sqlite.bodies import IN_A_LOG, Origin, version_number
from otel_replay.store.sqlite.body_reading import BodyReader
from otel_replay.store.sqlite.erasing_blocks import body_of
from otel_replay.store.sqlite.forgetting import ContentRemover, in_steps
from otel_replay.store.sqlite.reader import SqliteReader
from otel_replay.store.sqlite.segments import RunTask


class ContentEraser:
    """``contents`` deletes what nothing refers to, on the writer's thread, to which ``run`` leads."""

    def __init__(self, reader: SqliteReader, contents: ContentRemover, run: RunTask) -> None:
        self._reader = reader
        self._remover = contents
        self._run = run

    def remove(self, project: int, removed: Sequence[Removed]) -> int:
        """Deletes contents that nothing refers to, and finds another origin for those that others carry; how many
        went."""
        traces = {one.trace_id for one in removed if one.contents}
        ids = {body for one in removed for body in one.contents}
        gone: int = sum(self._run(partial(self._remover.remove, project, part)) for part in in_steps(ids))
        orphans = {body for part in in_steps(ids) for body in self._said_first_in(project, part, traces)}
        if orphans:
            origins = self._other_origins(project, orphans)
            for body in orphans:
                origin = origins.get(body, Origin(MAX_UNIX_NANO, bytes(16), bytes(8), 0))
                self._run(partial(self._remover.move_origin, project, body, origin))
            self._run(self._remover.follow)
        return gone

    def _said_first_in(self, project: int, ids: Sequence[int], traces: set[bytes]) -> list[int]:
        """Whose origin may be gone: it is of a trace that lost a record which carried them."""
        query = f"SELECT id, trace_id FROM bodies WHERE project = ? AND id IN ({', '.join('?' * len(ids))})"
        with self._reader.reading() as connection:
            rows = connection.execute(query, (project, *ids)).fetchall()
        return [body for body, trace_id in rows if trace_id in traces]

    def _other_origins(self, project: int, wanted: set[int]) -> dict[int, Origin]:
        """The least of who carries each content; blocks are read in the order of their earliest record."""
        found: dict[int, Origin] = {}
        query = (
            "SELECT id, signal, start_unix_nano FROM blocks WHERE project = ? AND signal IN (?, ?)"
            " ORDER BY start_unix_nano"
        )
        with self._reader.reading() as connection:
            blocks = connection.execute(query, (project, Signal.TRACES, Signal.LOGS)).fetchall()
            for number, signal, start in blocks:
                if len(found) == len(wanted) and start > max(origin.start_unix_nano for origin in found.values()):
                    break
                for body, origin in _carried(connection, project, Signal(signal), number, wanted):
                    found[body] = min(found.get(body, origin), origin)
        return found


def _carried(
    connection: Any, project: int, signal: Signal, number: int, wanted: set[int]
) -> Iterator[tuple[int, Origin]]:
    """Which of the contents a block's records carry."""
    contents = BodyReader(connection, project, signal)
    origin_of = _origin_of_log if signal is Signal.LOGS else _origin_of_span
    for raw in thin.records_of(thin.parse(body_of(connection, number))):
        if bodies.is_cut(raw) and (mine := wanted.intersection(bodies.body_ids(raw))):
            origin = origin_of(contents.whole(raw))
            yield from ((body, origin) for body in mine)


def _origin_of_span(raw: bytes) -> Origin:
    span, version = Span.FromString(raw), version_number(xxhash.xxh3_128_digest(raw))
    return Origin(min(span.start_time_unix_nano, MAX_UNIX_NANO), span.trace_id, span.span_id, version)


def _origin_of_log(raw: bytes) -> Origin:
    record = LogRecord.FromString(raw)
    time = min(record.time_unix_nano or record.observed_time_unix_nano, MAX_UNIX_NANO)
    return Origin(time, record.trace_id, record.span_id, IN_A_LOG)
