"""Several receivers as one: what is spread over them answers as if one had it all."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

import otel_replay
from otel_replay._pb.v1 import replay_pb2
from otel_replay.errors import NotFound
from otel_replay.query import merged_statistics
from otel_replay.store.base import STATISTICS_GROUPS
from tests.e2e.processes import Program
from tests.outside.access import ask, make_key
from tests.outside.outside import JSON, PROTOBUF, Outside, answered, command, eventually, running
from tests.outside.spread import CONVERSATIONS, SESSIONS, TRACES, WORDS, items
from tests.outside.telemetry import CHAT, MS, click, page, span, span_id, traces
from tests.outside.two import TRACE, Two, nobody, send, two, visit, waiting
from tests.recording.pages import START_MS

__all__ = ["two"]  # a fixture
pytestmark = [pytest.mark.slow, pytest.mark.feature("C4")]


# What is spread


@pytest.mark.feature("C7")
@pytest.mark.feature("X4")
@pytest.mark.feature("X10")
@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_spread_at_random_answers_as_one_receiver_that_has_all(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    with ExitStack() as stack:
        whole, first, second = (stack.enter_context(running(tmp_path / f"{name}.db")) for name in "wab")
        front = stack.enter_context(running(tmp_path / "front.db", upstreams=(first.url, second.url)))
        for item in items(rng):
            item(whole)
            for receiver in rng.sample((first, second, front), rng.choice((1, 1, 1, 2, 3))):
                item(receiver)
        for receiver in (whole, first, second, front):
            assert not eventually(lambda at=receiver: waiting(at), lambda lag: not lag)  # type: ignore[misc]
        for path, told in questions():
            assert comparable(front.get(path, **told)) == comparable(whole.get(path, **told)), (path, told)
        compare_lists(whole, front)
        compare_pieces(whole, front)
        compare_statistics(whole, front)
        compare_without_a_front(whole, [first.url, second.url, front.url])


def questions() -> Iterator[tuple[str, dict[str, Any]]]:
    """Documents that have to be equal."""
    for session in SESSIONS:
        yield f"/api/v1/sessions/{session}/timeline", {}
        yield f"/api/v1/sessions/{session}", {}
        yield f"/api/v1/sessions/{session}/recording", {}
        yield f"/api/session-replay/{session}", {}
    for trace in TRACES:
        yield f"/api/v1/traces/{trace}/timeline", {}
    for conversation in CONVERSATIONS:
        yield f"/api/v1/conversations/{conversation}/timeline", {}
    yield "/api/v1/services", {}
    yield "/api/v1/services/api/operations", {}


def comparable(answer: Any) -> tuple[int, Any]:
    found = answer.json()
    return answer.status_code, found.pop("missing", []) or found if answer.status_code == 200 else found


FILTERS: tuple[dict[str, Any], ...] = (
    {},
    {"user": "ada"},
    {"user": "bob", "feature": "chat"},
    {"label": "a", "has_error": "true"},
    {"has_error": "false"},
    {"model": "gpt-4o"},
    {"service": "worker", "user": "ada"},
    {"state": "active"},
    {"since": str((START_MS + 1_000) * 10**6)},
    {"until": str((START_MS + 2_000) * 10**6)},
    {"feature": "search", "until": str((START_MS + 2_000) * 10**6)},
    {"q": WORDS[0]},
)


TRACE_FILTERS: tuple[dict[str, Any], ...] = (
    {},
    {"service": "api"},
    {"attr": "http.route=/cart"},
    {"status": "error"},
    {"min_duration": "15ms", "max_duration": "25ms"},
    {"operation": "step 2"},
    {"until": str((START_MS + 2_000) * 10**6)},
)

SEARCHES: tuple[dict[str, Any], ...] = (
    *({"q": word} for word in WORDS),
    {"q": "ref*"},
    {"q": '"invoice 01"'},
    {"q": WORDS[0], "user": "ada"},
    {"q": WORDS[1], "label": "a"},
    {"q": WORDS[2], "model": "gpt-4o"},
    {"q": WORDS[3], "session": "s1"},
)


def compare_lists(whole: Outside, front: Outside) -> None:
    for told in FILTERS:
        path = "/api/v1/sessions"
        wanted = whole.document(path, **told)
        assert front.document(path, **told) == {**wanted, "missing": []}, told
        for limit in (1, 2):
            assert paged(front, path, "sessions", limit=limit, **told) == wanted["sessions"], told
    for told in TRACE_FILTERS:
        traces_of_one = whole.document("/api/v1/traces", **told)["traces"]
        assert paged(front, "/api/v1/traces", "traces", limit=2, **told) == traces_of_one, told
    for told in SEARCHES:
        hits = paged(whole, "/api/v1/search", "hits", wait="10s", **told)
        found = paged(front, "/api/v1/search", "hits", limit=2, **told)
        if "user" in told or "session" in told:  # where that is known only of the trace, and at another receiver
            hits = [hit for hit in hits if hit in found or names_itself(whole, hit)]
        assert by_place(found) == by_place(hits), told


def names_itself(whole: Outside, hit: dict[str, Any]) -> bool:
    """Whether a call names its session; else it has that of its trace."""
    spans = TracesData.FromString(whole.get(f"/api/v1/traces/{hit['trace_id']}", PROTOBUF).content)
    (found,) = (
        one
        for group in spans.resource_spans
        for scope in group.scope_spans
        for one in scope.spans
        if one.span_id.hex() == hit["span_id"]
    )
    return any(attribute.key == "session.id" for attribute in found.attributes)


def by_place(hits: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Texts of one moment may change places."""
    return sorted(hits, key=lambda hit: (hit["start_unix_nano"], hit["snippet"]))


