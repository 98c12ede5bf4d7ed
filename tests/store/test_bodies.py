"""Contents are stored once, and every span comes back byte for byte."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_replay.genai.contents import content_ranges
from otel_replay.otlp import thin
from otel_replay.store import bodies
from otel_replay.store.base import Write
from otel_replay.store.sqlite import SqliteStore, digests
from otel_replay.store.sqlite.bodies import BLOCK_BYTES, BodyWriter
from otel_replay.store.sqlite.body_reading import BodyReader
from otel_replay.store.sqlite.database import connect_writing
from tests.bench.costs import shared_bodies
from tests.genai.spans import any_value
from tests.store.groups import on_the_writer
from tests.store.requests import CHAT, START, TRACE, log, logs, span, traces, write

KEY = bytes(range(32))


def message(text: str, role: str = "user") -> dict[str, Any]:
    return {"role": role, "parts": [{"type": "text", "content": text}]}


def chat(number: int, *texts: str, **fields: Any) -> Span:
    return span(number, {**CHAT, "gen_ai.input.messages": json.dumps([message(text) for text in texts])}, **fields)


def with_contents(built: Write) -> Write:
    """The write with the contents of its AI spans named, whoever else does that."""
    raws = [piece.raw for piece in thin.slices(built.body)]
    ids = [(span.trace_id.hex(), span.span_id.hex()) for span in map(Span.FromString, raws)]
    rows = []
    for row in built.interactions:
        record = ids.index((row.trace_id, row.span_id))
        ranges = content_ranges(raws[record])
        rows.append(row._replace(record=record, contents=ranges))
    return replace(built, interactions=rows)


def written(*spans: Span, **fields: Any) -> Write:
    return with_contents(write(traces(*spans), **fields))


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Any]:
    database = connect_writing(tmp_path / "replay.db")
    yield database.conn
    database.close()


@contextmanager
def transaction(connection: Any) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def rejoined(connection: Any, body: bytes, project: int = 1) -> list[bytes]:
    reader = BodyReader(connection, project)
    return [reader.whole(piece.raw) for piece in thin.slices(body)]


def records(body: bytes) -> list[bytes]:
    return [piece.raw for piece in thin.slices(body)]


def column(connection: Any, query: str) -> list[Any]:
    return [row[0] for row in connection.execute(query)]


@given(st.binary(min_size=1, max_size=60).filter(lambda data: data[0] != 0), st.data())
def test_what_was_cut_is_rejoined(record: bytes, data: st.DataObject) -> None:
    bounds = data.draw(st.lists(st.integers(0, len(record)), max_size=8).map(sorted))
    ranges = list(zip(bounds[::2], bounds[1::2], strict=False))
    stored = {number: record[start:end] for number, (start, end) in enumerate(ranges, 2**40)}
    cut = bodies.cut(record, ranges, list(stored))
    assert bodies.is_cut(cut)
    assert bodies.body_ids(cut) == tuple(stored)
    assert bodies.whole(cut, stored) == record


def test_a_cut_record_shows_all_but_its_contents(connection: Any) -> None:
    one = written(chat(1, "the secret plan", "another"), span(2, {"other": "stays"}))
    with transaction(connection):
        [stored] = BodyWriter(connection, KEY).detach(1, [one])
    cut, plain = records(stored)
    assert bodies.is_cut(cut)
    assert bytes.fromhex(TRACE) in cut
    assert b"gen_ai.request.model\x12\x04\x0a\x02m1" in cut
    assert b"secret" not in cut
    assert plain == records(one.body)[1]
    assert rejoined(connection, stored) == records(one.body)


def test_a_content_is_stored_once(connection: Any) -> None:
    writer = BodyWriter(connection, KEY)
    turns = [written(chat(turn, *(f"message {number}" for number in range(turn)))) for turn in range(1, 6)]
    stored = []
    for turn in turns:
        with transaction(connection):
            stored += writer.detach(1, [turn])
    assert column(connection, "SELECT refs FROM bodies ORDER BY id") == [5, 4, 3, 2, 1]
    assert [rejoined(connection, body) for body in stored] == [records(turn.body) for turn in turns]


def test_contents_of_several_writes_and_projects(connection: Any) -> None:
    writer = BodyWriter(connection, KEY)
    mine, plain, other = written(chat(1, "hello")), write(traces(span(3))), written(chat(2, "hello"))
    with transaction(connection):
        stored = writer.detach(1, [mine, plain, other])
        [foreign] = writer.detach(2, [written(chat(1, "hello"))])
    assert stored[1] == plain.body
    assert column(connection, "SELECT project FROM bodies ORDER BY id") == [1, 2]
    assert column(connection, "SELECT refs FROM bodies ORDER BY id") == [2, 1]
    assert rejoined(connection, foreign, project=1) == [b""]
    assert rejoined(connection, foreign, project=2) == records(mine.body)


def test_contents_fill_blocks(connection: Any) -> None:
    one = written(chat(1, *(f"{number} ".ljust(BLOCK_BYTES // 4, "x") for number in range(9))))
    with transaction(connection):
        [stored] = BodyWriter(connection, KEY).detach(1, [one])
    assert column(connection, "SELECT count(*) FROM bodies GROUP BY block ORDER BY block") == [4, 4, 1]
    assert rejoined(connection, stored) == records(one.body)


def test_digests_depend_on_the_key_of_the_file(connection: Any) -> None:
    for key in (KEY, KEY[::-1]):
        with transaction(connection):
            BodyWriter(connection, key).detach(1, [written(chat(1, "hello"))])
    assert column(connection, "SELECT count(DISTINCT digest) FROM body_digests") == [2]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_the_origin_is_the_earliest_span(connection: Any, order: tuple[int, ...]) -> None:
    writer = BodyWriter(connection, KEY)
    turns = [written(chat(number, "hello", start=START + number, end=START + 10)) for number in (1, 2, 3)]
    for number in order:
        with transaction(connection):
            writer.detach(1, [turns[number]])
    found = connection.execute("SELECT start_unix_nano, trace_id, span_id FROM bodies").fetchall()
    assert found == [(START + 1, bytes.fromhex(TRACE), (1).to_bytes(8, "big"))]


def test_what_is_rolled_back_is_forgotten(connection: Any) -> None:
    writer = BodyWriter(connection, KEY)
    connection.execute("BEGIN")
    writer.detach(1, [written(chat(1, "lost", "hello"))])
    connection.execute("ROLLBACK")
    for number, texts in enumerate([("kept", "hello"), ("lost", "hello")], 2):
        one = written(chat(number, *texts))
        with transaction(connection):
            [stored] = writer.detach(1, [one])
        assert rejoined(connection, stored) == records(one.body)
    assert column(connection, "SELECT refs FROM bodies ORDER BY id") == [1, 2, 1]
    assert sorted(writer.recent) == column(connection, "SELECT id FROM bodies ORDER BY id")


def test_a_new_writer_knows_what_is_stored(connection: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "GENERATION_BITS", 3)
    monkeypatch.setattr(digests, "REMEMBERED", 4)
    texts = [f"text {number}" for number in range(600)]  # 75 generations: more than one word of filters
    for number, at in enumerate(range(0, 600, 50)):
        with transaction(connection):
            BodyWriter(connection, KEY).detach(1, [written(chat(number, *texts[at : at + 50]))])
    again = written(chat(99, *texts, "new"))
    with transaction(connection):
        [stored] = BodyWriter(connection, KEY).detach(1, [again])
    assert column(connection, "SELECT count(*) FROM bodies") == [601]
    assert column(connection, "SELECT count(*) FROM digest_filters") == [601 >> 3]
    assert rejoined(connection, stored) == records(again.body)


def test_references_are_released(connection: Any) -> None:
    writer = BodyWriter(connection, KEY)
    with transaction(connection):
        stored = writer.detach(1, [written(chat(1, "a", "b")), written(chat(2, "b"))])
        writer.release(dict.fromkeys(bodies.body_ids(records(stored[0])[0]), 1))
    assert column(connection, "SELECT refs FROM bodies ORDER BY id") == [0, 1]


@pytest.mark.parametrize("structured", [False, True])
def test_damage_hides_no_span(connection: Any, structured: bool, caplog: pytest.LogCaptureFixture) -> None:
    messages = [message("x" * 300), message("y")]
    built = span(1, {**CHAT, "gen_ai.input.messages": messages if structured else json.dumps(messages)})
    with transaction(connection):
        [stored] = BodyWriter(connection, KEY).detach(1, [written(built)])
        connection.execute("UPDATE body_blocks SET data = x'00'")
    [raw] = rejoined(connection, stored)
    found = Span.FromString(raw)
    assert found.attributes[0] == built.attributes[0]
    assert len(raw) == len(built.SerializeToString())
    assert "cannot be read" in caplog.text


@pytest.mark.parametrize("structured", [False, True])
def test_damage_hides_no_log_record(tmp_path: Path, structured: bool) -> None:
    """Its message is blank, all else of it is there."""
    text = "x" * 300
    body = any_value({"content": text} if structured else text)
    record = log({"note": "stays"}, trace=TRACE, span_id=b"\1" * 8, event_name="gen_ai.user.message", body=body)
    store = SqliteStore(tmp_path / "replay.db")
    store.commit(write(logs(record, log({"note": "other"}, trace=TRACE))))
    assert record in [one.record for one in store.logs_of_trace(1, TRACE)]
    on_the_writer(store, "UPDATE body_blocks SET data = x'00'")
    found = sorted((one.record for one in store.logs_of_trace(1, TRACE)), key=lambda one: one.event_name)
    store.close()
    assert [one.attributes[0].value.string_value for one in found] == ["other", "stays"]
    assert "x" not in found[1].body.string_value
    assert len(found[1].SerializeToString()) == len(record.SerializeToString())


@pytest.mark.slow
def test_conversations_that_repeat_their_history_take_less_than_a_third() -> None:
    """Of what the same store takes with every span whole, rows and full text counted in."""
    shared, whole = shared_bodies(100)
    assert shared <= 0.3 * whole
