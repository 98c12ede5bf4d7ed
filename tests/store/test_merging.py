"""Which writes become one block, and what a block says of them."""

from __future__ import annotations

from dataclasses import replace

from otel_replay.model import Signal, Source
from otel_replay.store.base import Write
from otel_replay.store.merging import BLOCK_BYTES, Run, merge, mergeable

SMALL = Write(project=1, signal=Signal.TRACES, source=Source.SERVER, received_unix_nano=5, body=b"x", items=1)


def test_only_writes_of_one_kind_are_merged() -> None:
    others = [
        replace(SMALL, project=2),
        replace(SMALL, signal=Signal.LOGS),
        replace(SMALL, source=Source.BROWSER),
    ]
    groups = mergeable([SMALL, *others, SMALL, replace(SMALL, body=b""), *others])
    assert groups == [[one, one] for one in (SMALL, *others)]


def test_a_block_ends_with_the_request_that_fills_it() -> None:
    half = replace(SMALL, body=bytes(BLOCK_BYTES // 2))
    huge = replace(SMALL, body=bytes(3 * BLOCK_BYTES))
    assert mergeable([half, half, half]) == [[half, half], [half]]
    assert mergeable([SMALL, huge, half]) == [[SMALL, huge], [half]]
    assert mergeable([]) == []


def test_a_block_tells_what_its_writes_told() -> None:
    writes = [
        replace(SMALL, start_unix_nano=3, last_start_unix_nano=4, end_unix_nano=9, errors=2, key_id=7),
        replace(SMALL, start_unix_nano=2, last_start_unix_nano=8, end_unix_nano=8, received_unix_nano=6, key_id=7),
        replace(SMALL, start_unix_nano=5, last_start_unix_nano=5, end_unix_nano=5, items=3, key_id=8),
    ]
    writes[0] = replace(writes[0], services=frozenset(["a"]), trace_ids=frozenset([b"1"]))
    writes[1] = replace(writes[1], services=frozenset(["b"]), session_ids=frozenset(["s"]), trace_ids=frozenset([b"2"]))
    block = merge(writes, [b"12", b"345", b"6"])
    assert block[:11] == (1, Signal.TRACES, Source.SERVER, 0, 0, 6, 2, 8, 9, 5, 2)
    assert block.services == {"a", "b"}
    assert (block.trace_ids, block.session_ids) == (frozenset((b"1", b"2")), frozenset("s"))
    assert (block.runs, block.body) == ((Run(7, 5), Run(8, 1)), b"123456")
