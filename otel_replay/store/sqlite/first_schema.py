"""The tables of the first schema. It was released: what is to be otherwise is a migration (schema.py)."""

from __future__ import annotations

from typing import Any


def create_tables(db: Any) -> None:
    _blocks(db)
    _index(db)
    _contents(db)
    _typed_rows(db)
    _operations(db)
    _sessions(db)
    _rollups(db)
    _recordings(db)
    _access(db)
    _privacy(db)


def _create(db: Any, table: str, columns: dict[str, Any], pk: str | tuple[str, ...], *, optional: str = "") -> None:
    """A STRICT table whose columns are NOT NULL but for those named in ``optional``."""
    required = set(columns) - set(optional.split())
    db.table(table).create(columns, pk=pk, not_null=required, strict=True)


def _blocks(db: Any) -> None:
    _create(db, "meta", {"key": str, "value": str}, "key")
    db.execute("INSERT INTO meta VALUES ('index_key', hex(randomblob(32)))")
    _create(db, "projects", {"id": int, "name": str}, "id")
    db.execute("INSERT INTO projects VALUES (1, 'default')")
    # `requests` lists [key id, length] of the runs of bytes each key wrote, so that what one key wrote can be purged.
    # `level` and `partition` say what compaction has sorted: store/compacting.py. AUTOINCREMENT: no number is given
    # twice, so that what readers keep of a block's index entries holds for ever.
    db.execute(
        "CREATE TABLE blocks (id INTEGER PRIMARY KEY AUTOINCREMENT, project INTEGER NOT NULL, signal INTEGER NOT NULL,"
        " source INTEGER NOT NULL, level INTEGER NOT NULL, partition INTEGER NOT NULL,"
        " received_unix_nano INTEGER NOT NULL, start_unix_nano INTEGER NOT NULL, last_start_unix_nano INTEGER NOT NULL,"
        " end_unix_nano INTEGER NOT NULL, items INTEGER NOT NULL, errors INTEGER NOT NULL, services TEXT NOT NULL,"
        " requests TEXT NOT NULL, raw_bytes INTEGER NOT NULL, data BLOB NOT NULL) STRICT"
    )
    db.table("blocks").create_index(["project", "signal", "last_start_unix_nano"])
    db.table("blocks").create_index(["signal", "project", "source", "level", "partition", "received_unix_nano"])
    # An hour of request digests: an equal request is answered with success and not stored again.
    db.execute(
        "CREATE TABLE requests (project INTEGER NOT NULL, digest BLOB NOT NULL, received_unix_nano INTEGER NOT NULL,"
        " PRIMARY KEY (project, digest)) STRICT, WITHOUT ROWID"
    )
    columns = {"id": int, "project": int, "signal": int, "received_unix_nano": int, "reason": str, "raw": bytes}
    _create(db, "quarantine", columns, "id")


def _index(db: Any) -> None:
    # Hashes of the ids in each of the newest blocks, until they are sorted into buckets.
    times = {"start_unix_nano": int, "end_unix_nano": int}
    _create(db, "index_tail", {"block_id": int, **times, "traces": bytes, "sessions": bytes}, "block_id")
    # A segment holds the entries of blocks `first_block` to `last_block` in 2 ** bits rows of buckets for each kind;
    # bits is -1 for a kind without entries. Only visible ones are read: one that is being made, or taken away, is not.
    _create(
        db,
        "index_segments",
        {
            "id": int,
            "visible": int,
            "tier": int,
            "first_block": int,
            "last_block": int,
            "blocks": int,
            "trace_bits": int,
            "session_bits": int,
            **times,
        },
        "id",
    )
    # The id tells segment, kind and bucket. Rowid tables keep rows of 2-4 KB whole on a page; others would not.
    _create(db, "index_buckets", {"id": int, "data": bytes}, "id")
    # Blocks that were rewritten while segments still have entries of them; merging drops those.
    _create(db, "removed_blocks", {"id": int}, "id")


