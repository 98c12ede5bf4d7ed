"""Session and conversation ids on every span: across threads and tasks, and never on a neighbour's."""

from __future__ import annotations

import asyncio
import contextvars
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_replay.errors import InvalidRequest, ReplayError
from otel_replay.sdk import SessionLogProcessor, SessionSpanProcessor, chat, session


class Recorded:
    """A provider with the processor under test, and the spans it ended."""

    def __init__(self) -> None:
        self.provider = TracerProvider()
        self.exporter = InMemorySpanExporter()
        self.provider.add_span_processor(SessionSpanProcessor())
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("test")

    def span(self, name: str, **attributes: str) -> None:
        self.tracer.start_span(
            name, attributes={key.replace("_", "."): value for key, value in attributes.items()}
        ).end()

    def by_name(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self.exporter.get_finished_spans()}

    def said(self, name: str) -> dict[str, object]:
        return dict(self.by_name()[name].attributes or {})


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    made = Recorded()
    yield made
    made.provider.shutdown()


@pytest.mark.feature("R2")
def test_session_ids_are_given_or_made() -> None:
    assert session("mine").session_id == "mine"
    made = {session().session_id for _ in range(50)}
    assert len(made) == 50
    assert all(re.fullmatch(r"[0-9a-f]{32}", session_id) for session_id in made)


@pytest.mark.feature("C1")
@pytest.mark.feature("K1")
def test_every_span_in_the_block_carries_the_session(recorded: Recorded) -> None:
    with session("s1", user_id="u1", feature="chat", label="support", variant="B"):
        recorded.span("inside")
    recorded.span("outside")
    assert recorded.said("inside") == {
        "session.id": "s1",
        "user.id": "u1",
        "feature": "chat",
        "label": "support",
        "variant": "B",
    }
    assert recorded.said("outside") == {}


def test_only_the_ids_travel_as_baggage() -> None:
    with session("s1", user_id="u1", feature="chat", label="support"), chat(conversation_id="c1"):
        assert dict(baggage.get_all()) == {"session.id": "s1", "user.id": "u1"}
    assert dict(baggage.get_all()) == {}


def test_only_allow_listed_baggage_reaches_a_span(recorded: Recorded) -> None:
    received = {"session.id": "s1", "gen_ai.conversation.id": "c1", "secret": "x", "feature": "f", "user.id": "u" * 257}
    around = None
    for key, value in received.items():
        around = baggage.set_baggage(key, value, around)
    recorded.tracer.start_span("received", context=around).end()
    assert recorded.said("received") == {"session.id": "s1", "gen_ai.conversation.id": "c1"}


def test_what_a_span_says_itself_is_kept(recorded: Recorded) -> None:
    with session("s1", user_id="u1"):
        recorded.span("own", session_id="its-own")
    assert recorded.said("own") == {"session.id": "its-own", "user.id": "u1"}


@pytest.mark.feature("B4")
def test_a_session_holds_several_chats(recorded: Recorded) -> None:
    with session("s1") as visit:
        with visit.chat("Code review") as review:
            recorded.span("review")
        with visit.chat(conversation_id="c2"):
            recorded.span("second")
        recorded.span("after")
    assert recorded.said("review") == {
        "session.id": "s1",
        "gen_ai.conversation.id": review.conversation_id,
        "otel_replay.conversation.name": "Code review",
    }
    assert recorded.said("second") == {"session.id": "s1", "gen_ai.conversation.id": "c2"}
    assert recorded.said("after") == {"session.id": "s1"}


def test_a_chat_joins_the_session_that_came_with_the_request(recorded: Recorded) -> None:
    token = context.attach(baggage.set_baggage("session.id", "from-the-browser"))
    with chat(conversation_id="c1"):
        recorded.span("handled")
    context.detach(token)
    assert recorded.said("handled") == {"session.id": "from-the-browser", "gen_ai.conversation.id": "c1"}


def test_a_session_inside_another_takes_nothing_over(recorded: Recorded) -> None:
    with session("outer", user_id="u1", feature="chat"), chat("Talk", "c1"):
        with session("inner"):
            recorded.span("inner")
        with session("outer", label="again"):
            recorded.span("same")
    assert recorded.said("inner") == {"session.id": "inner"}
    assert recorded.said("same") == {
        "session.id": "outer",
        "user.id": "u1",
        "feature": "chat",
        "label": "again",
        "gen_ai.conversation.id": "c1",
        "otel_replay.conversation.name": "Talk",
    }


