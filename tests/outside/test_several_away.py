"""Several receivers as one, when some are away, hang, know no key, or tell nonsense."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

import otel_replay
from otel_replay.errors import InvalidRequest, NotFound, StoreUnavailable
from otel_replay.query import merged_statistics, parts
from otel_replay.query.several import SeveralReplay
from tests.outside.outside import JSON, PROTOBUF, eventually, running
from tests.outside.telemetry import CHAT, span
from tests.outside.two import TRACE, Two, nobody, send, two, visit, waiting

__all__ = ["two"]  # a fixture
pytestmark = [pytest.mark.slow, pytest.mark.feature("C4")]

Lie = Callable[[str, Any], Any]
"""What is told in place of an answer, by the name of the question."""


def test_what_is_missing_is_said_and_the_rest_is_answered(two: Two) -> None:
    visit(two)
    two.front.timeline("/api/v1/sessions/s1/timeline")
    gone = nobody()
    replay = otel_replay.open([*two.urls, gone])
    found = replay.timeline(session_id="s1")
    (warning,) = found.warnings
    assert [one["receiver"] for one in found.to_dict()["missing"]] == [gone]
    assert warning.startswith(f"what {gone} holds is missing: no answer from {gone}")
    for document in (replay.sessions(), replay.stats(), replay.search("x"), replay.traces(), replay.session("s1")):
        assert [one["receiver"] for one in document["missing"]] == [gone]
    assert replay.sessions()["total"] == 1
    page_of = replay.recordings.page("s1").to_dict()
    assert [one["receiver"] for one in page_of["missing"]] == [gone]
    replay.close()


def test_what_is_missing_is_said_where_an_answer_has_no_field_for_it(two: Two, tmp_path: Path) -> None:
    visit(two)
    gone, path = nobody(), f"/api/v1/traces/{TRACE}"
    with running(tmp_path / "other.db", upstreams=(*two.urls, gone)) as front:
        for replay in (otel_replay.open([*two.urls, gone]), otel_replay.open(front.url)):
            answers: tuple[Any, ...] = (replay.services(), replay.operations("api"), replay.trace(TRACE))
            for found in answers:
                assert [one["receiver"] for one in found.missing] == [gone]
            assert replay.services() == ["api"]
            assert [one["receiver"] for one in replay.trace_json(TRACE)["missing"]] == [gone]
            replay.close()
        for document in ("/api/v1/services", "/api/v1/services/api/operations", path):
            assert [one["receiver"] for one in front.document(document)["missing"]] == [gone]
        answer = front.get(path, PROTOBUF)
        assert [one["receiver"] for one in json.loads(answer.headers["otel-replay-missing"])] == [gone]
        assert len(TracesData.FromString(answer.content).resource_spans) == 2
    whole = two.front.get(path, PROTOBUF)
    assert "otel-replay-missing" not in whole.headers
    assert two.front.document(path)["missing"] == []
    assert "missing" not in two.first.document(path)
    assert "missing" not in two.first.document("/api/v1/services")


def test_what_is_not_found_while_one_is_away_may_be_there(two: Two) -> None:
    with_gone = otel_replay.open([*two.urls, nobody()])
    with pytest.raises(StoreUnavailable, match="no session nowhere at the receivers that answer"):
        with_gone.timeline(session_id="nowhere")
    with_gone.close()
    replay = otel_replay.open(two.urls)
    with pytest.raises(NotFound):
        replay.timeline(session_id="nowhere")
    replay.close()
    assert two.front.get("/api/v1/sessions/nowhere/timeline").status_code == 404


def test_when_all_are_away_that_is_an_error() -> None:
    replay = otel_replay.open([nobody(), nobody()])
    with pytest.raises(StoreUnavailable, match="none of the receivers answers"):
        replay.sessions()
    replay.close()
    with pytest.raises(InvalidRequest, match="nothing to open"):
        otel_replay.open([])


def test_a_receiver_that_takes_the_question_and_never_answers(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    visit(two)
    two.front.timeline("/api/v1/sessions/s1/timeline")
    monkeypatch.setattr(parts, "PATIENCE_S", (1.0, 1.0))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        replay = otel_replay.open([two.first.url, url])
        found = replay.timeline(session_id="s1")
        silent.settimeout(5)
        silent.accept()[0].close()
        silent.settimeout(0)
        with pytest.raises(BlockingIOError):
            silent.accept()  # it is asked once: the rest of the answer does not wait for it again
        replay.close()
    assert (found.calls, len(found.warnings)) == (1, 1)


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>",
        b"[]",
        b'{"version": 2, "answers": []}',
        b'{"version": 1, "answers": []}',
        b'{"version": 1, "answers": [5]}',
        b'{"version": 1, "answers": [{"is": {"sessions": [{"session": 5}]}}]}',
        b'{"version": 1, "answers": [{"is": ' + b"[" * 5_000 + b"]" * 5_000 + b"}]}",
    ],
)
def test_a_receiver_that_answers_nonsense_is_missing(two: Two, answer: bytes) -> None:
    visit(two)
    with saying(answer) as url:
        replay = otel_replay.open([two.first.url, url])
        found = replay.sessions()
        replay.close()
    assert [one["session_id"] for one in found["sessions"]] == ["s1"]
    ((missing,),) = [found["missing"]]
    assert (missing["receiver"], "cannot be read" in missing["reason"]) == (url, True)


@contextmanager
def saying(answer: bytes) -> Iterator[str]:
    """The address of a server that answers all questions so."""
    with answering(lambda _: answer) as url:
        yield url


@contextmanager
def answering(answer_to: Callable[[bytes], bytes]) -> Iterator[str]:
    """The address of a server that answers each body with another."""

    class Always(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            answer = answer_to(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Always) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


def trusting(name: str, told: Any) -> Any:
    """What a receiver tells as it is."""
    return told


def broken_bytes(_name: str, told: Any) -> Any:
    return base64.b64encode(b"\xff" * 40).decode() if isinstance(told, str) else told


def no_trace_ids(_name: str, told: Any) -> Any:
    return json.loads(json.dumps(told).replace(TRACE, "no trace id"))


def no_sketches(name: str, told: Any) -> Any:
    return [{**one, "latency": base64.b64encode(b"?").decode()} for one in told] if name == "rolled_up" else told


def no_end(name: str, told: Any) -> Any:
    """Lists that go on where they began."""
    if name == "chunk_part":
        return {**told, "next_seq": 0}
    return {**told, "next_position": [2**60, "~"]} if name.startswith(("listed_", "found_")) else told


def on_floats(_name: str, told: Any) -> Any:
    return json.loads(json.dumps(told), parse_int=lambda text: float(text))


QUESTIONS_TO_LIARS: dict[str, Callable[[SeveralReplay], Any]] = {
    "timeline": lambda replay: replay.timeline(session_id="s1"),
    "trace": lambda replay: replay.trace_json(TRACE),
    "sessions": lambda replay: replay.sessions(limit=1),
    "text": lambda replay: replay.sessions(text="hello"),
    "traces": lambda replay: replay.traces(limit=1),
    "recording": lambda replay: replay.recordings.page("s1").to_dict(),
    "search": lambda replay: replay.search("hello", limit=1),
    "stats": lambda replay: replay.stats(),
}


@pytest.mark.parametrize("lie", [broken_bytes, no_trace_ids, no_sketches, no_end, on_floats])
def test_a_receiver_whose_facts_are_none_is_missing_or_harmless(
    two: Two, lie: Lie, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What fits its types, and cannot be put together: the others answer."""
    monkeypatch.setattr(merged_statistics, "MOST_TRACES", 0)
    visit(two)
    said = {"gen_ai.input.messages": '[{"role": "user", "parts": [{"type": "text", "content": "hello"}]}]'}
    for receiver in (two.first, two.second):
        send(receiver, span(TRACE, 40, 20, attributes={"session.id": "s1", **CHAT, **said}))
        assert not eventually(lambda at=receiver: waiting(at), lambda lag: not lag)  # type: ignore[misc]
    left_out = set()
    with lying(two.second.url, trusting) as honest, lying(two.second.url, lie) as liar:
        for name, ask in QUESTIONS_TO_LIARS.items():
            believed, found = (answer_of(ask, [two.first.url, url]) for url in (honest, liar))
            assert believed == [], name
            if found:
                assert found == [liar], name
                left_out.add(name)
    assert left_out


