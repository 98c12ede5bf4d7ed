"""One story, asked for in every way there is: the same answer each time."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

import otel_replay
from otel_replay._pb.v1 import replay_pb2
from otel_replay.model import Signal
from tests.outside.outside import Outside, answered, command
from tests.outside.telemetry import CHAT, MS, START, click, custom, log, logs, page, span, span_id, traces

Document = dict[str, Any]

SERVER, CLIENT = Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT
ACTION = {"browser.action": "click", "app.widget.id": "send"}


class Story:
    """A click, the request it made, and the model call in it, with a recording around; ids are its own."""

    def __init__(self, name: str, number: int) -> None:
        self.session, self.conversation = f"session {name}", f"conversation {name}"
        self.trace = f"{number:032x}"

    def spans(self) -> dict[str, Any]:
        """Requests by service, as three exporters would send them."""
        said = {"session.id": self.session, "user.id": f"user of {self.session}"}
        action = span(self.trace, 1, name="click", attributes={**ACTION, **said})
        server = span(self.trace, 2, 1, name="POST /chat", kind=SERVER)
        call = {**CHAT, "gen_ai.conversation.id": self.conversation}
        chat = span(self.trace, 3, 2, name="chat gpt-4o-mini", kind=CLIENT, attributes=call)
        return {
            "browser": traces(action, service="browser"),
            "api": traces(server, chat, service="api"),
            "log": logs(log("asking the model", trace_id=self.trace, span_id=bytes.fromhex(span_id(2)), ms=4)),
        }

    def events(self) -> list[dict[str, Any]]:
        announced = custom(2, "otel.action", trace_id=self.trace, span_id=span_id(1), name="click", target="#send")
        return [*page(), click(1), announced]

    def tell(self, receiver: Outside) -> None:
        for part, request in self.spans().items():
            receiver.export(Signal.LOGS if part == "log" else Signal.TRACES, request.SerializeToString())
        receiver.upload(self.session, self.events(), stream_id="tab", seq=0)

    def span(self, number: int) -> str:
        """The id of a span's entry."""
        return f"span:{self.trace}:{span_id(number)}"


@pytest.fixture(scope="module")
def story(receiver: Outside) -> Story:
    """Told, and distilled."""
    told = Story("one", 0x51)
    told.tell(receiver)
    receiver.timeline(f"/api/v1/sessions/{told.session}/timeline")
    return told


# Ways to ask for the timeline of a (kind, id).

OPTIONS = {"traces": [], "sessions": ["--session"], "conversations": ["--conversation"]}
NAMES = {"traces": "trace_id", "sessions": "session_id", "conversations": "conversation_id"}


def over_http(receiver: Outside, kind: str, wanted: str) -> Document:
    return receiver.document(f"/api/v1/{kind}/{wanted}/timeline")


def over_http_in_pages(receiver: Outside, kind: str, wanted: str) -> Document:
    path = f"/api/v1/{kind}/{wanted}/timeline"
    whole = part = receiver.document(path, limit=2)
    while part["next_cursor"]:
        assert len(part["entries"]) == 2
        part = receiver.document(path, limit=2, cursor=part["next_cursor"])
        whole = {**part, "entries": whole["entries"] + part["entries"]}
    return whole


def over_grpc(receiver: Outside, kind: str, wanted: str) -> Document:
    request = replay_pb2.GetTimelineRequest(**{NAMES[kind]: wanted})
    found: Document = json.loads(receiver.replay_service.GetTimeline(request).timeline_json)
    return found


def _opened(target: str | Path, kind: str, wanted: str) -> Document:
    replay = otel_replay.open(target)
    found = replay.timeline(**{NAMES[kind]: wanted}).to_dict()
    replay.close()
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]


def from_the_file(receiver: Outside, kind: str, wanted: str) -> Document:
    return _opened(receiver.database, kind, wanted)


def from_the_url(receiver: Outside, kind: str, wanted: str) -> Document:
    return _opened(receiver.url, kind, wanted)


def by_command_on_the_file(receiver: Outside, kind: str, wanted: str) -> Document:
    found: Document = answered(receiver.command("timeline", *OPTIONS[kind], wanted, "--format", "json"))
    return found


def by_command_on_the_url(receiver: Outside, kind: str, wanted: str) -> Document:
    arguments = ("timeline", *OPTIONS[kind], wanted, "--format", "json", "--url", receiver.url)
    found: Document = answered(command(*arguments))
    return found


OTHER_WAYS = [
    over_http_in_pages,
    over_grpc,
    from_the_file,
    from_the_url,
    by_command_on_the_file,
    by_command_on_the_url,
]