def paged(receiver: Outside, path: str, name: str, **told: Any) -> list[dict[str, Any]]:
    """All pages of a list."""
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = receiver.document(path, **told, **({"cursor": cursor} if cursor else {}))
        found += page[name]
        cursor = page["next_cursor"]
        if cursor is None:
            return found


def compare_pieces(whole: Outside, front: Outside) -> None:
    """Pages by number, and parts of timelines."""
    for number in (1, 2, 3):
        asked = {"limit": 2, "page": number}
        wanted = whole.document("/api/v1/sessions", **asked)["sessions"]
        assert front.document("/api/v1/sessions", **asked)["sessions"] == wanted, number
    for trace in TRACES:
        path = f"/api/v1/traces/{trace}/timeline"
        around = {"around": f"{trace}:{span_id(1)}", "window": "100ms"}
        for told in ({"kinds": "interaction,agent,dom"}, around):
            assert front.document(path, **told) == {**whole.document(path, **told), "missing": []}, (trace, told)
        assert paged(front, path, "entries", limit=3) == paged(whole, path, "entries", limit=3), trace


def compare_without_a_front(whole: Outside, urls: list[str]) -> None:
    """All three by who asks."""
    one, several = otel_replay.open(whole.url), otel_replay.open(urls)
    try:
        for trace in TRACES:
            assert spans_of(several.trace(trace)) == spans_of(one.trace(trace))
        for session in SESSIONS:
            assert downloaded(several, session) == downloaded(one, session)
        assert several.operations("worker") == one.operations("worker")
        assert several.sessions(user="ada") == {**one.sessions(user="ada"), "missing": []}
        assert several.traces(min_duration_ns=15 * MS) == {**one.traces(min_duration_ns=15 * MS), "missing": []}
    finally:
        one.close()
        several.close()


def downloaded(replay: Any, session: str) -> Any:
    try:
        return replay.recordings.download(session)
    except NotFound:
        return None


def spans_of(data: bytes) -> list[bytes]:
    found = TracesData.FromString(data).resource_spans
    return sorted(one.SerializeToString() for group in found for scope in group.scope_spans for one in scope.spans)


def compare_statistics(whole: Outside, front: Outside) -> None:
    for by in STATISTICS_GROUPS:
        for told in ({}, {"user": "ada"}, {"session": "s1"}, {"label": "a"}, {"model": "gpt-4o"}):
            one = whole.document("/api/v1/stats", by=by, wait="10s", **told)
            several = front.document("/api/v1/stats", by=by, **told)
            assert several.pop("missing") == []
            assert counts_of(several) == counts_of(one), (by, told)
            for line, wanted in zip(lines_of(several), lines_of(one), strict=True):
                close(line["latency_ns"], wanted["latency_ns"])


def lines_of(table: dict[str, Any]) -> list[dict[str, Any]]:
    return [table["total"], *sorted(table["groups"], key=lambda line: line["group"])]