def answer_of(ask: Callable[[SeveralReplay], Any], urls: list[str]) -> list[str]:
    """Who is missing in it."""
    replay = otel_replay.open(urls)
    try:
        found = ask(replay)
    finally:
        replay.close()
    if isinstance(found, dict):
        return [one["receiver"] for one in found["missing"]]
    return [warning.split()[1] for warning in found.warnings if warning.startswith("what ")]


@contextmanager
def lying(url: str, lie: Lie) -> Iterator[str]:
    """The address of a receiver that tells what another one does, but for ``lie``."""

    def answer(asking: bytes) -> bytes:
        names = [one["ask"] for one in json.loads(asking)["questions"]]
        told = requests.post(f"{url}/api/v1/facts", asking, headers={"content-type": JSON}, timeout=20).json()
        pairs = zip(names, told["answers"], strict=True)
        answers = [{"is": lie(name, one["is"])} if "is" in one else one for name, one in pairs]
        return json.dumps({**told, "answers": answers}).encode()

    with answering(answer) as found:
        yield found


def test_an_answer_that_drips_in_is_waited_for_no_longer_than_any(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    visit(two)
    monkeypatch.setattr(parts, "ANSWER_S", 1.0)
    with dripping() as url:
        replay = otel_replay.open([two.first.url, url])
        for _ in range(3):
            (missing,) = replay.sessions()["missing"]
            assert missing["receiver"] == url
            assert "no whole answer" in missing["reason"]
            assert replay.timeline(session_id="s1").calls == 1
        replay.close()


@contextmanager
def dripping() -> Iterator[str]:
    """The address of a server that answers a byte at a time."""
    over = threading.Event()

    class Drip(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.send_header("content-length", "1000000")
            self.end_headers()
            while not over.wait(0.1):
                self.wfile.write(b" ")

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Drip) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            over.set()
            server.shutdown()
