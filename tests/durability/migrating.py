"""A newer version of the program, whose one migration more takes its time.

``python -m tests.durability.migrating DB`` brings the file up to date, says each block it rewrites, and ``done``.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from otel_replay.store.sqlite import SqliteStore, database, schema

VERSION = schema.SCHEMA_VERSION + 1


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def slow(db: Any) -> None:
    db.execute("PRAGMA cache_size = 4")  # what is not committed is written to the log already
    db.execute("ALTER TABLE sessions ADD COLUMN added TEXT")
    for (number,) in db.execute("SELECT id FROM blocks ORDER BY id").fetchall():
        db.execute("UPDATE blocks SET requests = requests || ' ' WHERE id = ?", [number])
        _say(str(number))
        time.sleep(0.01)
    db.execute(f"PRAGMA user_version = {VERSION}")


def main() -> None:
    schema.migrations()(slow)
    schema.SCHEMA_VERSION = VERSION
    vars(database)["SCHEMA_VERSION"] = VERSION
    SqliteStore(sys.argv[1]).close()
    _say("done")


if __name__ == "__main__":
    main()
