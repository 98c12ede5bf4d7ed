"""Rows that go: what that costs does not grow with what stays."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from otel_replay.store.base import InteractionFilter
from otel_replay.store.sqlite import SqliteStore
from otel_replay.store.sqlite.identifiers import pack_id
from otel_replay.store.sqlite.row_removal import RowRemover
from tests.store.requests import CHAT, START, click_event, payload, span, traces, upload, write
from tests.store.test_erasure import until_followed

pytestmark = pytest.mark.feature("K16")

HOUR = 3_600 * 10**9
ITS_OWN = {"user.id": "eve", "feature": "only here", "variant": "only here too", "gen_ai.request.model": "rare"}
"""Names that go with the session; an operation and a service that others have, too."""


def instructions_of_removing(path: Path, others: int) -> int:
    """Of SQLite's machine, hundreds: for a session of one call and one recording beside those of others."""
    with closing(SqliteStore(path)) as store:
        for number in range(others):
            told = CHAT | {"session.id": f"other{number}", "user.id": f"user{number}", "variant": f"v{number}"}
            store.commit(write(traces(span(1, told, trace=f"{number + 1:032x}", start=START + number * HOUR))))
            store.commit(upload(0, payload(click_event(number)), session=f"other{number}"))
        store.commit(write(traces(span(1, CHAT | ITS_OWN | {"session.id": "s1"}, trace="cd" * 16))))
        until_followed(store)
        before = len(store._rows("SELECT 1 FROM strings", ()))
        count = 0

        def tick() -> None:
            nonlocal count
            count += 1

        def remove() -> None:
            store._database.conn.set_progress_handler(tick, 100)
            rows = RowRemover(store._database.conn)
            rows.sessions(1, [pack_id("s1")], ["s1"])
            rows.forget_names(1)
            store._database.conn.set_progress_handler(None, 0)

        store._writer.run(remove).result()
        assert len(store._rows("SELECT 1 FROM strings", ())) == before - len({*ITS_OWN.values()})
        table = partial(store.statistics, 1, wanted=InteractionFilter(), limit=2 * others)
        assert "eve" not in {row.group for row in table(by="user").groups}
        assert table(by="service").total.interactions == others
        return count


@pytest.mark.slow
def test_a_small_session_of_a_large_file_is_as_quickly_gone(tmp_path: Path) -> None:
    few, many = (instructions_of_removing(tmp_path / f"{others}.db", others) for others in (20, 400))
    assert many < 2 * few