@pytest.mark.feature("C4")
@pytest.mark.feature("C7")
@pytest.mark.parametrize("kind", NAMES)
def test_every_way_gives_the_same_timeline(receiver: Outside, story: Story, kind: str) -> None:
    wanted = {"traces": story.trace, "sessions": story.session, "conversations": story.conversation}[kind]
    expected = over_http(receiver, kind, wanted)
    assert (expected["version"], expected[NAMES[kind]]) == (1, wanted)
    assert (expected["sessions"], expected["traces"]) == ([story.session], [story.trace])
    assert expected["tokens"] == {"input": 12, "output": 34, "cache_read": None, "cache_write": None, "reasoning": None}
    assert (expected["interactions"], expected["start_unix_nano"]) == (1, str(START))
    titles = {"chat gpt-4o-mini", "POST /chat", "asking the model"}
    assert titles <= {entry["title"] for entry in expected["entries"]}
    assert {"action", "dom", "interaction", "span", "log"} <= {entry["kind"] for entry in expected["entries"]}
    for way in OTHER_WAYS:
        assert way(receiver, kind, wanted) == expected, way.__name__


@pytest.mark.feature("C7")
def test_text_and_lines_of_json(receiver: Outside, story: Story) -> None:
    entries = over_http(receiver, "traces", story.trace)["entries"]
    lines = receiver.command("timeline", story.trace, "--format", "jsonl")
    assert [json.loads(line) for line in lines.stdout.splitlines()] == entries
    replay, written = otel_replay.open(receiver.database), io.StringIO()
    replay.timeline(story.trace.upper()).print(written)
    replay.close()
    assert receiver.command("timeline", story.trace).stdout == written.getvalue()
    head, *rest = written.getvalue().splitlines()
    assert head.startswith(f"trace {story.trace}: ")
    assert ", 1 interaction, 12 tokens in, 34 tokens out, $0.0000" in head
    assert any("chat gpt-4o-mini" in line and "interaction" in line for line in rest)


@pytest.mark.feature("R7")
def test_exact_links_from_the_call_to_the_click(receiver: Outside, story: Story) -> None:
    timeline = over_http(receiver, "traces", story.trace)
    entries = {entry["id"]: entry for entry in timeline["entries"]}
    links = {(source, link["rel"], link["target"]) for source, one in entries.items() for link in one["links"]}
    assert {(story.span(2), "child_of", story.span(1)), (story.span(3), "child_of", story.span(2))} <= links
    assert {(story.span(2), "caused_by", story.span(1)), (story.span(3), "caused_by", story.span(1))} <= links
    [announced] = [one["id"] for one in entries.values() if one["detail"].get("tag") == "otel.action"]
    [clicked] = [one["id"] for one in entries.values() if one["detail"].get("type") == "click"]
    assert {(announced, "same_call", story.span(1)), (announced, "caused_by", clicked)} <= links
    assert {(link["basis"], link["confidence"]) for one in entries.values() for link in one["links"]} == {
        ("exact", 1.0)
    }
    order = [entry["id"] for entry in timeline["entries"]]
    assert order.index(clicked) < order.index(story.span(2)) < order.index(story.span(3))


def test_entry_ids_stay_when_late_data_comes(receiver: Outside) -> None:
    story = Story("late", 0x1A7E)
    for part, request in reversed(story.spans().items()):
        receiver.export(Signal.LOGS if part == "log" else Signal.TRACES, request.SerializeToString())
    receiver.upload(story.session, [click(30), custom(31, "later")], stream_id="tab", seq=1)
    path = f"/api/v1/sessions/{story.session}/timeline"
    before = receiver.timeline(path)
    receiver.upload(story.session, story.events(), stream_id="tab", seq=0)
    late = span(story.trace, 4, 3, name="late child")
    receiver.export(Signal.TRACES, traces(late).SerializeToString())
    after = receiver.timeline(path)

    def facts(timeline: Document) -> dict[str, tuple[str, str]]:
        entries = timeline["entries"]
        return {one["id"]: (one["kind"], one["start_unix_nano"]) for one in entries if one["kind"] != "gap"}

    assert len(before["entries"]) >= 7
    assert facts(before).items() <= facts(after).items()
    assert story.span(4) in facts(after)
    assert "dom:tab:1:0" in {entry.partition(".")[0] for entry in facts(before)}
    assert ([gap["after_seq"] for gap in before["gaps"]], after["gaps"]) == ([-1], [])


