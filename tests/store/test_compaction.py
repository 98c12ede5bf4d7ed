"""Compaction: every record is found exactly once, before, after and in the middle of it, and a trace in few blocks."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zstandard
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_replay.errors import StoreUnavailable
from otel_replay.model import Signal, Source
from otel_replay.otlp import thin
from otel_replay.store import compacting
from otel_replay.store.base import Write
from otel_replay.store.compacting import FEW_BLOCKS, LAST_LEVEL
from otel_replay.store.merging import BLOCK_BYTES, Run
from otel_replay.store.records import BLANK, StoredBlock
from otel_replay.store.sqlite import SqliteReader, SqliteStore
from otel_replay.store.sqlite.compaction import Rewriter, _StoredContents
from tests.store.requests import CHAT, ERROR, START, log, logs, metrics, span, traces, write
from tests.store.test_telemetry import from_the_future
from tests.store.writing import another_process, rest, said

pytestmark = pytest.mark.slow

HOUR_NS = 3600 * 10**9


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "replay.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(path)
    yield opened
    opened.close()


def trace_id(number: int) -> str:
    return f"{number + 0x6925D0F3 * 2**96:032x}"


def rows(store: SqliteReader, columns: str, where: str = "1") -> list[Any]:
    return store._rows(f"SELECT {columns} FROM blocks WHERE {where} ORDER BY id", ())


def fill(store: SqliteStore, requests: int, spans: int = 20, padding: int = 0, among: int = 50) -> dict[str, set[str]]:
    """Requests with spans of traces drawn at random, every third trace in a session. Gives the spans of each trace."""
    random_ = random.Random(requests)
    sent: dict[str, set[str]] = {}
    for request in range(requests):
        made = []
        for number in range(spans):
            trace = random_.randrange(among)
            attributes: dict[str, Any] = {"n": number, "noise": random_.randbytes(padding).hex()}
            if trace % 3 == 0:
                attributes["session.id"] = f"s{trace // 9}"
            one = span(1 + request * spans + number, attributes, trace=trace_id(trace), start=START + request)
            sent.setdefault(trace_id(trace), set()).add(one.span_id.hex())
            made.append(one)
        resource = {"service.name": f"service-{request % 3}"}
        store.commit(write(traces(*made, resource=resource), received=START + request))
    return sent


def found(store: SqliteReader, ids: Iterator[str] | list[str]) -> dict[str, set[str]]:
    answers = {one: [each.span_id for each in store.spans_of_trace(1, one)] for one in ids}
    assert all(len(set(spans)) == len(spans) for spans in answers.values())
    return {one: set(spans) for one, spans in answers.items()}


def test_every_span_is_found_after_compaction(store: SqliteStore) -> None:
    sent = fill(store, 120)
    sessions = {f"s{number}": numbers(store, f"s{number}") for number in range(6)}
    assert len(rows(store, "id")) == 120
    store.compact_now()
    assert found(store, list(sent)) == sent
    assert {one: numbers(store, one) for one in sessions} == sessions
    assert store.counts()["spans"] == 2400
    assert len(rows(store, "id")) < 2 * FEW_BLOCKS


def numbers(store: SqliteReader, session: str) -> list[str]:
    return sorted(one.span_id for one in store.spans_of_session(1, session))


def test_records_and_envelopes_stay_byte_for_byte(store: SqliteStore) -> None:
    """Unknown fields too, at every depth."""
    request = from_the_future()
    for number in range(FEW_BLOCKS):
        store.commit(write(traces(span(number + 10, trace=trace_id(number)))))
    before = store.trace(1, "0af7651916cd43dd8448eb211c80319c")
    store.commit(write(request))
    sent = store.trace(1, "0af7651916cd43dd8448eb211c80319c")
    assert before != sent == request.SerializeToString()
    store.compact_now()
    assert len(rows(store, "id")) == 1
    assert store.trace(1, "0af7651916cd43dd8448eb211c80319c") == sent


def test_what_was_said_comes_back(store: SqliteStore) -> None:
    """Spans whose contents are stored apart move as they are."""
    words = [f"message {number}: " + "so it was said. " * 40 for number in range(FEW_BLOCKS)]
    for number, text in enumerate(words):
        said = CHAT | {
            "gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "text", "content": text}]}])
        }
        store.commit(write(traces(span(number + 1, said, trace=trace_id(number)))))
    before = [store.trace(1, trace_id(number)) for number in range(FEW_BLOCKS)]
    store.compact_now()
    assert len(rows(store, "id")) == 1
    assert [store.trace(1, trace_id(number)) for number in range(FEW_BLOCKS)] == before
    assert all(text.encode() in one for text, one in zip(words, before, strict=True))


def test_summaries_do_not_need_what_was_said(store: SqliteStore) -> None:
    """Sessions, times and errors of spans whose contents are apart, as texts and as structured messages."""
    messages = [{"role": "user", "parts": [{"type": "text", "content": "so it was said. " * 40}]}]
    for number in range(1, FEW_BLOCKS + 1):
        said = CHAT | {"gen_ai.input.messages": [messages, json.dumps(messages), "plain" * 300][number % 3]}
        named = said | {"session.id": f"s{number}"}
        store.commit(write(traces(span(number, named, trace=trace_id(number), start=START + number, status=ERROR))))
    before = store._rows(_SUMMARY, ())
    store.compact_now()
    assert len(rows(store, "id")) == 1
    assert store._rows(_SUMMARY, ()) == before
    assert [len(store.spans_of_session(1, f"s{number}")) for number in (3, 4, 5)] == [1, 1, 1]
    assert len(store.spans_of_trace(1, trace_id(3))) == 1


def test_a_session_id_so_large_that_it_is_stored_apart(store: SqliteStore) -> None:
    huge = "s" * 3000
    for number in range(1, FEW_BLOCKS + 1):
        store.commit(write(traces(span(number, CHAT | {"session.id": huge}))))
    store.compact_now()
    assert len(rows(store, "id")) == 1
    assert len(store.spans_of_session(1, huge)) == FEW_BLOCKS


def test_outlines_are_as_long_as_what_was_taken_out(store: SqliteStore) -> None:
    """Then they read like the record; otherwise everything would have to be read, or be lost."""
    text = json.dumps([{"role": "user", "parts": [{"type": "text", "content": "so it was said. " * 40}]}])
    store.commit(write(traces(span(1, CHAT | {"gen_ai.input.messages": text, "session.id": "s1"}))))
    ((data,),) = rows(store, "data")
    (piece,) = thin.slices(zstandard.decompress(data))
    with store._connections.snapshot() as connection:
        contents = _StoredContents(connection, 1)
        outline, whole = contents.outline(piece.raw), contents.whole(piece.raw)
    assert len(piece.raw) < len(outline) == len(whole)
    assert outline != whole
    assert outline.replace(BLANK, b"") in whole.replace(BLANK, b"").replace(text[1:-1].encode(), b"")


def test_contents_that_are_gone_hold_up_nothing(store: SqliteStore, caplog: pytest.LogCaptureFixture) -> None:
    text = json.dumps([{"role": "user", "parts": [{"type": "text", "content": "so it was said. " * 40}]}])
    for number in range(1, FEW_BLOCKS + 1):
        store.commit(write(traces(span(number, CHAT | {"gen_ai.input.messages": text + " " * number}))))
    with caplog.at_level("CRITICAL"):
        store._run_beside(lambda: store._database.execute("DELETE FROM bodies"))
        before = store.trace(1, "0af7651916cd43dd8448eb211c80319c")
        store.compact_now()
        assert len(rows(store, "id")) == 1
        assert store.trace(1, "0af7651916cd43dd8448eb211c80319c") == before


def test_a_long_trace_ends_in_few_blocks(store: SqliteStore) -> None:
    """Its spans came in 100 requests, each among 160 KB of others."""
    long = trace_id(10**6)
    fill_among = fill(store, 100, spans=100, padding=600, among=3_000)
    for number in range(100):
        store.commit(write(traces(span(10**6 + number, trace=long)), received=START + number))
    store.compact_now()
    with store._connections.snapshot() as connection:
        holding = store._index.blocks(connection, 0, store._hash(1, bytes.fromhex(long)))
    live = {block_id for (block_id,) in rows(store, "id")}
    assert len(live & set(holding)) < FEW_BLOCKS
    assert max(level for (level,) in rows(store, "level")) >= 1
    assert len(store.spans_of_trace(1, long)) == 100
    some = list(fill_among)[:50]
    assert found(store, some) == {one: fill_among[one] for one in some}


def test_partitions_are_those_of_the_key(store: SqliteStore) -> None:
    """A trace, or all traces of a session, stand in one partition of their level, and blocks have their size."""
    fill(store, 80, spans=100, padding=600, among=1_000)
    store.compact_now()
    partitions: dict[tuple[int, str], set[int]] = {}
    for level, partition, data in rows(store, "level, partition, data", f"level < {LAST_LEVEL}"):
        assert partition < 16**level
        for piece in thin.slices(zstandard.decompress(data)):
            partitions.setdefault((level, piece.raw[2:18].hex()), set()).add(partition)
    assert len({one for found in partitions.values() for one in found}) == 16
    assert Counter(map(len, partitions.values())).most_common(1)[0][0] == 1
    sizes = [size for (size,) in rows(store, "raw_bytes", "level = 1")]
    assert max(sizes) < 2 * BLOCK_BYTES
    assert sum(sizes) / len(sizes) > BLOCK_BYTES / 2


class Whole:
    """Contents of records of which nothing was taken out."""

    def whole(self, record: bytes) -> bytes:
        return record

    outline = whole


def test_partitions_are_cut_into_partitions() -> None:
    """By the next four bits of the key, whatever the others are."""
    keys = {bytes.fromhex(trace_id(number)): number << 56 | number for number in range(256)}
    noise = {"noise": random.Random(0).randbytes(20_000).hex()}
    body = b"".join(traces(span(1, noise, trace=one.hex())).SerializeToString() for one in keys)
    block = StoredBlock(1, 1, Signal.TRACES, Source.SERVER, 1, 5, START, (Run(0, len(body)),), body)
    made = compacting.compact([block], Whole(), keys.__getitem__)
    assert {one.level for one in made} == {2}
    assert {one.partition for one in made} == {5 * 16 + low for low in range(16)}
    for one in made:
        assert {keys[trace] >> 56 & 15 for trace in one.trace_ids} == {one.partition % 16}


def test_a_partition_is_cut_into_equal_blocks_between_traces() -> None:
    noise = {"noise": random.Random(0).randbytes(2_000).hex()}
    spans = [span(number, noise, trace=trace_id(number // 2)) for number in range(2, 150)]
    body = traces(*spans).SerializeToString()
    block = StoredBlock(1, 1, Signal.TRACES, Source.SERVER, 0, 0, START, (Run(0, len(body)),), body)
    made = compacting.compact([block], Whole(), lambda name: int.from_bytes(name[-1:], "big"))
    assert len(made) == round(len(body) / BLOCK_BYTES) == 3
    assert all(abs(len(one.body) - len(body) / 3) < 10_000 for one in made)
    assert sum(len(one.trace_ids) for one in made) == 74


def test_the_traces_of_a_session_stand_together(store: SqliteStore) -> None:
    """Although only one span of each trace names it."""
    for number in range(600):
        session: dict[str, Any] = {"session.id": f"s{number % 10}"}
        spans = [span(2, session), span(1)] if number % 2 else [span(1), span(2, session)]
        for one in spans:
            one.trace_id = bytes.fromhex(trace_id(number))
            one.attributes.add(key="noise").value.string_value = random.Random(number).randbytes(1500).hex()
        store.commit(write(traces(*spans), received=START + number))
    store.compact_now()
    blocks_of: dict[int, set[int]] = {}
    for block_id, data in rows(store, "id, data"):
        for piece in thin.slices(zstandard.decompress(data)):
            blocks_of.setdefault(int.from_bytes(piece.raw[16:18], "big") % 10, set()).add(block_id)
    # Unsorted, every session is in every block; how many it is in now depends on the key of the file.
    assert max(map(len, blocks_of.values())) <= len(rows(store, "id")) / 2
    for name in range(10):
        assert len(store.spans_of_session(1, f"s{name}")) == 60


def test_only_like_is_put_with_like(store: SqliteStore) -> None:
    """Project, signal, source and day of arrival; metrics stay in their order."""
    day = 24 * HOUR_NS
    for number in range(FEW_BLOCKS):
        one = traces(span(number + 1))
        for project in (1, 2):
            store.commit(write(one, project=project, source=Source.BROWSER, received=START))
            store.commit(write(traces(span(number + 100)), project=project, received=START + day))
            store.commit(write(logs(log({"n": number})), project=project, received=START))
        store.commit(write(traces(span(number + 200)), received=START + 2 * day))
        store.commit(write(metrics(number), received=START))
    store.compact_now()
    kinds = Counter(rows(store, f"project, signal, source, received_unix_nano / {compacting.DAY_NS}"))
    assert Counter(kinds.values()) == {1: 7, FEW_BLOCKS: 1}
    assert kinds[1, Signal.METRICS, Source.SERVER, START // compacting.DAY_NS] == FEW_BLOCKS
    assert len(store.spans_of_trace(2, "0af7651916cd43dd8448eb211c80319c")) == 2 * FEW_BLOCKS


def test_summaries_are_those_of_the_records(store: SqliteStore) -> None:
    for number in range(FEW_BLOCKS):
        failed = span(2, trace=trace_id(number), start=START + 5, end=START + 50 + number, status=ERROR)
        request = traces(span(1, start=START - number), failed, resource={"service.name": f"api-{number % 2}"})
        store.commit(write(request))
    (before,) = store._rows(_SUMMARY, ())
    store.compact_now()
    assert len(rows(store, "id")) == 1
    assert store._rows(_SUMMARY, ()) == [before]
    assert [json.loads(names) for (names,) in rows(store, "services")] == [["api-0", "api-1"]]
    assert before[:3] == (START - FEW_BLOCKS + 1, START + 5, START + 50 + FEW_BLOCKS - 1)


_SUMMARY = (
    "SELECT min(start_unix_nano), max(last_start_unix_nano), max(end_unix_nano), sum(items), sum(errors) FROM blocks"
)


def test_what_each_key_wrote_stays_one_run(store: SqliteStore) -> None:
    spans = {1: set(), 2: set(), 3: set()}  # type: dict[int, set[bytes]]
    for number in range(1, 2 * FEW_BLOCKS + 1):
        key = 1 + number % 3
        one = span(number, trace=trace_id(number % 4))
        spans[key].add(one.span_id)
        store.commit(replace(write(traces(one)), key_id=key))
    store.compact_now()
    ((requests, data),) = rows(store, "requests, data")
    body = zstandard.decompress(data)
    at = 0
    for key, length in json.loads(requests):
        part = ExportTraceServiceRequest.FromString(body[at : at + length])
        kept = {one.span_id for group in part.resource_spans for scope in group.scope_spans for one in scope.spans}
        assert kept == spans.pop(key)
        at += length
    assert at == len(body)
    assert not spans


def test_logs_with_and_without_trace_or_session(store: SqliteStore) -> None:
    for number in range(3 * FEW_BLOCKS):
        records = [
            log({"n": number}, trace=trace_id(number % 5)),
            log({"n": number, "session.id": f"s{number % 4}"}),
            log({"n": number}, time=START + number * 60 * 10**9),
        ]
        store.commit(write(logs(*records), received=START + number))
    store.compact_now()
    assert len(rows(store, "id")) < FEW_BLOCKS
    assert store.counts()["log_records"] == 9 * FEW_BLOCKS
    assert sum(len(store.logs_of_trace(1, trace_id(number))) for number in range(5)) == 3 * FEW_BLOCKS
    assert sum(len(store.logs_of_session(1, f"s{number}")) for number in range(4)) == 3 * FEW_BLOCKS


def test_a_key_that_fills_blocks_alone_comes_to_rest(store: SqliteStore) -> None:
    """One endless trace is not written again level by level."""
    for number in range(64):
        noise = {"noise": random.Random(number).randbytes(50_000).hex()}
        store.commit(write(traces(*(span(10 * number + one, noise) for one in range(1, 4))), received=START + number))
    store.compact_now()
    levels = Counter(level for (level,) in rows(store, "level"))
    assert levels[LAST_LEVEL] >= 30
    assert set(levels) <= {0, 1, LAST_LEVEL}
    assert rows(store, "max(id)")[0][0] < 160
    assert len(store.spans_of_trace(1, "0af7651916cd43dd8448eb211c80319c")) == 192


def test_only_what_is_cold_is_sorted_in_the_background(path: Path) -> None:
    now = START + HOUR_NS // 10
    store = SqliteStore(path, clock=lambda: now)
    fill(store, FEW_BLOCKS + 3, spans=1)
    store.compact()
    assert len(rows(store, "id")) == FEW_BLOCKS + 3
    now = START + HOUR_NS
    store.compact()
    assert len(rows(store, "id")) == FEW_BLOCKS + 3  # it looked a moment ago
    store._maintenance._look_at = 0.0
    store.compact(lambda: True)
    assert len(rows(store, "id")) == FEW_BLOCKS + 3
    store.compact()
    assert len(rows(store, "id")) == 1
    store.close()


def test_a_damaged_block_stays_and_holds_up_no_other(store: SqliteStore, caplog: pytest.LogCaptureFixture) -> None:
    sent = fill(store, 2 * FEW_BLOCKS, spans=1, among=1)
    store._run_beside(lambda: store._database.execute("UPDATE blocks SET data = x'00' WHERE id = 3"))
    with caplog.at_level("CRITICAL"):
        store.compact_now()
    assert [row for row in rows(store, "id, level") if row[0] <= 2 * FEW_BLOCKS] == [(3, LAST_LEVEL)]
    assert len(found(store, list(sent))[trace_id(0)]) == 2 * FEW_BLOCKS - 1


def test_blocks_that_another_rewriting_took_are_not_taken_twice(store: SqliteStore) -> None:
    sent = fill(store, FEW_BLOCKS)
    rewriter: Rewriter = store._maintenance._compaction._rewriter
    ids = [block_id for (block_id,) in rows(store, "id")]

    def overtaken(blocks: Any, contents: Any) -> Any:
        assert rewriter.rewrite(ids[:1], lambda _blocks, _contents: ())
        return compacting.compact(blocks, contents, hash)

    assert rewriter.rewrite(ids, overtaken) is False
    assert [block_id for (block_id,) in rows(store, "id")] == ids[1:]
    assert rewriter.rewrite(ids[:1], overtaken) is False
    assert sum(map(len, found(store, list(sent)).values())) == 20 * (FEW_BLOCKS - 1)


def test_readers_in_the_middle_see_every_span_once(store: SqliteStore, path: Path) -> None:
    """From this process and from another one's view of the file, with small pieces and a busy index."""
    sent = fill(store, 4 * FEW_BLOCKS, among=5)
    reader = SqliteReader(path)
    done = threading.Event()
    wrong: list[object] = []

    def ask(asked: SqliteReader) -> None:
        while not done.is_set():
            if (answer := found(asked, list(sent))) != sent:
                wrong.append(answer)

    threads = [threading.Thread(target=ask, args=(asked,)) for asked in (store, reader)]
    for thread in threads:
        thread.start()
    for round_ in range(6):
        for number in range(FEW_BLOCKS):
            store.commit(write(traces(span(1, trace=trace_id(10**6 + number)), scope=f"{round_}")))
        store.compact_now()
    done.set()
    for thread in threads:
        thread.join()
    reader.close()
    assert not wrong


