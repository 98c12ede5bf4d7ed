"""What one transaction writes: blocks with their index entries, typed rows, sessions, chunks."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import zstandard

from otel_replay.store.base import ChunkReceipt, InteractionRow, Receipt, SessionSighting, Write
from otel_replay.store.folding import (
    dump_attributes,
    fold_sightings,
    load_attributes,
    merge_attributes,
    plain_attributes,
)
from otel_replay.store.sqlite.chunks import store_chunk
from otel_replay.store.sqlite.index import TAIL_BLOCKS, KeyedHash, add_block, flush_tail

BLOCK_BYTES = 200_000
"""Requests are merged into blocks of about this size: larger ones compress better and cost a lookup more."""

DIGEST_LIFETIME_NS = 3600 * 10**9
QUARANTINE_ROWS = 10_000

_INSERT_BLOCK = (
    "INSERT INTO blocks (project, signal, source, start_unix_nano, end_unix_nano, items, errors, services, requests,"
    " raw_bytes, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_WINS = "(excluded.end_unix_nano, excluded.length, excluded.digest) > ({0}.end_unix_nano, {0}.length, {0}.digest)"


class Ingest:
    """Applies writes to the writer's connection. Every method runs inside the writer's transaction."""

    def __init__(self, connection: Any, index_hash: KeyedHash) -> None:
        self._connection = connection
        self._hash = index_hash
        self._compressor = zstandard.ZstdCompressor(level=1, write_checksum=True)

    def apply(self, writes: Sequence[Write]) -> list[Receipt]:
        """Stores the writes in one transaction; receipts in the same order."""
        fresh = self._without_duplicates(writes)
        for group in _mergeable(writes[index] for index in fresh):
            self._add_block(group)
        for project, members in _by_project(writes[index] for index in fresh):
            self._add_rows(project, members)
            self._fold_sessions(project, members)
        self._flush_when_full(writes)
        return [self._receipt(write, index in fresh) for index, write in enumerate(writes)]

    def _receipt(self, write: Write, is_fresh: bool) -> Receipt:
        chunks = [store_chunk(self._connection, self._compressor, chunk) for chunk in write.chunks] if is_fresh else []
        return Receipt(not is_fresh, [ChunkReceipt(*chunk) for chunk in chunks])

    def _without_duplicates(self, writes: Sequence[Write]) -> set[int]:
        """Positions of the writes that are new, their digests noted."""
        fresh = set()
        for index, write in enumerate(writes):
            row = (write.project, write.digest, write.received_unix_nano)
            if (
                write.digest
                and not self._connection.execute("INSERT OR IGNORE INTO requests VALUES (?, ?, ?)", row).rowcount
            ):
                continue
            fresh.add(index)
        return fresh

    def _add_block(self, group: list[Write]) -> None:
        body = b"".join([write.body for write in group])
        first = group[0]
        row = (
            first.project,
            first.signal,
            first.source,
            min(write.start_unix_nano for write in group),
            max(write.end_unix_nano for write in group),
            sum(write.items for write in group),
            sum(write.errors for write in group),
            json.dumps(sorted(frozenset().union(*[write.services for write in group]))),
            json.dumps([[write.key_id, len(write.body)] for write in group]),
            len(body),
            self._compressor.compress(body),
        )
        block_id = self._connection.execute(_INSERT_BLOCK, row).lastrowid
        traces = frozenset().union(*[write.trace_ids for write in group])
        sessions = frozenset().union(*[write.session_ids for write in group])
        packed = self._hash.pack(first.project, (session.encode() for session in sessions))
        add_block(self._connection, block_id, self._hash.pack(first.project, traces), packed)

    def _add_rows(self, project: int, writes: Sequence[Write]) -> None:
        execute = self._connection.executemany
        interactions = [(project, *_flat(row)) for write in writes for row in write.interactions]
        if interactions:
            execute(_upsert("interactions", 19), interactions)
            self._note_conversations(project, [row for write in writes for row in write.interactions])
        actions = [
            (
                project,
                row.trace_id,
                row.span_id,
                *row.version,
                row.start_unix_nano,
                row.name,
                row.target,
                row.session_id,
            )
            for write in writes
            for row in write.actions
        ]
        if actions:
            execute(_upsert("actions", 10), actions)
        edges = [(project, session, trace) for write in writes for session, trace in write.session_traces]
        execute("INSERT OR IGNORE INTO session_traces VALUES (?, ?, ?)", edges)
        quarantined = [
            (project, bad.signal, write.received_unix_nano, bad.reason, bad.raw)
            for write in writes
            for bad in write.quarantined
        ]
        if quarantined:
            columns = "project, signal, received_unix_nano, reason, raw"
            execute(f"INSERT INTO quarantine ({columns}) VALUES (?, ?, ?, ?, ?)", quarantined)
            oldest = "SELECT max(id) FROM quarantine"
            self._connection.execute(f"DELETE FROM quarantine WHERE id <= ({oldest}) - {QUARANTINE_ROWS}")

    def _note_conversations(self, project: int, rows: Iterable[InteractionRow]) -> None:
        self._connection.executemany(
            "INSERT INTO conversations VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " start_unix_nano = min(start_unix_nano, excluded.start_unix_nano),"
            " end_unix_nano = max(end_unix_nano, excluded.end_unix_nano)",
            [
                (project, row.conversation_id, row.start_unix_nano, row.version.end_unix_nano)
                for row in rows
                if row.conversation_id
            ],
        )

    def _fold_sessions(self, project: int, writes: Sequence[Write]) -> None:
        sightings = fold_sightings(sighting for write in writes for sighting in write.sessions)
        self._connection.executemany(
            "INSERT INTO sessions (project, session_id, start_unix_nano, end_unix_nano, attributes, state)"
            " VALUES (?, ?, ?, ?, '{}', 'active') ON CONFLICT DO UPDATE SET"
            " start_unix_nano = min(start_unix_nano, excluded.start_unix_nano),"
            " end_unix_nano = max(end_unix_nano, excluded.end_unix_nano)",
            [(project, one.session_id, one.start_unix_nano, one.end_unix_nano) for one in sightings.values()],
        )
        for sighting in sightings.values():
            if sighting.attributes:
                self._fold_attributes(project, sighting)

    def _fold_attributes(self, project: int, sighting: SessionSighting) -> None:
        key = (project, sighting.session_id)
        query = "SELECT attributes FROM sessions WHERE project = ? AND session_id = ?"
        known = load_attributes(self._connection.execute(query, key).fetchone()[0])
        merged = merge_attributes(known, sighting.attributes)
        if merged == known:
            return
        plain = plain_attributes(merged)
        columns = [plain.get("state", "active"), *(_text(plain.get(name)) for name in ("user.id", "feature", "label"))]
        self._connection.execute(
            "UPDATE sessions SET attributes = ?, state = ?, user = ?, feature = ?, label = ?"
            " WHERE project = ? AND session_id = ?",
            (dump_attributes(merged), *columns, *key),
        )

    def _flush_when_full(self, writes: Sequence[Write]) -> None:
        if self._connection.execute("SELECT count(*) FROM index_tail").fetchone()[0] < TAIL_BLOCKS:
            return
        flush_tail(self._connection)
        expired = max(write.received_unix_nano for write in writes) - DIGEST_LIFETIME_NS
        self._connection.execute("DELETE FROM requests WHERE received_unix_nano < ?", (expired,))


def _mergeable(writes: Iterable[Write]) -> list[list[Write]]:
    """Writes of one project, signal and source class, gathered to blocks of about :data:`BLOCK_BYTES`."""
    open_groups: dict[tuple[int, int, int], list[Write]] = {}
    done = []
    for write in writes:
        if not write.body:
            continue
        key = (write.project, write.signal, write.source)
        group = open_groups.setdefault(key, [])
        group.append(write)
        if sum(len(member.body) for member in group) >= BLOCK_BYTES:
            done.append(open_groups.pop(key))
    return done + list(open_groups.values())


def _by_project(writes: Iterable[Write]) -> list[tuple[int, list[Write]]]:
    members: dict[int, list[Write]] = defaultdict(list)
    for write in writes:
        members[write.project].append(write)
    return list(members.items())


def _upsert(table: str, columns: int) -> str:
    """Replaces a row of equal identity only by a greater version of the span."""
    values = ", ".join("?" * columns)
    return (
        f"INSERT INTO {table} VALUES ({values}) ON CONFLICT DO UPDATE SET {_ASSIGN[table]} WHERE {_WINS.format(table)}"
    )


_ASSIGN = {
    table: ", ".join(f"{name} = excluded.{name}" for name in columns.split())
    for table, columns in {
        "interactions": "end_unix_nano length digest start_unix_nano kind status service session_id conversation_id"
        " operation provider request_model response_model input_tokens output_tokens cost_usd",
        "actions": "end_unix_nano length digest start_unix_nano name target session_id",
    }.items()
}


def _flat(row: InteractionRow) -> tuple[Any, ...]:
    return (
        row.trace_id,
        row.span_id,
        *row.version,
        row.start_unix_nano,
        row.kind.value,
        row.status,
        row.service,
        row.session_id,
        row.conversation_id,
        row.operation,
        row.provider,
        row.request_model,
        row.response_model,
        row.input_tokens,
        row.output_tokens,
        row.cost_usd,
    )


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
