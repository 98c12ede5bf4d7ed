"""Small requests taken together: each is answered as if it had come alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from itertools import count
from typing import Any

import pytest

from otel_replay.errors import InvalidRequest, StoreUnavailable
from otel_replay.model import Signal, Source
from otel_replay.receiver import batching
from otel_replay.receiver.batching import BatchingHandler
from otel_replay.receiver.handler import Sender
from otel_replay.store.base import Receipt, Write
from otel_replay.store.memory import MemoryStore
from tests.store.requests import TRACE, span, traces

SERVER, BROWSER = Sender(1, Source.SERVER), Sender(1, Source.BROWSER)


class Watched:
    """A memory store that keeps what it is given, and can be held up or fail."""

    def __init__(self) -> None:
        self.memory = MemoryStore()
        self.writes: list[Write] = []
        self.open = threading.Event()
        self.open.set()
        self.trouble: Exception | None = None

    def commit(self, write: Write) -> Receipt:
        assert self.open.wait(20)
        if self.trouble:
            raise self.trouble
        self.writes.append(write)
        return self.memory.commit(write)


@pytest.fixture
def store() -> Watched:
    return Watched()


@pytest.fixture
def handler(store: Watched) -> Iterator[BatchingHandler]:
    handler = BatchingHandler(store, count(1).__next__, lambda: None)
    handler.start()
    yield handler
    handler.stop()


def body(*numbers: int, **attributes: Any) -> bytes:
    return traces(*(span(number, attributes) for number in numbers)).SerializeToString()


def send_together(
    handler: BatchingHandler, store: Watched, bodies: Sequence[bytes], sender: Sender = SERVER
) -> list[Future[Any]]:
    """Sends all of them while the thread is held up by another request; the answers in the same order."""
    store.open.clear()
    answers = [_send(handler, body(999), SERVER), *(_send(handler, one, sender) for one in bodies)]
    batches: Any = handler._batches
    while len(batches._waiting) < len(bodies):
        assert not any(answer.done() for answer in answers)
    store.open.set()
    return answers[1:]


def _send(handler: BatchingHandler, sent: bytes, sender: Sender) -> Future[Any]:
    answer: Future[Any] = Future()

    def run() -> None:
        try:
            answer.set_result(handler.export(Signal.TRACES, sent, sender))
        except Exception as error:  # noqa: BLE001 - looked at by the test
            answer.set_exception(error)

    threading.Thread(target=run).start()
    if sent == body(999):
        store: Any = handler._store
        batches: Any = handler._batches
        while batches._waiting or store.open.is_set():  # until the thread holds it
            pass
    return answer


def numbers(store: Watched) -> list[int]:
    return sorted(int(one.span_id, 16) for one in store.memory.spans_of_trace(1, TRACE))


def test_good_requests_become_one_write(handler: BatchingHandler, store: Watched) -> None:
    answers = send_together(handler, store, [body(1), body(2, n=1), body(3, 4)])
    assert [answer.result(20).HasField("partial_success") for answer in answers] == [False] * 3
    assert [write.items for write in store.writes] == [1, 4]
    assert numbers(store) == [1, 2, 3, 4, 999]


def test_equal_requests_among_them_are_stored_once(handler: BatchingHandler, store: Watched) -> None:
    for answer in send_together(handler, store, [body(1), body(1), body(2)]):
        answer.result(20)
    assert [write.items for write in store.writes] == [1, 2]
    for answer in send_together(handler, store, [body(2), body(3)]):  # one that was stored before
        answer.result(20)
    assert numbers(store) == [1, 2, 3, 999]
    assert store.memory.counts()["spans"] == 4


def test_a_bad_one_hurts_no_other(handler: BatchingHandler, store: Watched) -> None:
    unusable = traces(span(5), span(0)).SerializeToString()  # its second span id is all zeros
    good, bad = send_together(handler, store, [body(1), unusable])
    assert not good.result(20).HasField("partial_success")
    assert bad.result(20).partial_success.rejected_spans == 1
    good, broken = send_together(handler, store, [body(2), b"\xff"])
    assert not good.result(20).HasField("partial_success")
    with pytest.raises(InvalidRequest):
        broken.result(20)
    assert numbers(store) == [1, 2, 5, 999]


def test_two_broken_halves_make_no_good_request(handler: BatchingHandler, store: Watched) -> None:
    whole = body(1, 2)
    for answer in send_together(handler, store, [whole[:50], whole[50:]]):
        with pytest.raises(InvalidRequest):
            answer.result(20)
    assert numbers(store) == [999]


def test_senders_are_kept_apart(handler: BatchingHandler, store: Watched) -> None:
    store.open.clear()
    held = _send(handler, body(999), SERVER)
    answers = [held, _send(handler, body(1), SERVER), _send(handler, body(2), BROWSER)]
    store.open.set()
    for answer in answers:
        answer.result(20)
    assert sorted((write.source, write.items) for write in store.writes)[-1] == (Source.BROWSER, 1)


def test_a_store_that_cannot_write_is_told_to_all(handler: BatchingHandler, store: Watched) -> None:
    store.trouble = StoreUnavailable("the disk is full")
    for answer in send_together(handler, store, [body(1), body(2)]):
        with pytest.raises(StoreUnavailable, match="the disk is full"):
            answer.result(20)


def test_without_its_thread_each_goes_its_own_way(store: Watched) -> None:
    handler = BatchingHandler(store, count(1).__next__, lambda: None)
    handler.export(Signal.TRACES, body(1), SERVER)
    handler.start()
    handler.stop()
    handler.stop()
    handler.export(Signal.TRACES, body(2), SERVER)
    assert numbers(store) == [1, 2]


def test_a_batch_waits_for_those_that_were_around_before(
    handler: BatchingHandler, store: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    for answer in send_together(handler, store, [body(1), body(2), body(3)]):
        answer.result(20)
    monkeypatch.setattr(batching, "COMING_S", 20.0)
    for number in (4, 5, 6):
        answer = _send(handler, body(number), SERVER)
        time.sleep(0.05)  # enough for its thread to take it if it did not wait
    answer.result(10)
    assert [write.items for write in store.writes] == [1, 3, 3]


def test_a_batch_does_not_wait_for_those_that_stay_away(handler: BatchingHandler, store: Watched) -> None:
    for answer in send_together(handler, store, [body(1), body(2), body(3)]):
        answer.result(20)
    _send(handler, body(4), SERVER).result(20)
    assert [write.items for write in store.writes] == [1, 3, 1]


def test_one_that_is_alone_is_taken_at_once(
    handler: BatchingHandler, store: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "COMING_S", 20.0)
    for number in range(1, 4):
        _send(handler, body(number), SERVER).result(10)
    assert numbers(store) == [1, 2, 3]


def test_who_leaves_early_does_not_hurt_the_others(handler: BatchingHandler, store: Watched) -> None:
    """A cancelled HTTP request cancels the future it waits for."""
    store.open.clear()
    left = handler.export_soon(Signal.TRACES, body(1), SERVER)
    assert left is not None
    left.cancel()
    store.open.set()
    _send(handler, body(2), SERVER).result(20)
    left.result(20)
    assert numbers(store) == [1, 2]


def test_trouble_nobody_foresaw_is_told_and_does_not_end_the_thread(handler: BatchingHandler, store: Watched) -> None:
    store.trouble = ValueError("a mistake of ours")
    for answer in send_together(handler, store, [body(1), body(2)]):
        with pytest.raises(ValueError, match="a mistake of ours"):
            answer.result(20)
    store.trouble = None
    for answer in send_together(handler, store, [body(1), body(2)]):
        answer.result(20)
    assert numbers(store) == [1, 2, 999]


def test_what_waits_when_it_stops_is_finished_and_later_ones_go_their_own_way(
    handler: BatchingHandler, store: Watched
) -> None:
    store.open.clear()
    waiting = [handler.export_soon(Signal.TRACES, body(number), SERVER) for number in (1, 2)]
    batches: Any = handler._batches
    stopping = threading.Thread(target=handler.stop)
    stopping.start()
    while not batches._closed:
        pass
    assert batches.put(body(3), SERVER) is None
    store.open.set()
    stopping.join(20)
    assert all(answer is not None and answer.done() for answer in waiting)
    handler.export(Signal.TRACES, body(3), SERVER)
    assert numbers(store) == [1, 2, 3]
