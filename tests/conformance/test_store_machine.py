"""The store's state machine: whatever is written, repeated, compacted, restarted or cut off, it answers as memory does.

What is written and asked is that of tests/store/test_differential.py, which does not stop its store in between.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from otel_replay.store import compacting
from otel_replay.store.base import Receipt, Write
from otel_replay.store.memory import MemoryStore
from otel_replay.store.sqlite import SqliteStore, compaction, ingest
from tests.store.groups import commit_as_group
from tests.store.test_differential import WRITES, answers

FILES = ("", "-wal")


class StoreMachine(RuleBasedStateMachine):
    """One SQLite store beside one in memory; the folder changes when the machine loses its power."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self._path = Path(self._folder.name) / "0" / "replay.db"
        self._path.parent.mkdir()
        self._memory, self._store = MemoryStore(), SqliteStore(self._path)
        self._written: list[Write] = []

    def teardown(self) -> None:
        self._store.close()
        self._folder.cleanup()

    @rule(writes=st.lists(WRITES, min_size=1, max_size=4))
    def write(self, writes: list[Write]) -> None:
        expected = [self._memory.commit(write) for write in writes]
        assert _plain(commit_as_group(self._store, writes)) == _plain(expected)
        self._written += writes

    @precondition(lambda self: self._written)
    @rule(data=st.data())
    def write_again(self, data: st.DataObject) -> None:
        again = data.draw(st.sampled_from(self._written))
        assert _plain([self._store.commit(again)]) == _plain([self._memory.commit(again)])

    @rule()
    def distill(self) -> None:
        self._memory.distill()
        self._store.distill()

    @rule()
    def compact(self) -> None:
        self._store.compact_now()

    @rule()
    def restart(self) -> None:
        self._store.close()
        self._store = SqliteStore(self._path)

    @rule()
    def lose_power(self) -> None:
        """Goes on with a copy of the files as they are now, nothing closed."""
        copy = self._path.parents[1] / str(int(self._path.parent.name) + 1) / self._path.name
        copy.parent.mkdir()
        for suffix in FILES:
            shutil.copy(f"{self._path}{suffix}", f"{copy}{suffix}")
        self._store.close()
        self._path, self._store = copy, SqliteStore(copy)

    @rule()
    def ask(self) -> None:
        deadline = time.monotonic() + 20
        while any(self._store.lag()[:2]):
            assert time.monotonic() < deadline, self._store.lag()
            time.sleep(0.001)
        assert answers(self._store) == answers(self._memory)


def _plain(receipts: list[Receipt]) -> list[Any]:
    return [(receipt.duplicate, list(receipt.chunks)) for receipt in receipts]


@pytest.mark.slow
def test_the_store_answers_as_memory_does_across_restarts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "TAIL_BLOCKS", 4)
    monkeypatch.setattr(compaction, "FEW_BLOCKS", 2)
    monkeypatch.setattr(compacting, "SPLIT_BYTES", 1_000)
    examples = max(20, settings().max_examples // 5)
    health = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    run_state_machine_as_test(
        StoreMachine,
        settings=settings(max_examples=examples, stateful_step_count=12, deadline=None, suppress_health_check=health),
    )