def test_a_query_in_pieces_follows_records_that_move(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is compacted between its first and its second snapshot."""
    monkeypatch.setattr("otel_replay.store.sqlite.telemetry.PIECE_BLOCKS", 4)
    sent = fill(store, 3 * FEW_BLOCKS, spans=1, among=1)
    bodies = store._reading(1, Signal.TRACES).bodies(0, [bytes.fromhex(trace_id(0))])
    seen = [next(bodies) for _ in range(4)]
    compacting_thread = threading.Thread(target=store.compact_now)
    compacting_thread.start()
    compacting_thread.join()
    seen += bodies
    ids = {piece.raw[20:28].hex() for body in seen for piece in thin.slices(body)}
    assert ids == sent[trace_id(0)]


def test_compaction_ends_with_the_store(path: Path) -> None:
    store = SqliteStore(path)
    fill(store, FEW_BLOCKS)
    store.close()
    with pytest.raises(StoreUnavailable):
        store.compact_now()


def one_of_each(number: int) -> Write:
    return write(traces(span(number, {"session.id": f"s{number}"})))


def test_a_kill_during_compaction_loses_nothing_and_doubles_nothing(path: Path) -> None:
    """One file, whose writer compacts all the time and is killed again and again."""
    stored = 0
    for kill_after in range(20, 26):
        with another_process("compact", str(path), str(stored + 1)) as process:
            for number in range(stored + 1, stored + 1 + kill_after):
                assert said(process) == str(number)
            process.kill()
            acknowledged = int([str(number), *rest(process)][-1])
        store = SqliteStore(path)
        ids = [int(one.span_id, 16) for one in store.spans_of_trace(1, "0af7651916cd43dd8448eb211c80319c")]
        stored = len(ids)
        assert sorted(ids) == list(range(1, stored + 1))
        assert stored in (acknowledged, acknowledged + 1)
        assert sum(items for (items,) in rows(store, "items")) == stored
        assert all(len(store.spans_of_session(1, f"s{number}")) == 1 for number in ids)
        store.close()
