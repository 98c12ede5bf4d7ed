"""Services and operations: every name that arrives, up to the bounds that keep the file small."""

from __future__ import annotations

from pathlib import Path

import pytest

from otel_replay.errors import StoreUnavailable
from otel_replay.store import names
from otel_replay.store.base import Write
from otel_replay.store.sqlite import SqliteStore
from otel_replay.store.sqlite import names as sqlite_names
from tests.store.conftest import Backend
from tests.store.groups import on_the_writer
from tests.store.requests import span, traces, write


def told(service: str, *operations: str) -> Write:
    spans = [span(number, name=name) for number, name in enumerate(operations, 1)]
    return write(traces(*spans, resource={"service.name": service} if service else {}))


@pytest.mark.feature("K8")
def test_names_are_listed_sorted_each_once(backend: Backend) -> None:
    backend.commit(told("web", "GET", "click"), told("api", "GET"), told("api", "GET", "", "Äpfel"), told("", "lost"))
    assert backend.reader.services(1) == ["api", "web"]
    assert backend.reader.operations(1, "api") == ["", "GET", "Äpfel"]
    assert backend.reader.operations(1, "") == ["lost"]
    assert backend.reader.operations(1, "nobody") == []
    assert backend.reader.operations(2, "api") == []


def test_long_names_are_cut(backend: Backend) -> None:
    backend.commit(told("s" * 300, "o" * 300))
    assert backend.reader.services(1) == ["s" * 200]
    assert backend.reader.operations(1, "s" * 200) == backend.reader.operations(1, "s" * 300) == ["o" * 200]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three operations of a service, two services."""
    for module in (names, sqlite_names):
        monkeypatch.setattr(module, "KEPT_OPERATIONS", 3)
        monkeypatch.setattr(module, "KEPT_SERVICES", 2)


@pytest.mark.usefixtures("few")
def test_names_made_of_ids_do_not_fill_the_store(backend: Backend) -> None:
    backend.commit(told("a", "1", "2"), told("a", "3", "4"), told("a", "5"), told("b", "1"), told("c", "1"), told("d"))
    backend.commit(told("b", "2"))
    assert backend.reader.operations(1, "a") == ["1", "2", "3"]
    assert backend.reader.services(1) == ["a", "b"]
    assert backend.reader.operations(1, "b") == ["1", "2"]
    assert names.kept_operations([[("a", "1")], [("b", "1")], [("c", "1")]]) == {"a": {"1"}, "b": {"1"}}


@pytest.mark.usefixtures("few")
def test_bounds_hold_for_a_store_that_is_opened_again(tmp_path: Path) -> None:
    for number in range(5):
        store = SqliteStore(tmp_path / "replay.db")
        store.commit(told("a", f"{number}"))
        store.commit(told(f"s{number}", "x"))
        found = store.services(1), store.operations(1, "a")
        store.close()
    assert found == (["a", "s0"], ["0", "1", "2"])


def test_what_was_rolled_back_is_noted_again(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "replay.db")
    store.commit(told("a", "known"))
    full = "CREATE TEMP TRIGGER full BEFORE INSERT ON main.operations BEGIN SELECT raise(ABORT, 'full'); END"
    on_the_writer(store, full)
    with pytest.raises(StoreUnavailable):
        store.commit(told("a", "new"))
    on_the_writer(store, "DROP TRIGGER full")
    assert store.operations(1, "a") == ["known"]
    store.commit(told("a", "new"))
    assert store.operations(1, "a") == ["known", "new"]
    store.close()


def test_names_are_read_again_when_memory_is_full(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_names, "_REMEMBERED", 2)
    for _ in range(3):
        backend.commit(*(told(f"s{number}", "1", "2") for number in range(3)), told("s0", "3"))
    assert [backend.reader.operations(1, f"s{number}") for number in range(3)] == [
        ["1", "2", "3"],
        ["1", "2"],
        ["1", "2"],
    ]
