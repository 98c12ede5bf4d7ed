"""Contents without those that only what is gone carried; of others another span has said them first from now on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import xxhash
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_replay.model import MAX_UNIX_NANO, Signal
from otel_replay.otlp import thin
from otel_replay.store import bodies
from otel_replay.store.erasing import Removed
from otel_replay.store.sqlite.bodies import BodyReader, Origin, version_number
from otel_replay.store.sqlite.erasing_blocks import body_of
from otel_replay.store.sqlite.forgetting import ContentRemover, in_steps
from otel_replay.store.sqlite.reader import SqliteReader
from otel_replay.store.sqlite.row_removal import SpanKey
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
        spans = {(one.trace_id, one.span_id) for one in removed if one.contents}
        ids = {body for one in removed for body in one.contents}
        gone: int = sum(self._run(partial(self._remover.remove, project, part)) for part in in_steps(ids))
        orphans = {body for part in in_steps(ids) for body in self._said_first_by(project, part, spans)}
        if orphans:
            origins = self._other_origins(project, orphans)
            for body in orphans:
                origin = origins.get(body, Origin(MAX_UNIX_NANO, bytes(16), bytes(8), 0))
                self._run(partial(self._remover.move_origin, project, body, origin))
            self._run(self._remover.follow)
        return gone

    def _said_first_by(self, project: int, ids: Sequence[int], spans: set[SpanKey]) -> list[int]:
        query = f"SELECT id, trace_id, span_id FROM bodies WHERE project = ? AND id IN ({', '.join('?' * len(ids))})"
        with self._reader.reading() as connection:
            rows = connection.execute(query, (project, *ids)).fetchall()
        return [body for body, trace_id, span_id in rows if (trace_id, span_id) in spans]

    def _other_origins(self, project: int, wanted: set[int]) -> dict[int, Origin]:
        """The least span that carries each content; blocks are read in the order of their earliest record."""
        found: dict[int, Origin] = {}
        query = "SELECT id, start_unix_nano FROM blocks WHERE project = ? AND signal = ? ORDER BY start_unix_nano"
        with self._reader.reading() as connection:
            blocks = connection.execute(query, (project, Signal.TRACES)).fetchall()
            for number, start in blocks:
                if len(found) == len(wanted) and start > max(origin.start_unix_nano for origin in found.values()):
                    break
                for body, origin in _carried(connection, project, number, wanted):
                    found[body] = min(found.get(body, origin), origin)
        return found


def _carried(connection: Any, project: int, number: int, wanted: set[int]) -> Iterator[tuple[int, Origin]]:
    """Which of the contents a block's spans carry."""
    contents = BodyReader(connection, project)
    for raw in thin.records_of(thin.parse(body_of(connection, number))):
        if bodies.is_cut(raw) and (mine := wanted.intersection(bodies.body_ids(raw))):
            whole = contents.whole(raw)
            span = Span.FromString(whole)
            version = version_number(xxhash.xxh3_128_digest(whole))
            start = min(span.start_time_unix_nano, MAX_UNIX_NANO)
            for body in mine:
                yield body, Origin(start, span.trace_id, span.span_id, version)
