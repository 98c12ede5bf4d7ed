"""Commands that write: through the server at ``--url``, else the one that writes the file, else on the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

Desk = TypeVar("Desk")


def registry_of(store: Any) -> Any:
    """The keys and projects of a file."""
    import secrets
    import time

    from otel_replay.access.registry import Registry

    return Registry(store.access, time.time_ns, secrets.token_bytes)


@contextmanager
def desk_at(
    db: Path, url: str | None, on_file: Callable[[Any], Desk], through: Callable[[str], Desk], *, missing: str | None
) -> Iterator[Desk]:
    """``on_file`` makes the desk of a store, ``through`` that of a server's address.

    ``missing`` is what to do where there is no file; None: it is made.
    """
    from otel_replay.errors import DatabaseInUse, StoreError
    from otel_replay.store.sqlite import SqliteStore
    from otel_replay.store.sqlite.database import writer_of

    if url:
        yield through(url)
        return
    if missing is not None and not db.exists():
        raise StoreError(f"there is no database at {db}", hint=missing)
    try:
        store = SqliteStore(db)
    except DatabaseInUse:
        writer = writer_of(db)
        if not writer.get("url"):
            raise
        yield through(writer["url"])
        return
    try:
        yield on_file(store)
    finally:
        store.close()
