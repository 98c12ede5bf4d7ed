"""A reader process that runs its hardest: ``python -m tests.bench.scanner FILE`` looks for what is not there."""

from __future__ import annotations

import sys
from pathlib import Path

from otel_replay.model import DEFAULT_PROJECT
from otel_replay.store.base import AttributeTest, SpanFilter
from otel_replay.store.sqlite import SqliteReader

ABSENT = SpanFilter(attributes=(AttributeTest("", "http.route", "/nowhere"),))


def main() -> None:
    reader = SqliteReader(Path(sys.argv[1]))
    while True:
        reader.search_traces(DEFAULT_PROJECT, ABSENT, limit=20)


if __name__ == "__main__":
    main()