def counts_of(table: dict[str, Any]) -> list[dict[str, Any]]:
    """What is counted; times of roll-ups are within 1 %, and not all of them tell a duration."""
    times = {"latency_ns", "time_to_first_token_ns", "duration_ns"}
    return [{name: value for name, value in line.items() if name not in times} for line in lines_of(table)]


def close(found: Mapping[str, str] | None, wanted: Mapping[str, str] | None) -> None:
    assert (found is None) == (wanted is None)
    for name in found or {}:
        assert int((found or {})[name]) == pytest.approx(int((wanted or {})[name]), rel=0.01)


@pytest.mark.feature("X10")
def test_a_click_at_one_and_the_call_at_the_other_are_linked_and_count_once(two: Two) -> None:
    visit(two)
    for found in (two.front.timeline("/api/v1/sessions/s1/timeline"), opened(two, "s1")):
        by_title = {entry["title"]: entry for entry in found["entries"]}
        assert list(by_title)[-2:] == ["span 20", "chat gpt-4o-mini"]
        (linked,) = [entry for entry in found["entries"] if entry["id"] == "dom:main:1:1000"]
        assert [(link["target"], link["basis"]) for link in linked["links"]] == [(by_title["span 20"]["id"], "exact")]
        assert (found["interactions"], found["tokens"]["input"], found["tokens"]["output"]) == (1, 12, 34)
        assert found["gaps"] == []
    listed = two.front.document("/api/v1/sessions")["sessions"]
    assert [(one["session_id"], one["user"], one["interactions"], one["tokens"]) for one in listed] == [
        ("s1", "ada", 1, {"input": 12, "output": 34})
    ]
    total = two.front.document("/api/v1/stats", wait="10s")["total"]
    assert (total["interactions"], total["tokens"]["input"]) == (1, 12)
    data = two.front.document(f"/api/v1/traces/{TRACE}")
    ids = [one["spanId"] for group in data["resourceSpans"] for scope in group["scopeSpans"] for one in scope["spans"]]
    assert sorted(ids) == [span_id(20), span_id(30)]


def opened(two: Two, session: str) -> dict[str, Any]:
    replay = otel_replay.open(two.urls)
    try:
        return replay.timeline(session_id=session).to_dict()
    finally:
        replay.close()


@pytest.mark.feature("X4")
def test_a_recording_over_two_receivers_has_only_the_gaps_of_both(two: Two) -> None:
    for seq in (0, 1, 3, 5):
        (two.first, two.second)[seq % 2].upload("gaps", page(seq * 100), seq=seq)
    two.first.upload("gaps", page(500), seq=5)
    (stream,) = two.front.document("/api/v1/sessions/gaps/recording")["streams"]
    assert (stream["from_seq"], stream["to_seq"]) == (0, 5)
    assert [(gap["after_seq"], gap["missing"], gap["resumes_at"]) for gap in stream["gaps"]] == [(1, 1, 3), (3, 1, 5)]
    assert stream["events"] == [event for seq in (0, 1, 3, 5) for event in page(seq * 100)]
    parts_of = two.front.replay_service.GetRecording(replay_pb2.GetRecordingRequest(session_id="gaps"))
    assert [event for part in parts_of for event in json.loads(part.events_json)] == stream["events"]


def test_chunks_without_numbers_at_both_all_play_in_the_order_of_their_times(two: Two) -> None:
    for number in range(4):
        (two.first, two.second)[number % 2].upload("loose", page() if number == 0 else [click(number * 10)])
    found = two.front.document("/api/v1/sessions/loose/events")["events"]
    assert found == [*page(), click(10), click(20), click(30)]


def test_over_grpc(two: Two) -> None:
    visit(two)
    listed = json.loads(two.front.replay_service.ListSessions(replay_pb2.ListSessionsRequest()).sessions_json)
    assert [one["session_id"] for one in listed["sessions"]] == ["s1"]
    asked = replay_pb2.GetTimelineRequest(trace_id=TRACE)
    timeline = json.loads(two.front.replay_service.GetTimeline(asked).timeline_json)
    assert (timeline["interactions"], timeline["sessions"]) == (1, ["s1"])


