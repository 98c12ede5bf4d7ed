"""A file of every released schema, kept for ever: newer versions have to bring it up to date and lose nothing.

``python -m tests.durability.golden`` makes the one of the present schema again: only until that is released.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import zstandard

from otel_replay.model import Session
from otel_replay.store.base import InteractionFilter, Reader, SessionFilter
from otel_replay.store.sqlite import SqliteReader, SqliteStore
from otel_replay.store.sqlite.schema import SCHEMA_VERSION
from tests.durability.files import fill
from tests.store.requests import TRACE

FOLDER = Path(__file__).with_name("golden")


def golden(version: int) -> tuple[Path, Path]:
    """The compressed file of a schema, and what was in it."""
    return FOLDER / f"schema-{version}.db.zst", FOLDER / f"schema-{version}.json"


def unpack(version: int, path: Path) -> dict[str, Any]:
    """Puts the file at ``path``; gives what has to be in it."""
    compressed, facts = golden(version)
    path.write_bytes(zstandard.ZstdDecompressor().decompress(compressed.read_bytes()))
    found: dict[str, Any] = json.loads(facts.read_text())
    return found


def facts(reader: Reader) -> dict[str, Any]:
    """What is in a file, in words that no schema changes."""
    page = reader.search(1, "question", InteractionFilter(), limit=100)
    table = reader.statistics(1, "model", InteractionFilter(), limit=10)
    sessions = reader.sessions(1, SessionFilter(), limit=10).sessions
    return {
        "counts": {name: count for name, count in reader.counts().items() if name != "blocks"},
        "trace": reader.trace(1, TRACE).hex(),
        "logs": [one.record.SerializeToString().hex() for one in reader.logs_of_trace(1, TRACE)],
        "metrics": [body.hex() for body in reader.metrics(1)],
        "sessions": [_session(one.session) for one in sessions],
        "traces": {one.session.session_id: reader.traces_of_session(1, one.session.session_id) for one in sessions},
        "chunks": [chunk.payload.decode() for chunk in reader.chunks(1, "s1", "tab")],
        "page events": [[event.seq, event.kind, event.title] for event in reader.dom_events(1, "s1", "tab")],
        "found": sorted([hit.trace_id, hit.span_id, hit.snippet] for hit in page.hits),
        "statistics": [[one.group, one.interactions, one.errors] for one in table.groups],
        "services": {name: reader.operations(1, name) for name in reader.services(1)},
    }


def _session(session: Session) -> list[Any]:
    return [session.session_id, session.start_unix_nano, session.end_unix_nano, dict(session.attributes)]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "replay.db"
        store = SqliteStore(path)
        fill(store)
        store._writer.run(lambda: None).result()
        store.close()
        SqliteStore(path).close()  # followers end what they left
        reader = SqliteReader(path)
        found = facts(reader)
        reader.close()
        compressed, told = golden(SCHEMA_VERSION)
        FOLDER.mkdir(exist_ok=True)
        compressed.write_bytes(zstandard.ZstdCompressor(level=19).compress(path.read_bytes()))
        told.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
