"""Search finds every distinct content once, at its earliest span, newest first."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from otel_replay.errors import InvalidRequest
from otel_replay.store.base import InteractionFilter, SearchHit, SearchPage, Write
from otel_replay.store.sqlite import fulltext, search
from tests.store.conftest import Backend, memory, sqlite
from tests.store.requests import CHAT, OTHER_TRACE, START, TRACE, span, traces, write

ANY = InteractionFilter()
SECOND = 10**9


def chat(number: int, *texts: str, told: dict[str, Any] | None = None, **fields: Any) -> Any:
    messages = [{"role": "user", "parts": [{"type": "text", "content": text}]} for text in texts]
    start = fields.pop("start", START + number * SECOND)
    attributes = {**CHAT, **(told or {}), "gen_ai.input.messages": json.dumps(messages)}
    return span(number, attributes, start=start, end=fields.pop("end", start + 10), **fields)


def commit(backend: Backend, *spans: Any, project: int = 1, **resource: Any) -> None:
    """Each span by itself; returns when all is searchable."""
    for one in spans:
        backend.commit(write(traces(one, resource=resource.get("resource")), project=project))
    deadline = time.monotonic() + 20
    while backend.reader.lag().texts and time.monotonic() < deadline:
        time.sleep(0.005)
    assert backend.reader.lag().texts == 0


def found(backend: Backend, text: str, wanted: InteractionFilter = ANY, project: int = 1) -> list[SearchHit]:
    return list(backend.reader.search(project, text, wanted, limit=100).hits)


def numbers(hits: Sequence[SearchHit]) -> list[int]:
    return [int(hit.span_id, 16) for hit in hits]


def test_a_hit_tells_where_and_what(backend: Backend) -> None:
    told = {"session.id": "s1", "gen_ai.conversation.id": "c1", "user.id": "u1", "gen_ai.response.model": "m2"}
    commit(backend, chat(1, "may I have a Refund, please", told=told))
    [hit] = found(backend, "refund")
    assert hit == SearchHit(
        trace_id=span().trace_id.hex(),
        span_id=f"{1:016x}",
        start_unix_nano=START + SECOND,
        session_id="s1",
        conversation_id="c1",
        service="api",
        model="m2",
        user="u1",
        snippet="may I have a Refund, please",
        highlights=[(13, 19)],
    )


def test_every_word_has_to_occur_in_one_content(backend: Backend) -> None:
    commit(backend, chat(1, "a refund for you", "what refund?"), chat(2, "for me"), chat(3, "for a refund: 100 %"))
    assert numbers(found(backend, "refund for")) == [3, 1]
    assert numbers(found(backend, '"refund for"')) == [1]
    assert numbers(found(backend, "refu*")) == [3, 1, 1]
    assert found(backend, "refu") == []
    assert found(backend, "user") == []  # roles and types are not said


def test_answers_tools_and_events_are_searched(backend: Backend) -> None:
    attributes = {
        **CHAT,
        "gen_ai.output.messages": json.dumps([{"role": "assistant", "parts": [{"type": "text", "content": "answer"}]}]),
        "gen_ai.tool.call.arguments": '{"order_id": 4711}',
        "gen_ai.tool.call.result": "shipped",
    }
    commit(backend, span(1, attributes), span(2, {"not.ai": "answer shipped"}))
    assert [numbers(found(backend, word)) for word in ("answer", "4711", "shipped")] == [[1], [1], [1]]


def test_a_repeated_content_is_one_hit_at_its_earliest_span(backend: Backend) -> None:
    commit(backend, chat(3, "hello", "three"), chat(2, "hello", "two"), chat(4, "hello"))
    assert numbers(found(backend, "hello")) == [2]
    commit(backend, chat(1, "hello"))
    assert numbers(found(backend, "hello")) == [1]


def test_contents_of_one_span_are_several_hits(backend: Backend) -> None:
    commit(backend, chat(1, "hello one", "hello two", "hello three"))
    assert numbers(found(backend, "hello")) == [1, 1, 1]
    first = backend.reader.search(1, "hello", ANY, limit=2)
    second = backend.reader.search(1, "hello", ANY, limit=2, after=first.next_position)
    assert first.next_position is not None
    assert [*first.hits, *second.hits] == found(backend, "hello")
    assert second.next_position is None


def test_only_what_the_winning_version_says_is_found(backend: Backend) -> None:
    partial, complete = chat(1, "question draft", end=START + 1), chat(1, "question", end=START + 2)
    commit(backend, chat(1, "question", end=START), partial, complete)
    assert [hit.snippet for hit in found(backend, "question")] == ["question"]
    assert found(backend, "draft") == []


def test_projects_do_not_see_each_other(backend: Backend) -> None:
    commit(backend, chat(1, "shared"), chat(2, "mine"))
    commit(backend, chat(3, "shared"), chat(4, "theirs"), project=2)
    assert numbers(found(backend, "shared")) == [1]
    assert numbers(found(backend, "shared", project=2)) == [3]
    assert found(backend, "theirs") == []
    assert found(backend, "\ue0002 theirs") == []


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (InteractionFilter(session_id="s1"), [1]),
        (InteractionFilter(session_id="unknown"), []),
        (InteractionFilter(conversation_id="c2"), [2]),
        (InteractionFilter(user="u2"), [2]),
        (InteractionFilter(user="u2", session_id="s1"), []),
        (InteractionFilter(feature="f1"), [1]),
        (InteractionFilter(label="l2"), [2]),
        (InteractionFilter(label="unknown"), []),
        (InteractionFilter(service="api"), [3, 2, 1]),
        (InteractionFilter(service="web"), []),
        (InteractionFilter(model="m2"), [2]),
        (InteractionFilter(model="m1"), [3, 2, 1]),
        (InteractionFilter(since_unix_nano=START + 2 * SECOND), [3, 2]),
        (InteractionFilter(until_unix_nano=START + 2 * SECOND), [1]),
        (InteractionFilter(since_unix_nano=START + SECOND + 1, until_unix_nano=START + 3 * SECOND), [2]),
        (InteractionFilter(until_unix_nano=-5), []),
        (InteractionFilter(since_unix_nano=2**63 - 1), []),
    ],
)
def test_filters(backend: Backend, wanted: InteractionFilter, expected: list[int]) -> None:
    one = {"session.id": "s1", "user.id": "u1", "feature": "f1", "label": "l1", "gen_ai.conversation.id": "c1"}
    two = {"session.id": "s2", "user.id": "u2", "label": "l2", "gen_ai.conversation.id": "c2"}
    commit(
        backend,
        chat(1, "hello 1", told=one),
        chat(2, "hello 2", told={**two, "gen_ai.response.model": "m2"}, trace=OTHER_TRACE),
        chat(3, "hello 3", trace="0" * 31 + "3"),
    )
    assert numbers(found(backend, "hello", wanted)) == expected


def test_pages_put_together_are_everything_in_order(backend: Backend) -> None:
    rng = random.Random(5)
    texts = [f"common {'even' if number % 2 == 0 else 'odd'} {number}" for number in range(60)]
    times = [START + rng.randrange(5) * rng.choice((1, SECOND)) for _ in texts]  # many share a moment
    commit(backend, *(chat(n, text, start=start) for n, (text, start) in enumerate(zip(texts, times, strict=True), 1)))
    everything = found(backend, "common")
    assert len(everything) == 60
    starts = [hit.start_unix_nano for hit in everything]
    assert starts == sorted(starts, reverse=True)
    pages: list[SearchPage] = []
    while not pages or pages[-1].next_position:
        after = pages[-1].next_position if pages else None
        pages.append(backend.reader.search(1, "common", ANY, limit=7, after=after))
    assert [hit for page in pages for hit in page.hits] == everything


def test_a_page_ends_when_much_was_looked_at_for_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "CANDIDATES", 10)
    wanted = InteractionFilter(user="u1")
    with sqlite(tmp_path) as backend:
        commit(backend, chat(1, "hello", told={"user.id": "u1"}), *(chat(n, f"hello {n}") for n in range(2, 40)))
        page, pages = backend.reader.search(1, "hello", wanted, limit=5), 1
        while page.next_position and not page.hits:
            page, pages = backend.reader.search(1, "hello", wanted, limit=5, after=page.next_position), pages + 1
    assert numbers(page.hits) == [1]
    assert pages == 4


def test_more_texts_of_one_moment_than_a_slot_has_room_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fulltext, "SEQUENCE_BITS", 2)
    monkeypatch.setattr(search, "SEQUENCE_BITS", 2)
    with sqlite(tmp_path) as backend:
        commit(backend, *(chat(n, f"hello {n}", start=START) for n in range(1, 20)))
        page = backend.reader.search(1, "hello", ANY, limit=3)
        seen = numbers(page.hits)
        while page.next_position:
            page = backend.reader.search(1, "hello", ANY, limit=3, after=page.next_position)
            seen += numbers(page.hits)
    assert sorted(seen) == list(range(1, 20))


def workload(seed: int) -> list[Write]:
    """Spans of two projects, some in several versions, that share words, texts and moments; some come twice."""
    rng = random.Random(seed)
    texts = [" ".join(rng.choices(["refund", "order", "late", "café", "get_weather", "42"], k=3)) for _ in range(25)]
    writes = []
    for _ in range(80):
        number, second = rng.randrange(1, 40), rng.randrange(20)
        told = {"session.id": f"s{rng.randrange(4)}", "user.id": rng.choice(("u1", "u2")), "feature": "chat"}
        start = START + number * SECOND + rng.choice((0, 0, 0, second))
        said = rng.choices(texts, k=rng.randrange(1, 4))
        one = chat(number, *said, told=told, start=start, end=start + second, trace=rng.choice((TRACE, OTHER_TRACE)))
        writes.append(write(traces(one), project=rng.choice((1, 1, 2))))
    return writes + rng.choices(writes, k=10)


QUERIES = ("refund", "order late", '"order late"', "cafe", "weather", '"42 refund"', "ref*", "nothing")
FILTERS = (ANY, InteractionFilter(user="u1"), InteractionFilter(session_id="s2"), InteractionFilter(model="m9"))


@pytest.mark.parametrize("seed", range(6))
def test_every_backend_finds_the_same(tmp_path: Path, seed: int) -> None:
    writes = workload(seed)
    with memory(tmp_path) as oracle, sqlite(tmp_path) as backend:
        for one in writes:
            oracle.commit(one)
        random.Random(seed).shuffle(writes)
        for one in writes:
            backend.commit(one)
        commit(backend)
        for project in (1, 2):
            for text in QUERIES:
                for wanted in FILTERS:
                    assert found(backend, text, wanted, project) == found(oracle, text, wanted, project)


@pytest.mark.parametrize("text", ["", "*", '"', "\0", "\ud800", "( ^ :"])
def test_a_query_without_words_is_refused(backend: Backend, text: str) -> None:
    with pytest.raises(InvalidRequest, match="no word"):
        backend.reader.search(1, text, ANY, limit=5)


@pytest.mark.parametrize(
    "text", ['x" OR 1', "NEAR(a b)", "text : x", "a NOT b", "-x", "x\0y", "é\ud800", "^x + y", "{x}"]
)
def test_no_query_is_more_than_words(backend: Backend, text: str) -> None:
    commit(backend, chat(1, "something else"))
    assert found(backend, text) == []


def test_times_at_both_ends_are_searched(backend: Backend) -> None:
    commit(backend, chat(1, "hello first", start=0, end=5), chat(2, "hello last", start=2**64 - 1, end=2**64 - 1))
    assert numbers(found(backend, "hello")) == [2, 1]