def test_a_copied_context_takes_the_session_into_a_thread(recorded: Recorded) -> None:
    with session("s1"):
        copied = contextvars.copy_context()
        threads = [
            threading.Thread(target=copied.run, args=(recorded.span, "copied")),
            threading.Thread(target=recorded.span, args=("bare",)),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert recorded.said("copied") == {"session.id": "s1"}
    assert recorded.said("bare") == {}


def test_threads_side_by_side_keep_their_own_session(recorded: Recorded) -> None:
    ready = threading.Barrier(8, timeout=20)

    def visit(number: int) -> None:
        with session(f"s{number}", user_id=f"u{number}"):
            ready.wait()
            for turn in range(20):
                recorded.span(f"{number}/{turn}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(visit, range(8)))
    spans = recorded.by_name()
    assert len(spans) == 160
    for name, span in spans.items():
        number = name.split("/")[0]
        assert dict(span.attributes or {}) == {"session.id": f"s{number}", "user.id": f"u{number}"}


def test_tasks_side_by_side_keep_their_own_session(recorded: Recorded) -> None:
    async def visit(number: int) -> None:
        async with session(f"s{number}") as own, own.chat(conversation_id=f"c{number}"):
            for turn in range(5):
                await asyncio.sleep(0)
                recorded.span(f"{number}/{turn}")
            await asyncio.create_task(child(number))

    async def child(number: int) -> None:
        recorded.span(f"{number}/child")

    async def all_visits() -> None:
        await asyncio.gather(*(visit(number) for number in range(10)))

    asyncio.run(all_visits())
    spans = recorded.by_name()
    assert len(spans) == 60
    for name, span in spans.items():
        number = name.split("/")[0]
        assert dict(span.attributes or {}) == {"session.id": f"s{number}", "gen_ai.conversation.id": f"c{number}"}


def test_the_block_ends_with_an_error_too(recorded: Recorded) -> None:
    with pytest.raises(KeyError), session("s1"):
        raise KeyError("x")
    recorded.span("after")
    assert recorded.said("after") == {}


def test_an_entered_session_cannot_be_entered_again() -> None:
    visit = session("s1")
    with visit, pytest.raises(ReplayError, match="entered already"):
        visit.__enter__()
    with visit:
        assert baggage.get_baggage("session.id") == "s1"
    assert baggage.get_baggage("session.id") is None


def test_an_id_that_is_too_long_is_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"session\.id has 257 characters"):
        session("x" * 257)


def test_log_records_carry_the_session() -> None:
    provider, exporter = LoggerProvider(), InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
    provider.add_log_record_processor(SessionLogProcessor())
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    logger = provider.get_logger("test")
    with session("s1", feature="chat"):
        logger.emit(body="inside", attributes={"feature": "said", "n": 1})
    logger.emit(body="outside")
    inside, outside = exporter.get_finished_logs()
    assert dict(inside.log_record.attributes or {}) == {"session.id": "s1", "feature": "said", "n": 1}
    assert dict(outside.log_record.attributes or {}) == {}
    provider.shutdown()


def test_no_current_span_is_needed_or_changed(recorded: Recorded) -> None:
    with recorded.tracer.start_as_current_span("around"), session("s1"):
        assert trace.get_current_span().get_span_context().is_valid
        recorded.span("below")
    below, around = recorded.by_name()["below"], recorded.by_name()["around"]
    assert below.parent == around.context


def test_importing_the_sdk_loads_no_server_parts() -> None:
    heavy = ("grpc", "starlette", "numpy", "requests", "opentelemetry.sdk.trace")
    code = f"import sys, otel_replay.sdk; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (7, "7"),
        (UUID("4bf92f35-77b3-4da6-a3ce-929d0e0e4736"), "4bf92f35-77b3-4da6-a3ce-929d0e0e4736"),
        ("cut \ud83d", "cut \ufffd"),
    ],
)
def test_ids_of_databases_are_told_as_texts(recorded: Recorded, given: Any, told: str) -> None:
    headers: dict[str, str] = {}
    with session(given, user_id=given), chat(conversation_id=given):
        recorded.span("inside")
        W3CBaggagePropagator().inject(headers)
    assert recorded.said("inside") == dict.fromkeys(["session.id", "user.id", "gen_ai.conversation.id"], told)
    assert "baggage" in headers


def test_what_is_said_later_holds_on_every_thread(recorded: Recorded) -> None:
    with session("s1", label="a") as visit, visit.chat(conversation_id="c1"):
        copied = contextvars.copy_context()
        visit.update(label="b", user_id=7)
        copied.run(recorded.span, "copied")
        with session("s1", label="c"):
            recorded.span("inner")
        with session("s2"):
            recorded.span("another")
    expected = {"session.id": "s1", "user.id": "7", "label": "b", "gen_ai.conversation.id": "c1"}
    assert recorded.said("copied") == expected
    assert recorded.said("inner") == {**expected, "label": "c"}
    assert recorded.said("another") == {"session.id": "s2"}
