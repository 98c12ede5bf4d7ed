"""The schema of a file and its migrations. Times are Unix nanoseconds; trace and span ids are bytes."""

from __future__ import annotations

from typing import Any

from sqlite_utils.migrations import Migrations

from otel_replay.store.sqlite.first_schema import create_tables

APPLICATION_ID = 0x4F52504C  # "ORPL": tells our files from other SQLite files

SCHEMA_VERSION = 4  # how many migrations there are; a file with more was written by a newer version

migrations = Migrations("otel_replay")


def migrate(database: Any) -> None:
    """Brings a file of any released schema to this one, all of it in one transaction: a kill leaves the old one.

    A migration that was released is never edited. Each sets ``user_version`` to its number, which is also in the names
    of the files that ``tests/durability/golden`` keeps of every released schema.
    """
    if database.execute("PRAGMA user_version").fetchone()[0] == SCHEMA_VERSION:
        return
    with database.atomic():
        migrations.apply(database)


@migrations()
def m001_first_schema(db: Any) -> None:
    create_tables(db)
    db.execute("PRAGMA user_version = 1")


@migrations()
def m002_calls_counted_once(db: Any) -> None:
    """What says which AI spans tell of one call, and what counts of each; where costs are from.

    All are counted again, in the background: agents were left out before, and calls told of twice counted twice.
    """
    # `teller` and `response_id` are hashes: store/sqlite/rows.py. `parent_span_id` is NULL for a root, and for what
    # was stored before. `counts`: the bits of timeline/counted.py, until a follower has looked at the trace those of
    # a span that is alone in it. `cost_source`: 0 for no cost, else 1 + the place in COST_SOURCES.
    for table in ("interactions", "retracted"):
        for column in (
            "parent_span_id BLOB",
            "teller INTEGER NOT NULL DEFAULT 0",
            "response_id INTEGER",
            "cost_source INTEGER NOT NULL DEFAULT 0",
            "counts INTEGER NOT NULL DEFAULT 0",
        ):
            db.execute(f"ALTER TABLE {table} ADD COLUMN {column}")
    tokens = "input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens"
    db.execute(
        "UPDATE interactions SET cost_source = cost_pico_usd IS NOT NULL, counts = iif(kind = 1, 0,"
        f" (kind = 0) + 2 * (coalesce({tokens}) IS NOT NULL) + 4 * (cost_pico_usd IS NOT NULL))"
    )
    for part in ("override_cost", "computed_cost"):
        db.execute(f"ALTER TABLE rollups ADD COLUMN {part} INTEGER NOT NULL DEFAULT 0")
    # `calls` are interactions that count as calls, `counting` AI spans of which anything counts.
    for table in ("sessions", "conversations"):
        for column in ("calls", "counting"):
            db.execute(f"ALTER TABLE {table} ADD COLUMN {column} INTEGER NOT NULL DEFAULT 0")
        db.execute(f"CREATE INDEX {table}_busiest ON {table} (project, calls) WHERE counting > 0")
    for table in ("rollups", "retracted"):
        db.execute(f"DELETE FROM {table}")
    db.execute("UPDATE rollups_progress SET counted = 0")
    db.execute("PRAGMA user_version = 2")


@migrations()
def m003_errors_and_tags(db: Any) -> None:
    """What failed in a session beside its AI spans; the tags that sessions are found by; indexes.

    Errors and tags of what arrives from now on: nothing that is stored is read again for them.
    """
    # `place` is the trace id and span id of a span, the digest of a log record (`stream` is empty then), or the index
    # of an event in the chunk `seq` of a stream.
    db.execute(
        "CREATE TABLE errors (project INTEGER NOT NULL, session_id ANY NOT NULL, stream TEXT NOT NULL,"
        " seq INTEGER NOT NULL, place ANY NOT NULL, trace_id BLOB, start_unix_nano INTEGER NOT NULL,"
        " PRIMARY KEY (project, session_id, stream, seq, place)) STRICT, WITHOUT ROWID"
    )
    db.execute("CREATE INDEX errors_trace ON errors (project, trace_id) WHERE trace_id IS NOT NULL")
    db.execute("CREATE INDEX errors_start ON errors (project, start_unix_nano)")
    # A JSON array of ids of `strings`.
    db.execute("ALTER TABLE sessions ADD COLUMN tags TEXT")
    (trigger,) = db.execute("SELECT sql FROM sqlite_master WHERE name = 'sessions_start'").fetchone()
    told = "UNION VALUES (2, old.user), (3, old.feature), (4, old.label)"
    db.execute("DROP TRIGGER sessions_start")
    db.execute(trigger.replace(told, f"{told} UNION SELECT 5, value FROM json_each(coalesce(old.tags, '[]'))"))
    # Calls that are told of in two traces are found by their response and second: store/sqlite/deciding.py.
    db.execute(
        "CREATE INDEX interactions_response ON interactions (project, start_unix_nano / 1000000000, response_id)"
        " WHERE response_id IS NOT NULL"
    )
    # What finds gaps, and where to play from: without it each look at a chunk's times reads a page of its payload.
    times = "start_unix_nano, end_unix_nano, has_full_snapshot"
    db.execute(f"CREATE INDEX chunks_listed ON chunks (project, session_id, stream_id, seq, {times})")
    db.execute("PRAGMA user_version = 3")


@migrations()
def m004_sessions_of_traces(db: Any) -> None:
    """AI spans that name no session take that of their trace; errors that a failed call logged are told from others.

    Everything is counted again, in the background: what is stored takes its session then, and roll-ups know how many AI
    spans name what they are about.
    """
    # Bits of what a row names only because its trace does: store/sqlite/inheriting.py.
    for table in ("interactions", "retracted"):
        db.execute(f"ALTER TABLE {table} ADD COLUMN inherited INTEGER NOT NULL DEFAULT 0")
    # Traces whose edges to sessions have changed, and that have AI spans which take a session from them.
    db.execute(
        "CREATE TABLE retold (project INTEGER NOT NULL, trace_id BLOB NOT NULL, PRIMARY KEY (project, trace_id))"
        " STRICT, WITHOUT ROWID"
    )
    for table in ("session_traces", "actions"):
        for change, row in (("INSERT", "new"), ("DELETE", "old")):
            db.execute(
                f"CREATE TRIGGER {table}_{change.lower()} AFTER {change} ON {table}"
                f" WHEN {row}.session_id IS NOT NULL AND EXISTS (SELECT 1 FROM interactions"
                f" WHERE project = {row}.project AND trace_id = {row}.trace_id"
                " AND (session_id IS NULL OR inherited > 0))"
                f" BEGIN INSERT OR IGNORE INTO retold VALUES ({row}.project, {row}.trace_id); END"
            )
    # Of a log record that was written in a span.
    db.execute("ALTER TABLE errors ADD COLUMN span_id BLOB")
    # AI spans that have the name of the roll-up, whatever counts of them: a name without any is forgotten.
    db.execute("ALTER TABLE rollups ADD COLUMN spans INTEGER NOT NULL DEFAULT 0")
    for table in ("rollups", "retracted"):
        db.execute(f"DELETE FROM {table}")
    for table in ("sessions", "conversations"):
        db.execute(f"UPDATE {table} SET calls = 0, counting = 0 WHERE counting <> 0 OR calls <> 0")
    db.execute("UPDATE rollups_progress SET counted = 0")
    db.execute("PRAGMA user_version = 4")
