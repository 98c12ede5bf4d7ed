"""Sessions: folded from everything that names them, listed, filtered, paged, and their edges to traces."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_replay.model import Session
from otel_replay.store.base import Reader, SessionFilter, SessionSummary, Write
from tests.store.conftest import Backend, Opening, memory, sqlite
from tests.store.requests import (
    CHAT,
    CLICK,
    ERROR,
    OTHER_TRACE,
    START,
    START_MS,
    TRACE,
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

EVERYTHING = SessionFilter()


def ids(reader: Reader, wanted: SessionFilter = EVERYTHING, project: int = 1) -> list[str]:
    return [one.session.session_id for one in reader.sessions(project, wanted, limit=100).sessions]


def summary(reader: Reader, session_id: str = "s1") -> SessionSummary:
    (found,) = [
        one for one in reader.sessions(1, EVERYTHING, limit=100).sessions if one.session.session_id == session_id
    ]
    return found


def custom(tag: str, told: Any, second: int = 0) -> dict[str, Any]:
    return {"type": 5, "timestamp": START_MS + second * 1000, "data": {"tag": tag, "payload": told}}


def test_every_signal_and_every_recording_makes_a_session(backend: Backend) -> None:
    backend.commit(
        write(traces(span(1, {"session.id": "span"}))),
        write(traces(span(2), resource={"browser.session.id": "resource"})),
        write(logs(log({"splunk.rumSessionId": "log"}))),
        write(metrics(1, resource={"session.id": "metric"})),
        upload(0, payload(click_event(1)), session="recording"),
        write(traces(span(3))),
    )
    assert sorted(ids(backend.reader)) == ["log", "metric", "recording", "resource", "span"]


def test_a_session_lasts_from_the_first_to_the_last_thing_that_names_it(backend: Backend) -> None:
    backend.commit(
        write(traces(span(1, {"session.id": "s1"}, start=START + 5, end=START + 6))),
        write(traces(span(2, {"session.id": "s1"}, start=START, end=START + 1))),
        write(logs(log({"session.id": "s1"}, time=START + 9))),
    )
    session = backend.reader.session(1, "s1")
    assert session == Session(1, "s1", START, START + 9, "active", {})


def test_what_is_told_of_a_session(backend: Backend) -> None:
    told = {"session.id": "s1", "enduser.id": "ada", "feature": "chat", "label": "beta", "variant": "b", "other": "no"}
    backend.commit(
        write(traces(span(1, told | CHAT), resource={"service.name": "shop"})),
        write(traces(span(2, {"session.id": "s1", "label": "plain spans do not tell"}, end=START + 99))),
        upload(0, payload(custom("otel.session", {"attributes": {"session.name": "first"}}))),
    )
    session = backend.reader.session(1, "s1")
    assert session is not None
    assert session.attributes == {
        "user.id": "ada",
        "feature": "chat",
        "label": "beta",
        "variant": "b",
        "service.name": "shop",
        "session.name": "first",
    }


def test_session_events_tell_its_state_in_any_order(backend: Backend) -> None:
    start, pause, end = (
        write(logs(log({"session.id": "s1"}, time=START + second, event_name=f"session.{name}")))
        for second, name in enumerate(("start", "pause", "end"))
    )
    states = []
    for event in (pause, start, end):
        backend.commit(event)
        session = backend.reader.session(1, "s1")
        states.append(session and session.state)
    assert states == ["paused", "paused", "ended"]
    assert backend.reader.session(1, "s1") == summary(backend.reader).session


def test_attributes_of_a_session_event_may_be_of_any_type(backend: Backend) -> None:
    odd: dict[str, Any] = {"session.id": "s1", "user.id": b"\xff", "label": ["a"], "feature": 7, "variant": 0.5}
    backend.commit(write(logs(log(odd, event_name="session.start"))))
    session = backend.reader.session(1, "s1")
    assert session is not None
    assert session.attributes == {"feature": 7, "variant": 0.5}
    assert ids(backend.reader, SessionFilter(feature="7")) == ["s1"]


def test_a_recording_may_tell_what_utf_8_cannot_hold(backend: Backend) -> None:
    """JSON escapes may name half a surrogate pair."""
    said = b'[{"type":5,"timestamp":1763600000123,"data":{"tag":"otel.session","payload":{"user.id":"a\\ud800"}}}]'
    backend.commit(upload(0, said))
    backend.store.distill()
    assert ids(backend.reader) == ["s1"]
    assert [chunk.payload for chunk in backend.reader.chunks(1, "s1", "tab")] == [said]
    assert len(backend.reader.dom_events(1, "s1", "tab")) == 1


def test_filters(backend: Backend) -> None:
    people = {"s1": ("ada", "chat", "x"), "s2": ("ada", "search", "y"), "s3": ("bob", "chat", "y")}
    for second, (session, (user, feature, label)) in enumerate(people.items()):
        told = {"session.id": session, "user.id": user, "feature": feature, "label": label, **CHAT}
        backend.commit(write(traces(span(second + 1, told, start=START + second))))
    backend.commit(write(traces(span(9, {"session.id": "nobody"}, start=START + 9))))

    def found(**wanted: Any) -> list[str]:
        page = backend.reader.sessions(1, SessionFilter(**wanted), limit=100)
        assert page.total == len(page.sessions)
        return [one.session.session_id for one in page.sessions]

    assert found() == ["nobody", "s3", "s2", "s1"]
    assert found(user="ada") == ["s2", "s1"]
    assert found(feature="chat") == ["s3", "s1"]
    assert found(label="y", user="ada") == ["s2"]
    assert found(since_unix_nano=START + 1, until_unix_nano=START + 9) == ["s3", "s2"]
    assert found(user="None") == found(label="' OR 1=1 --") == []


def test_filters_that_ask_the_ai_spans(backend: Backend) -> None:
    web = {"service.name": "web"}
    backend.commit(
        write(traces(span(1, CHAT | {"session.id": "s1"}, start=START), resource=web)),
        write(
            traces(span(2, CHAT | {"session.id": "s2", "gen_ai.response.model": "m2"}, start=START + 1), resource={})
        ),
        write(traces(span(3, CHAT | {"session.id": "s3", "user.id": "ada"}, start=START + 2, status=ERROR))),
        write(traces(span(4, {"session.id": "s4"}, start=START + 3, status=ERROR), resource=web)),
        write(logs(log({"session.id": "s1"}, time=START + 4, event_name="session.end"))),
    )

    def found(**wanted: Any) -> list[str]:
        page = backend.reader.sessions(1, SessionFilter(**wanted), limit=100)
        assert (page.total, page.total_at_least) == (len(page.sessions), False)
        return [one.session.session_id for one in page.sessions]

    assert found(service="web") == ["s1"]
    assert found(model="m1") == ["s3", "s2", "s1"]
    assert found(model="m2") == ["s2"]
    assert found(has_error=True) == ["s4", "s3"]
    assert found(has_error=False) == ["s2", "s1"]
    assert found(state="ended") == ["s1"]
    assert found(state="active") == ["s4", "s3", "s2"]
    assert found(state="paused") == found(service="api", model="m2") == []
    assert found(model="m1", has_error=True, user="ada", state="active") == ["s3"]
    assert found(model="m1", has_error=False, until_unix_nano=START + 1) == ["s1"]
    assert ids(backend.reader, SessionFilter(model="m1"), project=2) == []


def test_filters_follow_versions_and_earlier_starts(backend: Backend) -> None:
    """A session is listed by the spans that count, at the start that it has come to have."""
    failed = span(1, CHAT | {"session.id": "s1", "user.id": "ada", "feature": "x"}, start=START + 50, status=ERROR)
    ended = span(1, {**CHAT, "gen_ai.request.model": "m2", "session.id": "s1"}, start=START + 50, end=START + 99)
    moved = span(2, CHAT | {"session.id": "s2"}, start=START + 40, end=START + 41)
    elsewhere = span(2, CHAT | {"session.id": "s3"}, start=START + 40, end=START + 60)
    backend.commit(
        write(traces(failed, moved)),
        write(traces(ended, elsewhere)),
        write(traces(failed)),
        write(traces(span(9, {"session.id": "s1"}, start=START))),
    )
    assert ids(backend.reader, SessionFilter(model="m2")) == ["s1"]
    assert ids(backend.reader, SessionFilter(model="m1")) == ["s3"]
    assert ids(backend.reader, SessionFilter(has_error=True)) == []
    assert ids(backend.reader, SessionFilter(service="api")) == ["s3", "s1"]
    for wanted in ({"model": "m2"}, {"user": "ada"}, {"feature": "x"}, {"service": "api"}):
        early = SessionFilter(**wanted, until_unix_nano=START + 1)  # type: ignore[arg-type]
        assert ids(backend.reader, early) == ["s1"], wanted
    assert backend.reader.sessions_of_trace(1, TRACE) == ["s1", "s2", "s3"]
    assert summary(backend.reader, "s2").traces == 1


def test_pages_by_number(backend: Backend) -> None:
    backend.commit(write(traces(*(span(n, {"session.id": f"s{n}"}, start=START + n) for n in range(1, 6)))))
    pages = [backend.reader.sessions(1, EVERYTHING, limit=2, skip=skip) for skip in (0, 2, 4, 6)]
    assert [[one.session.session_id for one in page.sessions] for page in pages] == [
        ["s5", "s4"],
        ["s3", "s2"],
        ["s1"],
        [],
    ]
    assert [page.total for page in pages] == [5] * 4
    assert [page.next_position for page in pages] == [(START + 4, "s4"), (START + 2, "s2"), None, None]


def test_session_ids_of_hexadecimal_digits_are_texts_like_others(backend: Backend) -> None:
    """Most are 16 bytes in disguise, and stored as such; sorted they are as the texts that they are."""
    names = ["0" * 32, "f" * 32, "F" * 32, "ab " * 10 + "ab", "a", "g" * 32, "0" * 31, "9" * 33]
    backend.commit(write(traces(*(span(n, CHAT | {"session.id": name}) for n, name in enumerate(names, 1)))))
    assert ids(backend.reader) == sorted(names, reverse=True)
    assert ids(backend.reader, SessionFilter(model="m1")) == sorted(names, reverse=True)
    page = backend.reader.sessions(1, EVERYTHING, limit=9, after=(START, "a"))
    assert [one.session.session_id for one in page.sessions] == sorted(
        filter(lambda name: name < "a", names), reverse=True
    )
    assert all(backend.reader.traces_of_session(1, name) == [TRACE] for name in names)
    assert backend.reader.sessions_of_trace(1, TRACE) == sorted(names)
    assert backend.reader.session(1, "F" * 32) != backend.reader.session(1, "f" * 32)


def test_pages_follow_each_other_without_gaps_or_repeats(backend: Backend) -> None:
    """Three sessions start at each time, so that a page may end between two of them."""
    sessions = [(START + number // 3, f"s{number:02}") for number in range(20)]
    for number, (start, session) in enumerate(sessions, start=1):
        told = {"session.id": session, "user.id": "ada" if number % 4 else "bob", **CHAT}
        backend.commit(write(traces(span(number, told, start=start))))
    for wanted, expected in ((EVERYTHING, sessions), (SessionFilter(user="bob"), sessions[3::4])):
        for limit in (1, 2, 7, 20):
            seen: list[tuple[int, str]] = []
            after, pages = None, 0
            while pages == 0 or after:
                page = backend.reader.sessions(1, wanted, limit=limit, after=after)
                seen += [(one.session.start_unix_nano, one.session.session_id) for one in page.sessions]
                assert len(page.sessions) <= limit
                assert page.total == len(expected)
                after, pages = page.next_position, pages + 1
            assert seen == sorted(expected, reverse=True)
            assert pages == -(-len(expected) // limit)


def test_what_a_list_says_of_a_session(backend: Backend) -> None:
    tool = {"gen_ai.operation.name": "execute_tool", "session.id": "s1", "gen_ai.usage.input_tokens": 1000}
    chat = {**CHAT, "session.id": "s1", "gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 3}
    backend.commit(
        write(traces(span(1, chat | {"gen_ai.response.model": "m1,with a comma"}, status=ERROR))),
        write(traces(span(2, chat | {"gen_ai.usage.input_tokens": 2**53 - 11}))),
        write(traces(span(3, tool), span(4, CLICK | {"session.id": "s1"}, trace=OTHER_TRACE))),
        write(traces(span(1, chat | {"gen_ai.usage.input_tokens": 99}, end=START))),
        upload(0, payload(click_event(1))),
    )
    found = summary(backend.reader)
    assert (found.interactions, found.actions, found.errors, found.traces) == (2, 1, 1, 2)
    assert found.has_recording
    assert found.models == ["m1", "m1,with a comma"]
    assert found.tokens == (2**53 - 1, 6)
    backend.commit(write(traces(span(5, {"session.id": "s2"}))))
    empty = summary(backend.reader, "s2")
    assert empty[1:] == (0, 0, 0, 0, False, [], (0, 0))


def test_edges_between_sessions_and_traces(backend: Backend) -> None:
    link = custom("otel.fetch", {"trace_id": OTHER_TRACE, "span_id": "0" * 15 + "1"})
    backend.commit(
        write(traces(span(1, CHAT | {"session.id": "s1"}), span(2, CLICK | {"session.id": "s2"}))),
        write(logs(log({"session.id": "s3"}, trace=TRACE), log({"session.id": "s4"}))),
        upload(0, payload(link), session="s1"),
    )
    assert backend.reader.sessions_of_trace(1, TRACE) == ["s1", "s2", "s3"]
    assert backend.reader.sessions_of_trace(1, OTHER_TRACE) == ["s1"]
    assert backend.reader.traces_of_session(1, "s1") == sorted([TRACE, OTHER_TRACE])
    assert backend.reader.traces_of_session(1, "s4") == []


def test_a_conversation_holds_traces(backend: Backend) -> None:
    talk = CHAT | {"gen_ai.conversation.id": "c1"}
    backend.commit(
        write(traces(span(1, talk), span(2, talk), span(3, CHAT | {"gen_ai.conversation.id": "c2"}))),
        write(traces(span(4, talk, trace=OTHER_TRACE))),
    )
    assert backend.reader.traces_of_conversation(1, "c1") == sorted([TRACE, OTHER_TRACE])
    assert backend.reader.traces_of_conversation(1, "c2") == [TRACE]
    assert backend.reader.traces_of_conversation(1, "") == []


TOLD = st.fixed_dictionaries(
    {},
    optional={
        "user.id": st.sampled_from(["ada", "bob", "None", "é"]),
        "feature": st.sampled_from(["chat", "search", 7, True]),
        "label": st.sampled_from(["x", "y"]),
    },
)
TIMES = st.sampled_from([START, START + 1, START + 2])


def ai_span(told: dict[str, Any], end: int) -> Write:
    return write(traces(span(end - START + 1, {**CHAT, **told, "session.id": "s1"}, end=end)))


def session_event(told: dict[str, Any], time: int, name: str) -> Write:
    return write(logs(log({**told, "session.id": "s1"}, time=time, event_name=name)))


def announcement(told: dict[str, Any], time: int) -> Write:
    return upload(time - START, payload(custom("otel.session", told, time - START)))


EVENTS = st.sampled_from(["session.start", "session.resume", "session.pause", "session.end"])
MENTIONS = st.one_of(
    st.builds(ai_span, TOLD, TIMES),
    st.builds(session_event, TOLD, TIMES, EVENTS),
    st.builds(announcement, TOLD, TIMES),
)


def folded(open_backend: Opening, mentions: Sequence[Write]) -> Session | None:
    with tempfile.TemporaryDirectory() as directory, open_backend(Path(directory)) as backend:
        backend.commit(*mentions)
        return backend.reader.session(1, "s1")


@pytest.mark.parametrize("open_backend", [memory, sqlite], ids=lambda one: one.__name__)
@given(data=st.data())
def test_the_fold_does_not_depend_on_the_order(open_backend: Opening, data: st.DataObject) -> None:
    mentions = data.draw(st.lists(MENTIONS, min_size=2, max_size=6))
    expected = folded(memory, mentions)
    assert expected is not None
    assert folded(open_backend, data.draw(st.permutations(mentions))) == expected
