"""What is erased is in no byte of the files any more, what is not stays, and what comes late is refused."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import SeverityNumber
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_replay.errors import InvalidRequest
from otel_replay.store.base import InteractionFilter, Quarantined, SessionFilter, SpanFilter, Write
from otel_replay.store.sqlite import SqliteStore
from otel_replay.store.sqlite.erasure import Subject
from tests.genai.spans import any_value, key_values
from tests.store.bytes_of import places_of
from tests.store.requests import (
    CHAT,
    CLICK,
    START,
    click_event,
    log,
    logs,
    metrics,
    payload,
    span,
    traces,
    upload,
    write,
)

pytestmark = pytest.mark.feature("K16")

NOW = START + 10**12
SHARED = "you are a helpful assistant " * 30


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "replay.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(path, clock=lambda: NOW)
    yield opened
    opened.close()


def trace_id(name: str) -> str:
    return name.encode().hex().ljust(32, "7")


def said(name: str, number: int) -> dict[str, Any]:
    """An AI span's attributes, with something that all say and something that only this one says."""
    texts = [SHARED, f"only{name}word{number} " * 60]
    messages = [{"role": "user", "parts": [{"type": "text", "content": text}]} for text in texts]
    return CHAT | {
        "gen_ai.input.messages": json.dumps(messages),
        "session.id": f"session-{name}",
        "user.id": f"user-{name}",
        "gen_ai.conversation.id": f"conversation-{name}",
    }


