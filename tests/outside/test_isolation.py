"""Two projects with equal ids in one file: neither reads, changes or learns of what the other has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import grpc
import pytest

from otel_replay._pb.v1 import replay_pb2
from otel_replay.access.scopes import ROUTES, RPCS, Kind
from otel_replay.model import Signal
from otel_replay.query.facts import QUESTIONS, Question, questions_document, read_answers
from otel_replay.store.base import InteractionFilter, SessionFilter, SpanFilter
from tests.outside.access import ask, bearer, cookies_of, make_key
from tests.outside.outside import JSON, METHODS, PROTOBUF, Outside, eventually, refusal, running
from tests.outside.telemetry import CHAT, custom, log, logs, page, span, traces

pytestmark = pytest.mark.feature("R6")

TRACE, SESSION, CONVERSATION = "ab" * 16, "s/1", "c1"
"""What both projects have."""
ONLY_TRACE, ONLY_SESSION, ONLY_CONVERSATION, ONLY_SERVICE = "cd" * 16, "only-a", "only-c", "only-service"
"""What the first one alone has."""
MARKS = ("amber", "birch")
"""A word that only the one, or the other, has in everything it sends."""


class Two(NamedTuple):
    receiver: Outside
    keys: tuple[str, str]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    with running(tmp_path_factory.mktemp("two") / "replay.db") as receiver:
        scopes = ("ingest", "read", "share", "admin")
        keys = [make_key(receiver, *scopes, project=mark) for mark in MARKS]
        for key, mark in zip(keys, MARKS, strict=True):
            fill(receiver, key, mark, TRACE, SESSION, CONVERSATION, "service")
        fill(receiver, keys[0], MARKS[0], ONLY_TRACE, ONLY_SESSION, ONLY_CONVERSATION, ONLY_SERVICE)
        found = Two(receiver, (keys[0], keys[1]))
        for key, mark in zip(keys, MARKS, strict=True):
            said = eventually(lambda: read(found, f"/api/v1/search?q={mark}&wait=5s", key), lambda one: one["hits"])  # noqa: B023
            assert said["hits"]
        yield found


def fill(receiver: Outside, key: str, mark: str, trace: str, session: str, conversation: str, service: str) -> None:
    """A call, a log record, and a recording, over every way in; the mark stands wherever text can stand."""
    said = json.dumps([{"role": "user", "parts": [{"type": "text", "content": f"about {mark}"}]}])
    attributes = {
        **CHAT,
        "session.id": session,
        "gen_ai.conversation.id": conversation,
        "user.id": f"user-{mark}",
        "feature": mark,
        "gen_ai.input.messages": said,
        "note": mark,
    }
    metadata = [("x-api-key", key)]
    spans = traces(span(trace, 1, name=f"chat {mark}", attributes=attributes), service=f"{service}-{mark}")
    records = logs(log(f"log of {mark}", trace_id=trace, attributes={"session.id": session}))
    for signal, request in ((Signal.TRACES, spans), (Signal.LOGS, records)):
        call: Any = receiver.channel.unary_unary(METHODS[signal])
        call(request.SerializeToString(), metadata=metadata, timeout=20)
    events = [*page(), custom(5, mark, word=mark)]
    answer = ask(receiver, "POST", f"/api/v1/sessions/{session}/events", key, json={"events": events, "seq": 0})
    assert answer.json()["duplicate"] is False, "an equal chunk of the other project is no duplicate"
    upload = replay_pb2.UploadChunkRequest(
        session_id=session, stream_id="grpc", events_json=json.dumps(events).encode()
    )
    assert not receiver.replay_service.UploadChunk(upload, metadata=metadata, timeout=20).duplicate


def read(two: Two, path: str, key: str) -> Any:
    answer = ask(two.receiver, "GET", path, key)
    assert answer.status_code == 200, (path, answer.text)
    return answer.json()


QUERIES = {
    "GET /api/v1/sessions": ["", "?q={mark}", "?user=user-{mark}"],
    "GET /api/v1/sessions/{id:any}/timeline": [SESSION],
    "GET /api/v1/sessions/{id:any}/recording": [SESSION],
    "GET /api/v1/conversations/{id:any}/timeline": [CONVERSATION],
    "GET /api/v1/traces": ["", "?attr=note={mark}"],
    "GET /api/v1/traces/{id}": [TRACE],
    "GET /api/v1/traces/{id}/timeline": [TRACE],
    "GET /api/v1/services": [""],
    "GET /api/v1/services/{id:any}/operations": ["service-{mark}"],
    "GET /api/v1/search": ["?q=about"],
    "GET /api/v1/stats": ["?by=feature", "?by=user", "?by=service"],
    "GET /api/v1/projects/{id}/sessions": ["1", "default", "{mark}"],
    "GET /api/v1/sessions/{id:any}": [SESSION],
    "GET /api/v1/sessions/{id:any}/events": [SESSION],
    "GET /api/session-replay/list": ["", "?userId=user-{mark}"],
    "GET /api/session-replay/{id:any}": [SESSION],
    "GET /api/session-replay/{id:any}/export": [SESSION],
}
"""Every route that reads, with an id that both projects have, or a question about all."""

THE_OTHER_S = {
    "GET /api/v1/sessions": ["?q={other}", "?user=user-{other}", "?feature={other}"],
    "GET /api/v1/sessions/{id:any}/timeline": [ONLY_SESSION],
    "GET /api/v1/sessions/{id:any}/recording": [ONLY_SESSION],
    "GET /api/v1/conversations/{id:any}/timeline": [ONLY_CONVERSATION],
    "GET /api/v1/traces": ["?attr=note={other}", "?service=service-{other}"],
    "GET /api/v1/traces/{id}": [ONLY_TRACE],
    "GET /api/v1/traces/{id}/timeline": [ONLY_TRACE],
    "GET /api/v1/services": [""],
    "GET /api/v1/services/{id:any}/operations": ["service-{other}", f"{ONLY_SERVICE}-{{other}}"],
    "GET /api/v1/search": ["?q={other}"],
    "GET /api/v1/stats": ["?by=feature&feature={other}", "?by=user&user=user-{other}"],
    "GET /api/v1/projects/{id}/sessions": ["1?user=user-{other}", "{other}?user=user-{other}"],
    "GET /api/v1/sessions/{id:any}": [ONLY_SESSION],
    "GET /api/v1/sessions/{id:any}/events": [ONLY_SESSION],
    "GET /api/session-replay/list": ["?userId=user-{other}", "?feature={other}"],
    "GET /api/session-replay/{id:any}": [ONLY_SESSION],
    "GET /api/session-replay/{id:any}/export": [ONLY_SESSION],
}
"""The same, with what only the other project has."""


def addresses(table: dict[str, list[str]], **words: str) -> list[str]:
    """Addresses of a table: what follows a route with an id is the id, else its query."""
    found = []
    for row, parts in table.items():
        path = row.removeprefix("GET ")
        for part in parts:
            word = part.format(**words)
            found.append(path.replace("{id:any}", word).replace("{id}", word) if "{" in path else path + word)
    return found


def test_every_query_is_asked() -> None:
    reading = {row for row, rule in ROUTES.items() if rule.scope == "read"}
    sums, same_as_get = "GET /api/session-replay/stats", "POST /api/session-replay/{id:any}/export"
    others = {sums, same_as_get, "POST /api/v1/facts"}
    assert set(QUERIES) | others == set(THE_OTHER_S) | others == reading
    assert {name.rsplit("/", 1)[1] for name, rule in RPCS.items() if rule.scope == "read"} == {
        "GetTimeline",
        "ListSessions",
        "GetRecording",
        "ServerReflectionInfo",
    }


@pytest.mark.parametrize("mine", [0, 1])
def test_answers_hold_what_is_one_s_own_and_nothing_else(two: Two, mine: int) -> None:
    mark, other = MARKS[mine], MARKS[1 - mine]
    for address in addresses(QUERIES, mark=mark):
        told = json.dumps(read(two, address, two.keys[mine]))
        assert mark in told, address
        assert other not in told, address


@pytest.mark.parametrize("mine", [0, 1])
def test_facts_are_of_one_s_own(two: Two, mine: int) -> None:
    mark, other = MARKS[mine], MARKS[1 - mine]
    sessions, stored = (SESSION, ONLY_SESSION), (TRACE, ONLY_TRACE)
    questions = [
        *(Question(name, (TRACE,)) for name in ("trace", "logs_of_trace", "sessions_of_trace")),
        *(Question(name, (SESSION,)) for name in ("logs_of_session", "traces_of_session", "traces_naming_session")),
        *(Question(name, (one,)) for name in ("stream_infos", "undistilled") for one in sessions),
        Question("traces_of_conversation", (CONVERSATION,)),
        Question("costs_of_traces", (stored,)),
        Question("chunk_part", (SESSION, "grpc", 0, 9)),
        *(Question(name, (SESSION, "grpc")) for name in ("damaged_chunks", "dom_events")),
        *(Question(name) for name in ("services", "waiting")),
        Question("operations", (f"service-{mark}",)),
        Question("listed_sessions", (SessionFilter(), 9, None)),
        Question("found_traces", (SpanFilter(), 9, None)),
        Question("found_texts", ("about", InteractionFilter(), 9, None)),
        Question("rows_of_sessions", (sessions,)),
        Question("rows_of_traces", (stored,)),
        *(Question(name, (InteractionFilter(), 9)) for name in ("traces_of_calls", "sessions_with_errors")),
        Question("rolled_up", ("feature", InteractionFilter(), 9)),
    ]
    assert {one.name for one in questions} == set(QUESTIONS)
    document = questions_document(questions)
    answer = ask(two.receiver, "POST", "/api/v1/facts", two.keys[mine], json=document)
    told = repr(read_answers(questions, answer.json()))
    assert mark in told
    assert other not in told
    assert (ONLY_TRACE in told, ONLY_SESSION in told) == (mine == 0, mine == 0)


def test_what_only_the_other_has_is_not_there(two: Two) -> None:
    """Not a word more is told than about what nobody has."""
    for address in addresses(THE_OTHER_S, other=MARKS[0]):
        answer = ask(two.receiver, "GET", address, two.keys[1])
        nobody = address.replace(ONLY_TRACE, "ef" * 16).replace("only-", "none-").replace(MARKS[0], "cedar")
        unknown = ask(two.receiver, "GET", nobody, two.keys[1])
        assert (answer.status_code, told_about(answer.text)) == (unknown.status_code, told_about(unknown.text)), address
        if answer.status_code == 200:
            found = {name: value for name, value in answer.json().items() if isinstance(value, list)}
            assert found in ({next(iter(found)): []}, {"services": [f"service-{MARKS[1]}"]}), address
        else:
            assert answer.status_code == 404, address


def test_sums_are_of_one_s_own(two: Two) -> None:
    """They hold no name that could tell whose they are."""
    path = "/api/session-replay/stats"
    found = [
        eventually(lambda: read(two, path, key), lambda one: one["totalInteractions"] == calls)  # noqa: B023
        for key, calls in zip(two.keys, (2, 1), strict=True)
    ]
    assert [(one["totalSessions"], one["totalInteractions"]) for one in found] == [(2, 2), (1, 1)]
    other = read(two, f"{path}?feature={MARKS[0]}", two.keys[1])
    assert (other["totalSessions"], other["totalInteractions"]) == (0, 0)


def told_about(text: str) -> str:
    """An answer without the names that were asked for."""
    return text.replace("ef" * 16, ONLY_TRACE).replace("none-", "only-").replace("cedar", MARKS[0])


def test_rpcs_answer_of_one_s_own(two: Two) -> None:
    stub = two.receiver.replay_service
    for mine in (0, 1):
        mark, other = MARKS[mine], MARKS[1 - mine]
        metadata = [*bearer(two.keys[mine]).items()]
        told = [
            stub.ListSessions(replay_pb2.ListSessionsRequest(), metadata=metadata).sessions_json,
            *(
                stub.GetTimeline(replay_pb2.GetTimelineRequest(**asked), metadata=metadata).timeline_json
                for asked in ({"trace_id": TRACE}, {"session_id": SESSION}, {"conversation_id": CONVERSATION})
            ),
            b"".join(
                part.events_json
                for part in stub.GetRecording(replay_pb2.GetRecordingRequest(session_id=SESSION), metadata=metadata)
            ).decode(),
        ]
        assert [mark in one for one in told] == [True] * 5
        assert [other in one for one in told] == [False] * 5
    for asked in ({"trace_id": ONLY_TRACE}, {"session_id": ONLY_SESSION}, {"conversation_id": ONLY_CONVERSATION}):
        request = replay_pb2.GetTimelineRequest(**asked)
        assert refusal(lambda: stub.GetTimeline(request, metadata=metadata)).code is grpc.StatusCode.NOT_FOUND  # noqa: B023
    only = replay_pb2.GetRecordingRequest(session_id=ONLY_SESSION)
    assert refusal(lambda: next(stub.GetRecording(only, metadata=metadata))).code is grpc.StatusCode.NOT_FOUND


def test_the_default_project_has_none_of_it(two: Two) -> None:
    key = make_key(two.receiver, "read")
    assert read(two, "/api/v1/sessions", key)["total"] == 0
    assert read(two, "/api/v1/services", key) == {"services": []}
    assert ask(two.receiver, "GET", f"/api/v1/traces/{TRACE}", key).status_code == 404


def test_equal_requests_and_chunks_are_stored_for_each(two: Two) -> None:
    """Knowing of a duplicate would tell that the other sent the same."""
    body = traces(span("12" * 16, 1)).SerializeToString()
    for key in two.keys:
        headers = {"content-type": PROTOBUF}
        assert ask(two.receiver, "POST", "/v1/traces", key, data=body, headers=headers).status_code == 200
        assert ask(two.receiver, "GET", f"/api/v1/traces/{'12' * 16}", key).status_code == 200
    for key in two.keys:
        answer = ask(two.receiver, "POST", "/api/v1/sessions/both/events", key, json={"events": page(9)})
        assert answer.json() == {"session_id": "both", "stream_id": "main", "seq": 0, "duplicate": False}


def test_keys_and_shares_of_the_other_are_not_there(two: Two) -> None:
    mine, theirs = two.keys[1], two.keys[0]
    made = ask(two.receiver, "POST", f"/api/v1/traces/{TRACE}/share", theirs, json={}).json()
    assert ask(two.receiver, "GET", "/api/v1/shares", mine).json() == {"shares": []}
    assert ask(two.receiver, "DELETE", f"/api/v1/shares/{made['id']}", mine).status_code == 404
    for path in (f"/api/v1/sessions/{ONLY_SESSION}/share", f"/api/v1/traces/{ONLY_TRACE}/share"):
        assert ask(two.receiver, "POST", path, mine, json={}).status_code == 404
    keys = ask(two.receiver, "GET", "/api/v1/keys", mine).json()["keys"]
    assert {key["project"] for key in keys} == {MARKS[1]}
    their_id = theirs[5:13]
    assert ask(two.receiver, "DELETE", f"/api/v1/keys/{their_id}", mine).status_code == 404
    assert ask(two.receiver, "POST", f"/api/v1/keys/{their_id}/rotate", mine, json={}).status_code == 404
    for path in ("/api/v1/keys", "/api/v1/links"):
        given = {"project": MARKS[0], **({"name": "k", "scopes": ["read"]} if path.endswith("keys") else {})}
        assert ask(two.receiver, "POST", path, mine, json=given).status_code == 403
    assert ask(two.receiver, "GET", "/api/v1/sessions", theirs).status_code == 200


def test_a_share_shows_the_project_s_own(two: Two) -> None:
    for mine, key in enumerate(two.keys):
        made = ask(two.receiver, "POST", f"/api/v1/sessions/{SESSION}/share", key, json={}).json()
        visit = ask(two.receiver, "GET", made["path"])
        told = ask(two.receiver, "GET", f"/api/v1/sessions/{SESSION}/timeline", cookies=cookies_of(visit)).text
        assert (MARKS[mine] in told, MARKS[1 - mine] in told) == (True, False)
    assert made["session_id"] == SESSION
    assert Kind.SESSION in ROUTES["GET /api/v1/sessions/{id:any}/timeline"]


def test_a_refused_body_tells_nothing_either(two: Two) -> None:
    key = make_key(two.receiver, "read", project=MARKS[1])
    headers = {"content-type": JSON}
    assert ask(two.receiver, "POST", "/v1/traces", key, data="{}", headers=headers).status_code == 403