def _contents(db: Any) -> None:
    """What was said in AI spans: each distinct content once, compressed together in blocks."""
    columns = {"id": int, "project": int, "raw_bytes": int, "data": bytes}
    _create(db, "body_blocks", columns, "id")
    # `refs` counts the cut records that hold the id. Of the AI spans that carry it the one with the least (start,
    # trace, span) is its origin; `version` tells which version of that span did. `doc` is its document in `texts`.
    db.execute(
        "CREATE TABLE bodies (id INTEGER PRIMARY KEY, project INTEGER NOT NULL, block INTEGER NOT NULL,"
        " start INTEGER NOT NULL, length INTEGER NOT NULL, refs INTEGER NOT NULL, start_unix_nano INTEGER NOT NULL,"
        " trace_id BLOB NOT NULL, span_id BLOB NOT NULL, version INTEGER NOT NULL, doc INTEGER) STRICT"
    )
    db.execute("CREATE UNIQUE INDEX bodies_doc ON bodies (doc) WHERE doc IS NOT NULL")
    # Generations of digests: store/sqlite/digests.py.
    db.execute(
        "CREATE TABLE body_digests (generation INTEGER NOT NULL, digest BLOB NOT NULL, id INTEGER NOT NULL,"
        " PRIMARY KEY (generation, digest)) STRICT, WITHOUT ROWID"
    )
    _create(db, "digest_filters", {"generation": int, "bits": bytes}, "generation")
    # Full text, one document for each content; its number sorts by the time of the origin: store/sqlite/fulltext.py.
    db.execute("CREATE VIRTUAL TABLE texts USING fts5(text, content='', detail=none, columnsize=0, tokenize='ascii')")
    # Merging 16 segments at a time, not 8: commits of 60,000 calls take 29 % less CPU, a query 0.4 ms more. From
    # `crisismerge` on a level is merged in one go: with 16, its default, some commits took 70 ms instead of 15.
    db.execute("INSERT INTO texts (texts, rank) VALUES ('automerge', 16), ('crisismerge', 32)")
    # Contents that have their document under the time of a later origin.
    _create(db, "moved_texts", {"id": int}, "id")
    db.execute(
        "CREATE TRIGGER bodies_origin AFTER UPDATE OF start_unix_nano ON bodies"
        " WHEN old.doc IS NOT NULL AND new.start_unix_nano <> old.start_unix_nano"
        " BEGIN INSERT OR IGNORE INTO moved_texts VALUES (new.id); END"
    )
    db.execute("INSERT INTO meta VALUES ('texts_indexed', '0')")


def _typed_rows(db: Any) -> None:
    """Ids are bytes; names of services, models, users and so on are ids of ``strings``, 0 for none."""
    # Looked up by (project, text); written once, as the same few names come with every row.
    db.execute("CREATE TABLE strings (id INTEGER PRIMARY KEY, project INTEGER NOT NULL, text TEXT NOT NULL) STRICT")
    db.execute("CREATE UNIQUE INDEX strings_text ON strings (project, text)")
    # A version of a span that replaces another gets a new id; what it replaced waits in `retracted` for the roll-ups.
    for table in ("interactions", "retracted"):
        db.execute(
            f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, project INTEGER NOT NULL, trace_id BLOB NOT NULL,"
            " span_id BLOB NOT NULL, start_unix_nano INTEGER NOT NULL, end_unix_nano INTEGER NOT NULL,"
            " length INTEGER NOT NULL, digest BLOB NOT NULL, kind INTEGER NOT NULL, status INTEGER NOT NULL,"
            " session_id ANY, conversation_id ANY, service INTEGER NOT NULL, user INTEGER NOT NULL,"
            " feature INTEGER NOT NULL, variant INTEGER NOT NULL, operation INTEGER NOT NULL,"
            " provider INTEGER NOT NULL, request_model INTEGER NOT NULL, response_model INTEGER NOT NULL,"
            " input_tokens INTEGER, output_tokens INTEGER, cache_read_tokens INTEGER, cache_write_tokens INTEGER,"
            " reasoning_tokens INTEGER, cost_pico_usd INTEGER, time_to_first_token_ns INTEGER) STRICT"
        )
    db.execute("CREATE UNIQUE INDEX interactions_span ON interactions (project, trace_id, span_id)")
    db.execute("CREATE INDEX interactions_start ON interactions (project, start_unix_nano)")
    for column in ("session_id", "conversation_id"):
        where = f"WHERE {column} IS NOT NULL"
        db.execute(f"CREATE INDEX interactions_{column} ON interactions (project, {column}) {where}")
    db.execute("CREATE INDEX interactions_user ON interactions (user) WHERE user > 0")
    db.execute(
        "CREATE TABLE actions (project INTEGER NOT NULL, trace_id BLOB NOT NULL, span_id BLOB NOT NULL,"
        " start_unix_nano INTEGER NOT NULL, end_unix_nano INTEGER NOT NULL, length INTEGER NOT NULL,"
        " digest BLOB NOT NULL, name TEXT NOT NULL, target TEXT NOT NULL, session_id ANY,"
        " PRIMARY KEY (project, trace_id, span_id)) STRICT, WITHOUT ROWID"
    )
    db.execute("CREATE INDEX actions_session ON actions (project, session_id) WHERE session_id IS NOT NULL")