@pytest.mark.feature("C3")
@pytest.mark.parametrize("edge", ["log", "recording"])
def test_a_trace_without_a_session_joins_it(receiver: Outside, edge: str) -> None:
    trace, session = f"{0xED6E00 + len(edge):032x}", f"joined by {edge}"
    call = span(trace, 1, kind=SERVER, name="bare chat", attributes=CHAT)
    receiver.export(Signal.TRACES, traces(call).SerializeToString())
    assert receiver.document(f"/api/v1/traces/{trace}/timeline")["sessions"] == []
    if edge == "log":
        record = log("said in passing", attributes={"session.id": session}, trace_id=trace)
        receiver.export(Signal.LOGS, logs(record).SerializeToString())
    else:
        receiver.upload(session, [*page(), custom(1, "otel.fetch", traceId=trace, spanId=span_id(1))])
    timeline = receiver.timeline(f"/api/v1/sessions/{session}/timeline")
    assert timeline["traces"] == [trace]
    [entry] = [one for one in timeline["entries"] if one["title"] == "bare chat" or one["span_id"] == span_id(1)][-1:]
    assert (entry["trace_id"], entry["session_id"]) == (trace, session)
    assert receiver.document(f"/api/v1/traces/{trace}/timeline")["sessions"] == [session]


def test_kinds_around_and_window(receiver: Outside, story: Story) -> None:
    path = f"/api/v1/sessions/{story.session}/timeline"
    whole = receiver.document(path)
    chosen = receiver.document(path, kinds="interaction,action")
    assert chosen["entries"] == [one for one in whole["entries"] if one["kind"] in ("interaction", "action")]
    assert {name: value for name, value in chosen.items() if name not in ("entries", "next_cursor")} == {
        name: value for name, value in whole.items() if name not in ("entries", "next_cursor")
    }
    around = {"around": f"{story.trace.upper()}:{span_id(3)}"}
    assert receiver.document(path, **around)["entries"] == whole["entries"], "10 s to both sides"
    low, high = START + 3 * MS, START + 13 * MS
    near = receiver.document(path, **around, window="0ns")["entries"]
    assert near == [
        one for one in whole["entries"] if int(one["start_unix_nano"]) <= high and int(one["end_unix_nano"]) >= low
    ]
    assert 0 < len(near) < len(whole["entries"])


def test_a_trace_shows_only_what_is_near(receiver: Outside) -> None:
    story = Story("far", 0xFA2)
    story.tell(receiver)
    receiver.upload(story.session, [custom(9_000, "soon"), custom(60_000, "much later")], stream_id="tab", seq=1)
    tags = {}
    for kind, wanted in (("sessions", story.session), ("traces", story.trace)):
        entries = receiver.timeline(f"/api/v1/{kind}/{wanted}/timeline")["entries"]
        tags[kind] = {one["detail"].get("tag") for one in entries}
    assert {"soon", "much later"} <= tags["sessions"]
    assert tags["traces"] >= {"soon"}
    assert "much later" not in tags["traces"]


def test_of_two_versions_of_a_span_the_later_end_wins(receiver: Outside) -> None:
    trace = "2e" * 16
    running = span(trace, 1, name="running")
    ended = span(trace, 1, name="ended", end_time_unix_nano=START + 99 * MS)
    ended.status.CopyFrom(Status(code=Status.STATUS_CODE_ERROR, message="no"))
    for one in (ended, running, ended):
        receiver.export(Signal.TRACES, traces(one).SerializeToString())
    [entry] = over_http(receiver, "traces", trace)["entries"]
    assert (entry["title"], entry["status"], entry["end_unix_nano"]) == ("ended", "error", str(START + 99 * MS))


# Sessions

Ask = Callable[..., Document]


def _lists(receiver: Outside) -> dict[str, Ask]:
    """Ways to list sessions; times come as nanoseconds."""

    def http(**filters: Any) -> Document:
        return receiver.document("/api/v1/sessions", **filters)

    def grpc(**filters: Any) -> Document:
        named = {f"{key}_unix_nano" if key in ("since", "until") else key: value for key, value in filters.items()}
        answer = receiver.replay_service.ListSessions(replay_pb2.ListSessionsRequest(**named))
        found: Document = json.loads(answer.sessions_json)
        return found

    def python(target: str | Path) -> Ask:
        def ask(**filters: Any) -> Document:
            named = {f"{key}_unix_nano" if key in ("since", "until") else key: value for key, value in filters.items()}
            replay = otel_replay.open(target)
            found = replay.sessions(**named)
            replay.close()
            return found

        return ask

    def cli(**filters: Any) -> Document:
        options = [text for key, value in filters.items() for text in (f"--{key}", str(value))]
        found: Document = answered(receiver.command("sessions", "--format", "json", *options))
        return found

    return {"http": http, "grpc": grpc, "file": python(receiver.database), "url": python(receiver.url), "cli": cli}


