"""Tables and their migrations. Times are Unix nanoseconds; ids in typed rows are lower-case hex."""

from __future__ import annotations

from typing import Any

from sqlite_utils.migrations import Migrations

APPLICATION_ID = 0x4F52504C  # "ORPL": tells our files from other SQLite files

SCHEMA_VERSION = 1  # how many migrations there are; a file with more was written by a newer version

migrations = Migrations("otel_replay")


@migrations()
def m001_first_schema(db: Any) -> None:
    _blocks(db)
    _index(db)
    _typed_rows(db)
    _sessions(db)
    _recordings(db)
    db.execute("PRAGMA user_version = 1")


def _create(db: Any, table: str, columns: dict[str, Any], pk: str | tuple[str, ...], *, optional: str = "") -> None:
    """A STRICT table whose columns are NOT NULL but for those named in ``optional``."""
    required = set(columns) - set(optional.split())
    db.table(table).create(columns, pk=pk, not_null=required, strict=True)


def _blocks(db: Any) -> None:
    _create(db, "meta", {"key": str, "value": str}, "key")
    db.execute("INSERT INTO meta VALUES ('index_key', hex(randomblob(32)))")
    _create(db, "projects", {"id": int, "name": str}, "id")
    db.execute("INSERT INTO projects VALUES (1, 'default')")
    # `requests` lists [key id, length] of every request in the block, so that what one key wrote can be purged.
    _create(
        db,
        "blocks",
        {
            "id": int,
            "project": int,
            "signal": int,
            "source": int,
            "start_unix_nano": int,
            "end_unix_nano": int,
            "items": int,
            "errors": int,
            "services": str,
            "requests": str,
            "raw_bytes": int,
            "data": bytes,
        },
        "id",
    )
    # An hour of request digests: an equal request is answered with success and not stored again.
    db.execute(
        "CREATE TABLE requests (project INTEGER NOT NULL, digest BLOB NOT NULL, received_unix_nano INTEGER NOT NULL,"
        " PRIMARY KEY (project, digest)) STRICT, WITHOUT ROWID"
    )
    columns = {"id": int, "project": int, "signal": int, "received_unix_nano": int, "reason": str, "raw": bytes}
    _create(db, "quarantine", columns, "id")


def _index(db: Any) -> None:
    # Hashes of the ids in each of the newest blocks, until they are sorted into buckets.
    _create(db, "index_tail", {"block_id": int, "traces": bytes, "sessions": bytes}, "block_id")
    _create(db, "index_segments", {"id": int, "first_block": int, "last_block": int}, "id")
    db.execute(
        "CREATE TABLE index_buckets (kind INTEGER NOT NULL, bucket INTEGER NOT NULL, segment INTEGER NOT NULL,"
        " data BLOB NOT NULL, PRIMARY KEY (kind, bucket, segment)) STRICT, WITHOUT ROWID"
    )


def _typed_rows(db: Any) -> None:
    version = {"end_unix_nano": int, "length": int, "digest": bytes}
    identity = {"project": int, "trace_id": str, "span_id": str, **version, "start_unix_nano": int}
    interaction = {
        "kind": str,
        "status": str,
        "service": str,
        "session_id": str,
        "conversation_id": str,
        "operation": str,
        "provider": str,
        "request_model": str,
        "response_model": str,
        "input_tokens": int,
        "output_tokens": int,
        "cost_usd": str,
    }
    unsaid = "operation provider request_model response_model input_tokens output_tokens cost_usd"
    key = ("project", "trace_id", "span_id")
    _create(db, "interactions", identity | interaction, key, optional=unsaid)
    db.table("interactions").create_index(["project", "session_id"])
    db.table("interactions").create_index(["project", "conversation_id"])
    _create(db, "actions", identity | {"name": str, "target": str, "session_id": str}, key)
    db.table("actions").create_index(["project", "session_id"])


def _sessions(db: Any) -> None:
    # `attributes` is {name: [event time, digest, value]}; the columns after it repeat what lists filter by.
    columns = {"project": int, "session_id": str, "start_unix_nano": int, "end_unix_nano": int, "attributes": str}
    filters = {"state": str, "user": str, "feature": str, "label": str}
    _create(db, "sessions", columns | filters, ("project", "session_id"), optional="user feature label")
    db.table("sessions").create_index(["project", "start_unix_nano", "session_id"])
    columns = {"project": int, "conversation_id": str, "start_unix_nano": int, "end_unix_nano": int}
    _create(db, "conversations", columns, ("project", "conversation_id"))
    key = ("project", "session_id", "trace_id")
    _create(db, "session_traces", {"project": int, "session_id": str, "trace_id": str}, key)
    db.table("session_traces").create_index(["project", "trace_id"])


def _recordings(db: Any) -> None:
    stream = {"project": int, "session_id": str, "stream_id": str}
    times = {"start_unix_nano": int, "end_unix_nano": int}
    # A rowid table: WITHOUT ROWID stored 9.4 KB a chunk against 4.1 KB.
    chunk = {
        "id": int,
        **stream,
        "seq": int,
        **times,
        "received_unix_nano": int,
        "sent_at_unix_nano": int,
        "events": int,
        "has_full_snapshot": int,
        "slice_index": int,
        "slice_count": int,
        "raw_bytes": int,
        "digest": bytes,
        "payload": bytes,
    }
    _create(db, "chunks", chunk, "id", optional="sent_at_unix_nano")
    db.table("chunks").create_index([*stream, "seq"], unique=True)
    db.table("chunks").create_index([*stream, "digest"])
    # `distill_from`: the lowest sequence number whose distillation is due; `revision` counts the stream's new chunks.
    columns = {**stream, "next_seq": int, "distill_from": int, "revision": int}
    _create(db, "streams", columns, tuple(stream), optional="distill_from")
    db.execute("CREATE INDEX streams_due ON streams (distill_from) WHERE distill_from IS NOT NULL")
    _create(db, "dom_chunks", {**stream, "seq": int, **times, "events": int, "data": bytes}, (*stream, "seq"))