def _operations(db: Any) -> None:
    db.execute(
        "CREATE TABLE operations (project INTEGER NOT NULL, service TEXT NOT NULL, name TEXT NOT NULL,"
        " PRIMARY KEY (project, service, name)) STRICT, WITHOUT ROWID"
    )


def _sessions(db: Any) -> None:
    # Session and conversation ids of 32 hexadecimal digits are stored as 16 bytes. `flags` is 2 x state + failed, so
    # that one index lists all sessions by start, those of a state, and those with or without a failed AI span.
    # `attributes` is NULL until something was said; user, feature and label repeat what lists filter by.
    db.execute(
        "CREATE TABLE sessions (project INTEGER NOT NULL, session_id ANY NOT NULL, start_unix_nano INTEGER NOT NULL,"
        " end_unix_nano INTEGER NOT NULL, flags INTEGER NOT NULL DEFAULT 0, user INTEGER NOT NULL DEFAULT 0,"
        " feature INTEGER NOT NULL DEFAULT 0, label INTEGER NOT NULL DEFAULT 0, attributes TEXT,"
        " PRIMARY KEY (project, session_id)) STRICT, WITHOUT ROWID"
    )
    db.execute("CREATE INDEX sessions_listed ON sessions (project, flags, start_unix_nano)")
    # What lists filter by, newest first; `name` is an id of `strings`, and with it of one project.
    db.execute(
        "CREATE TABLE facets (kind INTEGER NOT NULL, name INTEGER NOT NULL, start_unix_nano INTEGER NOT NULL,"
        " session_id ANY NOT NULL, PRIMARY KEY (kind, name, start_unix_nano, session_id)) STRICT, WITHOUT ROWID"
    )
    # A session that turns out to have started earlier takes its facets with it (kinds: store/sqlite/sessions.py).
    db.execute(
        "CREATE TRIGGER sessions_start AFTER UPDATE OF start_unix_nano ON sessions"
        " WHEN new.start_unix_nano <> old.start_unix_nano BEGIN"
        " UPDATE facets SET start_unix_nano = new.start_unix_nano"
        " WHERE session_id = new.session_id AND start_unix_nano = old.start_unix_nano AND (kind, name) IN ("
        " SELECT 0, service FROM interactions WHERE project = new.project AND session_id = new.session_id"
        " UNION SELECT 1, request_model FROM interactions WHERE project = new.project AND session_id = new.session_id"
        " UNION SELECT 1, response_model FROM interactions WHERE project = new.project AND session_id = new.session_id"
        " UNION VALUES (2, old.user), (3, old.feature), (4, old.label)); END"
    )
    db.execute(
        "CREATE TABLE conversations (project INTEGER NOT NULL, conversation_id ANY NOT NULL,"
        " start_unix_nano INTEGER NOT NULL, end_unix_nano INTEGER NOT NULL, PRIMARY KEY (project, conversation_id))"
        " STRICT, WITHOUT ROWID"
    )
    # Edges that no interaction or action stands for: of logs, recordings and replaced versions.
    db.execute(
        "CREATE TABLE session_traces (project INTEGER NOT NULL, session_id ANY NOT NULL, trace_id BLOB NOT NULL,"
        " PRIMARY KEY (project, session_id, trace_id)) STRICT, WITHOUT ROWID"
    )
    db.table("session_traces").create_index(["project", "trace_id"])