def test_what_a_front_gets_itself_it_stores_itself(two: Two) -> None:
    send(two.front, span(TRACE, 1, attributes={"session.id": "own", **CHAT}))
    send(two.first, span(TRACE, 2, 1, attributes=CHAT))
    assert two.front.document(f"/api/v1/traces/{TRACE}/timeline")["interactions"] == 1
    assert two.first.get("/api/v1/sessions/own").status_code == 404
    assert two.front.document("/api/v1/sessions/own")["interactions"] == 1


# The command line and the program


def test_the_command_line_asks_several(two: Two) -> None:
    visit(two)
    places = [word for url in two.urls for word in ("--url", url)]
    found = answered(command("timeline", TRACE, *places, "--format", "json"))
    assert found["interactions"] == 1
    spaced = {"OTEL_REPLAY_URL": " ".join(two.urls)}
    assert answered(command("sessions", "--format", "json", **spaced))["sessions"][0]["interactions"] == 1
    assert answered(command("stats", *places, "--format", "json"))["total"]["interactions"] == 1
    assert answered(command("recording", "s1", *places))[:2] == page()


def test_files_and_servers_together(two: Two) -> None:
    visit(two)
    replay = otel_replay.open([two.first.database, two.second.url])
    assert replay.timeline(TRACE).calls == 1
    replay.close()


def test_the_program_takes_upstreams_from_its_variable(two: Two, tmp_path: Path) -> None:
    visit(two)
    options = ["--db", str(tmp_path / "program.db"), "--grpc-port", "0", "--http-port", "0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "otel_replay", "serve", *options],
        env={**os.environ, "OTEL_REPLAY_UPSTREAM": " ".join(two.urls)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    program = Program(process)
    try:
        url = program.wait_for(r"otel-replay: http (\S+)")
        assert answered(command("timeline", TRACE, "--url", url, "--format", "json"))["interactions"] == 1
    finally:
        assert program.stop() == 0


def test_a_bad_question_is_the_askers(two: Two) -> None:
    for path, told in (
        ("/api/v1/sessions", {"cursor": "nonsense"}),
        ("/api/v1/sessions", {"cursor": "WzEsICJhIiwgMiwgImIiXQ=="}),  # [1, "a", 2, "b"]: made up
        ("/api/v1/stats", {"by": "colour"}),
        ("/api/v1/traces/xyz/timeline", {}),
    ):
        assert two.front.get(path, **told).status_code == 400, (path, told)


# Keys, projects, loops


def test_keys_are_passed_on_and_projects_kept_apart(tmp_path: Path) -> None:
    with running(tmp_path / "up.db") as up:
        key, writing = make_key(up, "read", "admin"), make_key(up, "ingest")
        body = traces(span(TRACE, 1, attributes={"session.id": "s1"})).SerializeToString()
        assert ask(up, "POST", "/v1/traces", writing, data=body, headers={"content-type": "application/x-protobuf"})
        with running(tmp_path / "front.db", upstreams=(up.url,), upstream_key=key) as front:
            other = make_key(front, "read", project="other")
            mine = make_key(front, "read")
            seen = ask(front, "GET", "/api/v1/sessions", mine).json()
            assert ([one["session_id"] for one in seen["sessions"]], seen["missing"]) == (["s1"], [])
            assert ask(front, "GET", "/api/v1/sessions", other).json()["sessions"] == []
            assert ask(front, "GET", "/api/v1/sessions/s1/timeline", other).status_code == 404
        with running(tmp_path / "keyless.db", upstreams=(up.url,)) as front:
            (missing,) = front.document("/api/v1/sessions")["missing"]
            assert (missing["receiver"], "key" in missing["reason"]) == (up.url, True)
        for bad in (writing, "orpl_of_nobody"):
            with running(tmp_path / f"{bad}.db", upstreams=(up.url,), upstream_key=bad) as front:
                for path in ("/api/v1/sessions", "/api/v1/services"):
                    (missing,) = front.document(path)["missing"]
                    assert (missing["receiver"], "key" in missing["reason"]) == (up.url, True), missing
        assert ask(up, "POST", "/api/v1/facts", writing, json={"version": 1, "questions": []}).status_code == 403


@pytest.mark.feature("X10")
def test_receivers_that_name_each_other_or_themselves_answer(tmp_path: Path) -> None:
    mine, theirs = nobody(), nobody()
    ports = [int(url.rpartition(":")[2]) for url in (mine, theirs)]
    with (
        running(tmp_path / "a.db", http_port=ports[0], upstreams=(theirs, mine)) as first,
        running(tmp_path / "b.db", http_port=ports[1], upstreams=(mine,)) as second,
    ):
        send(first, span(TRACE, 1, attributes={"session.id": "s1", **CHAT}))
        for receiver in (first, second):
            found = receiver.document(f"/api/v1/traces/{TRACE}/timeline")
            assert (found["interactions"], found["warnings"]) == (1, [])
            assert receiver.document("/api/v1/stats")["total"]["interactions"] == 1
            (session,) = receiver.document("/api/v1/sessions")["sessions"]
            assert session["interactions"] == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"version": 2, "questions": []}',
        b'{"version": 1, "questions": [{"ask": "close", "with": []}]}',
        b'{"version": 1, "questions": [{"ask": "trace", "with": []}]}',
        b'{"version": 1, "questions": [{"ask": "trace", "with": [5]}]}',
        b'{"version": 1, "questions": [{"ask": "listed_sessions", "with": [[], 1, null]}]}',
        b'{"version": 1, "questions": ' + b"[" * 100_000,
    ],
)
def test_facts_that_are_asked_for_wrongly(two: Two, body: bytes) -> None:
    answer = two.first.post("/api/v1/facts", body, JSON)
    assert answer.status_code == 400, answer.text