def everything_of(name: str, number: int) -> list[Write]:
    """All kinds of data of one person: ``name`` stands in every id and text."""
    trace, start = trace_id(name), START + number
    named = {"session.id": f"session-{name}"}
    event = Span.Event(name=f"event-{name}", attributes=key_values({"note": f"note-{name}"}))
    spans = traces(
        span(1, said(name, number), trace=trace, start=start),
        span(2, CLICK | named, trace=trace, start=start),
        span(3, {"note": f"plain-{name}"}, trace=trace, start=start, name=f"GET /{name}", events=[event]),
    )
    told = {**named, "user.id": f"user-{name}", "label": f"label-{name}", "feature": "chat"}
    typed = {"type": 3, "timestamp": START // 10**6, "data": {"source": 5, "text": f"typed-{name}", "id": 5}}
    bad = Quarantined(
        write(traces()).signal, f"span {trace} is bad", f"bad session-{name} ".encode() * 3_000
    )  # over several pages
    return [
        write(spans),
        write(
            logs(
                log(told, trace=trace, time=start, event_name="session.start"),
                log({"note": f"log-{name}"}, trace=trace),
            )
        ),
        write(metrics(number, resource={"service.name": "api", **named})),
        upload(0, payload(_page(name), typed, click_event(1)), session=f"session-{name}"),
        write(traces(span(9, trace=trace_id("other"), start=start))).__class__(
            project=1,
            signal=write(traces()).signal,
            source=write(traces()).source,
            received_unix_nano=NOW,
            quarantined=[bad],
        ),
    ]


def _page(name: str) -> dict[str, Any]:
    text = {"type": 3, "id": 5, "textContent": f"page-{name}"}
    body = {"type": 2, "tagName": "body", "id": 4, "attributes": {}, "childNodes": [text]}
    html = {"type": 2, "tagName": "html", "id": 2, "attributes": {}, "childNodes": [body]}
    return {"type": 2, "timestamp": START // 10**6, "data": {"node": {"type": 0, "id": 1, "childNodes": [html]}}}


NAMES = ("alice", "bobby", "carol")


def needles(name: str) -> list[bytes]:
    return [name.encode(), bytes.fromhex(trace_id(name)), trace_id(name).encode(), f"only{name}word".encode()]


def fill(store: SqliteStore) -> None:
    for number, name in enumerate(NAMES):
        for one in everything_of(name, number):
            store.commit(one)
    settle(store)


def settle(store: SqliteStore) -> None:
    """Until full text and statistics have followed."""
    store.distill()
    for _ in range(100):
        store._writer.run(lambda: None).result()


def until_followed(store: SqliteStore) -> None:
    deadline = time.monotonic() + 20
    while any(store.lag()[:2]):
        assert time.monotonic() < deadline, store.lag()
        time.sleep(0.001)


def answers(store: SqliteStore, name: str) -> list[Any]:
    """All that can be asked about one person."""
    session, trace = f"session-{name}", trace_id(name)
    return [
        sorted(one.span.SerializeToString() for one in store.spans_of_session(1, session)),
        store.trace(1, trace),
        [one.record.SerializeToString() for one in store.logs_of_trace(1, trace)],
        store.session(1, session),
        store.traces_of_session(1, session),
        store.traces_of_conversation(1, f"conversation-{name}"),
        [one.payload for one in store.chunks(1, session, "tab")],
        store.dom_events(1, session, "tab"),
        store.search(1, f"only{name}word*", InteractionFilter(), limit=9).hits,
        [one.trace_id for one in store.search_traces(1, SpanFilter(operation=f"GET /{name}"), limit=9).traces],
        [one.session.session_id for one in store.sessions(1, SessionFilter(user=f"user-{name}"), limit=9).sessions],
        store.statistics(1, "user", InteractionFilter(user=f"user-{name}"), limit=9).total.interactions,
    ]


SUBJECTS = [Subject("session", "session-bobby"), Subject("user", "user-bobby")]


@pytest.mark.parametrize("vacuum", [True, False])
@pytest.mark.parametrize("is_compacted", [True, False])
@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.kind)
def test_no_byte_of_what_is_erased_is_left(
    store: SqliteStore, path: Path, subject: Subject, is_compacted: bool, vacuum: bool
) -> None:
    fill(store)
    if is_compacted:
        store.compact_now()
    assert {needle for needle, _ in places_of(path, needles("bobby"))} >= set(needles("bobby")[:2])
    before = {name: answers(store, name) for name in ("alice", "carol")}
    erased = store.privacy.erase(1, subject, vacuum=vacuum)
    assert places_of(path, needles("bobby")) == set()
    assert erased.scrubbed
    assert (erased.records, erased.chunks, erased.sessions) == (6, 1, 1)
    assert {name: answers(store, name) for name in ("alice", "carol")} == before
    assert [bool(one) for one in answers(store, "bobby")] == [False] * 12
    assert "bobby" not in str(store.operations(1, "api"))
    assert store.statistics(1, "model", InteractionFilter(), limit=9).total.interactions == 2
    assert store._rows("PRAGMA integrity_check", ()) == [("ok",)]
    with store._connections.snapshot() as connection:
        connection.execute("SELECT * FROM texts WHERE texts MATCH 'helpful'").fetchall()


def test_a_trace_goes_and_with_it_a_session_that_has_nothing_else(store: SqliteStore, path: Path) -> None:
    fill(store)
    store.commit(write(traces(span(1, {"session.id": "lonely-dave"}, trace=trace_id("dave")))))
    store.privacy.erase(1, Subject("trace", trace_id("dave")))
    assert places_of(path, [b"dave", bytes.fromhex(trace_id("dave"))]) == set()
    store.privacy.erase(1, Subject("trace", trace_id("bobby")))
    assert places_of(path, [bytes.fromhex(trace_id("bobby")), b"onlybobbyword", b"plain-bobby"]) == set()
    assert store.session(1, "session-bobby") is not None  # its recording is there


def test_what_others_say_too_is_found_where_they_said_it(store: SqliteStore) -> None:
    fill(store)
    assert [hit.trace_id for hit in found(store, "helpful")] == [trace_id("alice")]
    store.privacy.erase(1, Subject("session", "session-alice"))
    settle(store)
    assert [hit.trace_id for hit in found(store, "helpful")] == [trace_id("bobby")]
    store.commit(write(traces(span(7, said("erin", 9), trace=trace_id("erin"), start=START + 99))))
    settle(store)
    assert SHARED[:20] in str(store.trace(1, trace_id("erin")))
    assert [hit.trace_id for hit in found(store, "helpful")] == [trace_id("bobby")]


def found(store: SqliteStore, text: str) -> Any:
    return store.search(1, text, InteractionFilter(), limit=9).hits


@pytest.mark.parametrize("subject", [*SUBJECTS, Subject("trace", trace_id("bobby"))], ids=lambda subject: subject.kind)
def test_what_comes_late_is_acknowledged_and_not_stored(store: SqliteStore, path: Path, subject: Subject) -> None:
    fill(store)
    store.privacy.erase(1, subject)
    late = traces(
        span(4, {"note": "late-bobby"}, trace=trace_id("bobby")), span(5, said("carol", 7), trace=trace_id("carol"))
    )
    assert not store.commit(write(late)).duplicate
    if subject.kind == "session":
        receipt = store.commit(upload(1, payload(_page("bobby")), session="session-bobby"))
        assert receipt.chunks[0].duplicate
        store.commit(write(logs(log({"session.id": "session-bobby", "note": "late-bobby"}))))
    if subject.kind == "user":
        named = {"session.id": "session-new", "user.id": "user-bobby"}
        store.commit(write(traces(span(6, CHAT | named, trace=trace_id("new"), start=NOW - 1))))
    store._writer.run(lambda: None).result()
    if subject.kind != "trace":
        assert places_of(path, [b"bobby", bytes.fromhex(trace_id("bobby"))]) == set()
    assert len(store.spans_of_trace(1, trace_id("bobby"))) == 0
    assert store.tombstones.dropped == {"session": 3, "user": 2, "trace": 1}[subject.kind]
    assert found(store, "onlycarolword7") or any(store.lag())
    assert len(store.spans_of_trace(1, trace_id("carol"))) == 4


def test_a_user_may_come_back(store: SqliteStore) -> None:
    fill(store)
    store.privacy.erase(1, Subject("user", "user-bobby"))
    again = CHAT | {"session.id": "session-again", "user.id": "user-bobby"}
    store.commit(write(traces(span(6, again, trace=trace_id("again"), start=NOW + 1))))
    assert len(store.spans_of_session(1, "session-again")) == 1
    assert store.sessions(1, SessionFilter(user="user-bobby"), limit=9).total == 1


def test_a_tombstone_survives_a_restart_and_ends_after_a_week(path: Path) -> None:
    times = [NOW]
    for erase, stored in ((True, 0), (False, 0), (False, 1)):
        store = SqliteStore(path, clock=lambda: times[0])
        if erase:
            fill(store)
            store.privacy.erase(1, Subject("session", "session-bobby"))
        store.tombstones.forget_expired(times[0])
        store.commit(write(logs(log({"session.id": "session-bobby", "n": times[0]}))))
        assert len(store.logs_of_session(1, "session-bobby")) == stored
        store.close()
        times[0] += 8 * 86_400 * 10**9 if not erase else 0


def test_what_a_leaked_key_wrote_goes(store: SqliteStore, path: Path) -> None:
    for number, name in enumerate(NAMES):
        for one in everything_of(name, number):
            store.commit(replace(one, key_id=7 if name == "bobby" else number, quarantined=()))
    store.distill()
    store.compact_now()
    before = {name: answers(store, name) for name in ("alice", "carol")}
    erased = store.privacy.erase(1, Subject("key", "7"))
    assert (erased.records, erased.chunks) == (6, 1)
    assert {name: answers(store, name) for name in ("alice", "carol")} == before
    assert places_of(path, needles("bobby")) == set()
    store.commit(replace(write(traces(span(8, trace=trace_id("bobby")))), key_id=7))
    assert store.trace(1, trace_id("bobby")) == b""


def test_what_a_key_wrote_of_a_call_goes_and_the_call_stays(store: SqliteStore, path: Path) -> None:
    """The message came on the logs signal, from another sender than its span; so did an error of the session."""
    named, body, span_id = {"session.id": "session-dave"}, any_value("onlydaveword"), b"\1" * 8
    message = log(named, trace=trace_id("dave"), event_name="gen_ai.user.message", body=body, span_id=span_id)
    message.severity_number = SeverityNumber.SEVERITY_NUMBER_ERROR
    store.commit(replace(write(logs(message)), key_id=7))
    call = span(1, CHAT | named, trace=trace_id("dave"))
    call.span_id = span_id
    store.commit(write(traces(call)))
    until_followed(store)
    assert [hit.session_id for hit in found(store, "onlydaveword")] == ["session-dave"]
    assert [one.errors for one in store.sessions(1, SessionFilter(has_error=True), limit=9).sessions] == [1]
    erased = store.privacy.erase(1, Subject("key", "7"))
    assert (erased.records, erased.sessions, erased.contents) == (1, 0, 1)
    assert found(store, "onlydaveword") == []
    assert places_of(path, [b"onlydaveword"]) == set()
    assert store.statistics(1, "model", InteractionFilter(), limit=9).total.interactions == 1
    assert store.sessions(1, SessionFilter(has_error=True), limit=9).total == 0


def test_a_span_that_came_in_two_versions_goes(store: SqliteStore) -> None:
    for end in (START + 10, START + 20):
        store.commit(write(traces(span(1, said("dave", 1), trace=trace_id("dave"), end=end))))
    settle(store)
    assert store.privacy.erase(1, Subject("session", "session-dave")).records == 2
    assert store.session(1, "session-dave") is None


def test_another_project_with_the_same_ids_keeps_all(store: SqliteStore) -> None:
    fill(store)
    store.commit(write(traces(span(1, said("bobby", 1), trace=trace_id("bobby"))), project=2))
    before = store.trace(2, trace_id("bobby"))
    store.privacy.erase(1, Subject("user", "user-bobby"))
    assert store.trace(2, trace_id("bobby")) == before != b""
    assert store.sessions(2, SessionFilter(user="user-bobby"), limit=9).total == 1


def test_erasing_again_and_what_is_unknown_does_nothing(store: SqliteStore) -> None:
    fill(store)
    store.privacy.erase(1, SUBJECTS[0])
    assert store.privacy.erase(1, SUBJECTS[0]).records == 0
    assert store.privacy.erase(1, Subject("user", "nobody")).records == 0
    with pytest.raises(InvalidRequest, match="no trace id"):
        store.privacy.erase(1, Subject("trace", "xyz"))


def test_numbers_that_are_given_again_are_followed_again(store: SqliteStore) -> None:
    """The last content and the last row go, and what comes next takes their numbers."""
    fill(store)
    store.privacy.erase(1, Subject("session", "session-carol"))
    for name in ("frank", "grace"):
        for one in everything_of(name, 5):
            store.commit(one)
    settle(store)
    assert [len(found(store, f"only{name}word5")) for name in ("frank", "grace", "carol")] == [1, 1, 0]
    assert store.statistics(1, "model", InteractionFilter(), limit=9).total.interactions == 4


@pytest.mark.parametrize("pages", [1, 2, 40, 250])
def test_free_pages_are_overwritten_to_the_last_byte(store: SqliteStore, path: Path, pages: int) -> None:
    """Of whatever length: a blob of zeros that ends within a page would leave the rest of it as it was."""
    for length in (pages * 8188 - 3000, pages * 8188, pages * 8188 + 200):
        raw = b"very-secret-" * (length // 12)
        store.commit(replace(write(traces()), quarantined=[Quarantined(write(traces()).signal, "bad", raw)]))
    store._writer.run(lambda: store._database.conn.execute("DELETE FROM quarantine").close()).result()
    store.privacy.erase(1, Subject("session", "nobody"), vacuum=False)
    assert places_of(path, [b"ery-secret-v", b"-secret-ver"]) == set()