def _rollups(db: Any) -> None:
    # Numbers: store/sqlite/rollups.py. `start_hour` counts hours since 1970, UTC; `name` is of `strings`.
    numbers = ("input", "output", "cache_read", "cache_write", "reasoning", "cost")
    names = ("project", "dimension", "level", "start_hour", "name")
    key = ", ".join(f"{name} INTEGER NOT NULL" for name in names)
    columns = ("interactions", "errors", *numbers, *(f"{name}_said" for name in numbers))
    counts = ", ".join(f"{name} INTEGER NOT NULL" for name in columns)
    samples = ("latency", "latency_new", "first_token", "first_token_new")
    sketches = ", ".join(f"{name} BLOB NOT NULL DEFAULT x''" for name in samples)
    primary = f"PRIMARY KEY ({', '.join(names)})"
    db.execute(f"CREATE TABLE rollups ({key}, {counts}, {sketches}, {primary}) STRICT, WITHOUT ROWID")
    db.execute("CREATE INDEX rollups_long ON rollups (project) WHERE length(latency_new) > 1024")
    # The last row of `interactions` that is counted in the roll-ups.
    db.execute("CREATE TABLE rollups_progress (counted INTEGER NOT NULL) STRICT")
    db.execute("INSERT INTO rollups_progress VALUES (0)")


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
        "key_id": int,
    }
    _create(db, "chunks", chunk, "id", optional="sent_at_unix_nano")
    db.table("chunks").create_index([*stream, "seq"], unique=True)
    db.table("chunks").create_index([*stream, "digest"])
    # `distill_from`: the lowest sequence number whose distillation is due. Streams are distilled in the order of
    # `turn`: when the first chunk that waits arrived, or, after a part was done, behind all others.
    columns = {**stream, "next_seq": int, "distill_from": int, "turn": int}
    _create(db, "streams", columns, tuple(stream), optional="distill_from")
    db.execute("CREATE INDEX streams_due ON streams (turn) WHERE distill_from IS NOT NULL")
    _create(db, "dom_chunks", {**stream, "seq": int, **times, "events": int, "data": bytes}, (*stream, "seq"))


def _privacy(db: Any) -> None:
    """What was erased, as keyed hashes: store/sqlite/tombstones.py. What is being erased: store/sqlite/unfinished.py.
    What was done by whom: store/sqlite/audit.py."""
    db.execute(
        "CREATE TABLE tombstones (project INTEGER NOT NULL, kind INTEGER NOT NULL, hash BLOB NOT NULL,"
        " erased_unix_nano INTEGER NOT NULL, until_unix_nano INTEGER NOT NULL, PRIMARY KEY (project, kind, hash))"
        " STRICT, WITHOUT ROWID"
    )
    _create(db, "erasures", {"id": int, "project": int, "gone": str, "vacuum": int}, "id", optional="gone vacuum")
    db.execute("CREATE TABLE erased_records (erasure INTEGER NOT NULL, records TEXT NOT NULL) STRICT")
    db.execute(
        "CREATE TABLE audit (id INTEGER PRIMARY KEY AUTOINCREMENT, time_unix_nano INTEGER NOT NULL,"
        " project INTEGER NOT NULL, key_id INTEGER NOT NULL, action TEXT NOT NULL, kind TEXT NOT NULL,"
        " subject BLOB NOT NULL, outcome TEXT NOT NULL) STRICT"
    )
    db.table("audit").create_index(["project", "subject"])
    for change in ("UPDATE", "DELETE"):
        db.execute(
            f"CREATE TRIGGER audit_no_{change.lower()} BEFORE {change} ON audit"
            " BEGIN SELECT raise(ABORT, 'the audit trail is only added to'); END"
        )


def _access(db: Any) -> None:
    """Keys and tokens (what links and cookies stand for); of secrets only hashes: access/keys.py."""
    # AUTOINCREMENT: blocks name the key that wrote them, so no number may be given twice.
    db.execute(
        "CREATE TABLE keys (id INTEGER PRIMARY KEY AUTOINCREMENT, project INTEGER NOT NULL, name TEXT NOT NULL,"
        " scopes TEXT NOT NULL, origins TEXT NOT NULL, requests_per_second INTEGER, bytes_per_second INTEGER,"
        " secret_hash BLOB NOT NULL, created_unix_nano INTEGER NOT NULL, expires_unix_nano INTEGER,"
        " revoked_unix_nano INTEGER) STRICT"
    )
    # `key_id` made it, `share_id` led to it; 0 for none. `shared_id` is the session or trace that all of it is about.
    db.execute(
        "CREATE TABLE tokens (id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, hash BLOB NOT NULL UNIQUE,"
        " project INTEGER NOT NULL, key_id INTEGER NOT NULL, share_id INTEGER NOT NULL, scopes TEXT NOT NULL,"
        " shared_kind TEXT, shared_id TEXT, created_unix_nano INTEGER NOT NULL, expires_unix_nano INTEGER NOT NULL)"
        " STRICT"
    )