def test_an_id_that_cannot_be_one_is_refused_alone(two: Two) -> None:
    asked = {"version": 1, "questions": [{"ask": "trace", "with": ["zz"]}, {"ask": "services", "with": []}]}
    bad, good = two.first.post("/api/v1/facts", json.dumps(asked).encode(), JSON).json()["answers"]
    assert (bad["permanent"], good["is"]) == (True, [])


# Many calls


@pytest.mark.feature("X10")
def test_of_very_many_calls_sums_and_sketches_are_merged(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(60):
        model = {"gen_ai.request.model": ("gpt-4o", "gpt-4o-mini")[number % 3 == 0], "session.id": "s1"}
        made = span(f"{number + 1:032x}", number, attributes={**CHAT, **model})
        made.end_time_unix_nano = made.start_time_unix_nano + (number + 1) * 10**6
        send((two.first, two.second)[number % 2], made)
    exactly = two.front.document("/api/v1/stats", wait="10s")
    monkeypatch.setattr(merged_statistics, "MOST_TRACES", 5)
    summed = two.front.document("/api/v1/stats", wait="10s")
    assert counts_of(summed) == counts_of(exactly)
    for line, wanted in zip(lines_of(summed), lines_of(exactly), strict=True):
        close(line["latency_ns"], wanted["latency_ns"])
    assert summed["total"]["latency_ns"]["p95"] != "0"
    assert two.front.get("/api/v1/stats", by="session").status_code == 400


# Erasing


def test_what_is_erased_is_erased_everywhere(two: Two) -> None:
    visit(two)
    answer = two.front.http.delete(f"{two.front.url}/api/v1/sessions/s1", timeout=20)
    assert answer.status_code == 200, answer.text
    assert set(two.urls) <= set(answer.json()["receivers"])
    for receiver in two:
        assert receiver.get("/api/v1/sessions/s1/timeline").status_code == 404
        assert receiver.document("/api/v1/sessions")["sessions"] == []


def test_where_erasing_failed_is_said_and_it_can_be_done_again(two: Two, tmp_path: Path) -> None:
    visit(two)
    with late(tmp_path) as (url, start), running(tmp_path / "o.db", upstreams=(*two.urls, url)) as front:
        path = f"{front.url}/api/v1/sessions/s1"
        failed = front.http.delete(path, timeout=20)
        assert failed.status_code == 503
        assert f"not erased everywhere: {url}" in failed.json()["detail"]
        assert two.first.document("/api/v1/sessions")["sessions"] == []
        send(start(), span(TRACE, 1, attributes={"session.id": "s1"}))
        assert front.http.delete(path, timeout=20).status_code == 200
        assert front.document("/api/v1/sessions")["sessions"] == []


@contextmanager
def late(tmp_path: Path) -> Iterator[Any]:
    """The address of a receiver, and what starts it."""
    url = nobody()
    with ExitStack() as stack:
        port = int(url.rpartition(":")[2])
        yield url, lambda: stack.enter_context(running(tmp_path / "late.db", http_port=port))
