"""AI spans that name no session take the one of their trace: in statistics, lists and search, whichever comes first."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from otel_replay.store.base import InteractionFilter, SessionFilter, Write
from otel_replay.store.sqlite import SqliteStore
from otel_replay.store.sqlite.erasure import Subject
from tests.store.bytes_of import places_of
from tests.store.conftest import Backend, Opening, memory, sqlite
from tests.store.groups import commit_as_group
from tests.store.requests import (
    CHAT,
    CLICK,
    ERROR,
    START,
    START_MS,
    TRACE,
    log,
    logs,
    payload,
    span,
    traces,
    upload,
    write,
)

pytestmark = [pytest.mark.feature("K12"), pytest.mark.feature("B7")]

SAID = json.dumps([{"role": "user", "parts": [{"type": "text", "content": "a late refund"}]}])
CALL = CHAT | {"gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 1, "gen_ai.input.messages": SAID}
AGENT = {"gen_ai.operation.name": "invoke_agent", "session.id": "s1", "user.id": "ada"}
PARENT = (1).to_bytes(8, "big")


def call(**more: Any) -> Write:
    """A call that names nobody, below the agent."""
    return write(traces(span(2, CALL, start=START + 1, parent_span_id=PARENT, **more)))


def named(session: str, record: str = "log") -> Write:
    """What names the session of the trace and is no AI span."""
    if record == "log":
        return write(logs(log({"session.id": session}, trace=TRACE)))
    if record == "action":
        return write(traces(span(7, CLICK | {"session.id": session})))
    announced = {"trace_id": TRACE, "span_id": "b7ad6b7169203331"}
    custom = {"type": 5, "timestamp": START_MS, "data": {"tag": "otel.fetch", "payload": announced}}
    return upload(0, payload(custom), session=session)


@contextmanager
def opened(open_backend: Opening) -> Iterator[Backend]:
    with tempfile.TemporaryDirectory() as folder, open_backend(Path(folder)) as backend:
        yield backend


def caught_up(backend: Backend) -> None:
    deadline = time.monotonic() + 20
    while any(backend.reader.lag()[:2]):
        assert time.monotonic() < deadline, backend.reader.lag()
        time.sleep(0.001)


def heard(backend: Backend, by: str = "session", **filters: Any) -> dict[str, tuple[int, int | None]]:
    """Calls and input tokens, by group."""
    caught_up(backend)
    table = backend.reader.statistics(1, by, InteractionFilter(**filters), limit=9)
    assert table.total.interactions == sum(row.interactions for row in table.groups)
    return {row.group: (row.interactions, row.usage.input) for row in table.groups}


@pytest.fixture(params=[memory, sqlite], ids=lambda one: one.__name__)
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    with opened(request.param) as one:
        yield one


@pytest.mark.parametrize("is_call_first", [True, False])
@pytest.mark.parametrize("record", ["log", "action", "recording"])
def test_whoever_tells_the_session(backend: Backend, record: str, is_call_first: bool) -> None:
    writes = [call(), named("s1", record)]
    for one in writes if is_call_first else reversed(writes):
        backend.commit(one)
        caught_up(backend)
    assert heard(backend) == {"s1": (1, 10)}
    assert heard(backend, "model", session_id="s1") == {"m1": (1, 10)}
    [listed] = backend.reader.sessions(1, SessionFilter(model="m1", service="api"), limit=9).sessions
    assert (listed.session.session_id, listed.interactions, listed.tokens) == ("s1", 1, (10, 1))
    found = backend.reader.search(1, "refund", InteractionFilter(session_id="s1"), limit=9).hits
    assert [(hit.session_id, hit.span_id) for hit in found] == [("s1", f"{2:016x}")]
    assert backend.reader.sessions_of_trace(1, TRACE) == ["s1"]


@pytest.mark.parametrize("open_backend", [memory, sqlite], ids=lambda one: one.__name__)
def test_an_agent_tells_session_and_user_in_any_order(open_backend: Opening) -> None:
    told: list[Callable[[], Write]] = [
        lambda: write(traces(span(1, AGENT))),
        call,
        lambda: write(traces(span(3, CALL, start=START + 2, parent_span_id=PARENT, status=ERROR))),
        lambda: named("s1"),
    ]
    for order in permutations(told):
        with opened(open_backend) as backend:
            for make in order:
                backend.commit(make())
                caught_up(backend)
            assert heard(backend) == {"s1": (2, 20)}
            assert heard(backend, "user") == {"ada": (2, 20)}
            assert heard(backend, user="ada") == {"s1": (2, 20)}
            [listed] = backend.reader.sessions(1, SessionFilter(has_error=True), limit=9).sessions
            assert (listed.interactions, listed.errors) == (2, 1)


def test_all_in_one_group_of_writes(tmp_path: Path) -> None:
    with sqlite(tmp_path) as backend:
        assert isinstance(backend.store, SqliteStore)
        commit_as_group(backend.store, [call(), named("s1"), write(traces(span(1, AGENT)))])
        assert heard(backend) == {"s1": (1, 10)}


def test_of_two_sessions_neither_is_taken(backend: Backend) -> None:
    """And what took the first leaves it when the second is told."""
    backend.commit(call(), named("s1"))
    assert heard(backend) == {"s1": (1, 10)}
    backend.commit(named("s2", "action"))
    assert heard(backend) == {"": (1, 10)}
    assert backend.reader.sessions(1, SessionFilter(model="m1"), limit=9).sessions == []
    assert [one.interactions for one in backend.reader.sessions(1, SessionFilter(), limit=9).sessions] == [0, 0]


def test_a_call_that_names_its_session_keeps_it(backend: Backend) -> None:
    backend.commit(write(traces(span(2, CALL | {"session.id": "s2"}, start=START + 1))), named("s1"))
    assert heard(backend) == {"s2": (1, 10)}
    assert heard(backend, "user") == {"": (1, 10)}


def test_a_later_version_may_name_another(backend: Backend) -> None:
    """What the earlier one had from its trace was not its own, and stays no edge."""
    backend.commit(call(), write(traces(span(1, AGENT))))
    assert heard(backend) == {"s1": (1, 10)}
    backend.commit(write(traces(span(2, CALL | {"session.id": "s2"}, start=START + 1, end=START + 99))))
    assert heard(backend) == {"s2": (1, 10)}
    backend.commit(write(traces(span(3, CALL, start=START + 2))))
    assert heard(backend) == {"s2": (1, 10), "": (1, 10)}, "the trace names two now"
    assert backend.reader.sessions_of_trace(1, TRACE) == ["s1", "s2"]


def test_other_projects_tell_nothing(backend: Backend) -> None:
    backend.commit(call(), write(logs(log({"session.id": "s1"}, trace=TRACE)), project=2))
    assert heard(backend) == {"": (1, 10)}


def test_it_is_erased_with_its_session(tmp_path: Path) -> None:
    with sqlite(tmp_path) as backend:
        store = backend.store
        assert isinstance(store, SqliteStore)
        other = traces(span(9, CALL | {"session.id": "s9", "feature": "chat"}, trace="cd" * 16))
        backend.commit(call(name="GET /only-here"), write(traces(span(1, AGENT))), write(other))
        assert heard(backend) == {"s1": (1, 10), "s9": (1, 10)}
        store.privacy.erase(1, Subject("session", "s1"))
        assert heard(backend) == {"s9": (1, 10)}
        assert heard(backend, "user") == {"": (1, 10)}
        assert store.counts()["interactions"] == 1
    gone = (TRACE.encode(), bytes.fromhex(TRACE), b"ada", b"GET /only-here")
    assert places_of(tmp_path / "replay.db", gone) == set()


@pytest.mark.parametrize("record", ["agent", "action"])
def test_without_what_told_the_session_it_has_none(tmp_path: Path, record: str) -> None:
    """A key is erased, and with it the session that only its span told."""
    with sqlite(tmp_path) as backend:
        store = backend.store
        assert isinstance(store, SqliteStore)
        teller = write(traces(span(1, AGENT))) if record == "agent" else named("s1", "action")
        backend.commit(call(), replace(teller, key_id=7))
        assert heard(backend) == {"s1": (1, 10)}
        store.privacy.erase(1, Subject("key", "7"))
        assert heard(backend) == {"": (1, 10)}
        assert backend.reader.sessions(1, SessionFilter(), limit=9).sessions == []
        assert store._rows("SELECT count(*) FROM retold", ()) == [(0,)]