@pytest.fixture(scope="module")
def visits(receiver: Outside) -> list[str]:
    """Nine sessions an hour apart, long before all others, oldest first."""
    ids = [f"visit {number}" for number in range(9)]
    for number, session in enumerate(ids):
        said = {
            "session.id": session,
            "user.id": f"visitor {number % 3}",
            "feature": ("chat", "agent")[number % 2],
            "label": f"label {number % 4}",
        }
        start = VISITS + number * HOUR
        times = {"start_time_unix_nano": start, "end_time_unix_nano": start + MS}
        one = span(f"{0x715170 + number:032x}", 1, attributes={**said, **CHAT}, **times)
        receiver.export(Signal.TRACES, traces(one, service="shop").SerializeToString())
    return ids


HOUR = 3600 * 10**9
VISITS = 1_600_000_000_000_000_000
BEFORE_OTHERS = {"until": VISITS + 100 * HOUR}


@pytest.mark.feature("K8")
@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, [8, 7, 6, 5, 4, 3, 2, 1, 0]),
        ({"user": "visitor 1"}, [7, 4, 1]),
        ({"feature": "agent"}, [7, 5, 3, 1]),
        ({"label": "label 2"}, [6, 2]),
        ({"user": "visitor 0", "feature": "chat"}, [6, 0]),
        ({"user": "nobody"}, []),
        ({"since": VISITS + 3 * HOUR, "until": VISITS + 6 * HOUR}, [5, 4, 3]),
        ({"limit": 2}, [8, 7]),
    ],
)
def test_sessions_are_filtered(
    receiver: Outside, visits: list[str], filters: dict[str, Any], expected: list[int]
) -> None:
    wanted = {**BEFORE_OTHERS, **filters}
    found = {name: ask(**wanted) for name, ask in _lists(receiver).items()}
    assert [one["session_id"] for one in found["http"]["sessions"]] == [visits[number] for number in expected]
    assert found["http"]["total"] == (9 if "limit" in filters else len(expected))
    assert all(one == found["http"] for one in found.values())


@pytest.mark.feature("K8")
@pytest.mark.parametrize("way", ["http", "grpc", "file", "url", "cli"])
def test_sessions_come_page_by_page(receiver: Outside, visits: list[str], way: str) -> None:
    ask = _lists(receiver)[way]
    found, pages = ask(**BEFORE_OTHERS, limit=4), [4, 4, 1]
    seen = [one["session_id"] for one in found["sessions"]]
    sizes = [len(seen)]
    while found["next_cursor"]:
        assert found["total"] == 9
        found = ask(**BEFORE_OTHERS, limit=4, cursor=found["next_cursor"])
        seen += [one["session_id"] for one in found["sessions"]]
        sizes.append(len(found["sessions"]))
    assert (seen, sizes) == (visits[::-1], pages)


@pytest.mark.feature("K8")
def test_what_a_list_says_of_a_session(receiver: Outside, visits: list[str]) -> None:
    [found] = receiver.document("/api/v1/sessions", **BEFORE_OTHERS, label="label 0", feature="chat", limit=1)[
        "sessions"
    ]
    assert found == {
        "session_id": "visit 8",
        "state": "active",
        "start_unix_nano": str(VISITS + 8 * HOUR),
        "end_unix_nano": str(VISITS + 8 * HOUR + MS),
        "user": "visitor 2",
        "feature": "chat",
        "label": "label 0",
        "service": "shop",
        "name": None,
        "tags": [],
        "metadata": {},
        "preferences": {},
        "expires_unix_nano": None,
        "attributes": {"user.id": "visitor 2", "feature": "chat", "label": "label 0", "service.name": "shop"},
        "interactions": 1,
        "actions": 0,
        "errors": 0,
        "traces": 1,
        "has_recording": False,
        "models": ["gpt-4o-mini"],
        "tokens": {"input": 12, "output": 34},
    }


@pytest.mark.feature("K8")
@pytest.mark.parametrize(
    ("since", "count"),
    [
        ("2020-09-13T12:26:40Z", 9),
        ("2020-09-13T12:26:40.000000001Z", 8),
        ("2020-09-13T14:26:40+02:00", 9),
        ("2020-09-13T13:26:40+00:00", 8),
        ("1600000000000000001", 8),
        ("99999d", 9),
    ],
)
def test_times_are_written_in_many_ways(receiver: Outside, visits: list[str], since: str, count: int) -> None:
    until = str(BEFORE_OTHERS["until"])
    assert receiver.document("/api/v1/sessions", since=since, until=until)["total"] == count
    listed = answered(receiver.command("sessions", "--since", since, "--until", until, "--format", "json"))
    assert listed["total"] == count
