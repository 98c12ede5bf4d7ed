"""Names read off the bytes are those that a parser reads, or none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from otel_replay.genai.identity import SESSION_MARKERS, USER_MARKERS, Identity
from otel_replay.otlp.spans import join_records
from otel_replay.receiver.markers import Hits, MarkerScan
from otel_replay.receiver.prepare.findings import Findings
from otel_replay.receiver.prepare.naming import Naming, UsualName, UsualNames
from tests.genai.spans import any_value
from tests.receiver.wire import bytes_field

SESSION = UsualName(tag=0x4A, key="session.id")


def attribute(encoded: bytes, key: bytes = b"session.id", field: int = 9) -> bytes:
    return bytes_field(field, bytes_field(1, key) + bytes_field(2, bytes_field(1, encoded)))


def read(text: bytes, *bounds: int) -> list[str]:
    end = text.index(b"session.id") + len(b"session.id")
    return SESSION.read(text, bounds or (0, len(text)), Hits([0], [end]))


@pytest.mark.parametrize("name", ["s1", "ü", " s1", "x" * 111])
def test_a_string_as_it_is(name: str) -> None:
    assert read(b"before" + attribute(name.encode()) + b"after") == [name]


@pytest.mark.parametrize(
    "text",
    [
        attribute(b""),
        attribute(b"  "),
        attribute("\u3000".encode()),
        attribute(b"\xff"),
        attribute(b"x" * 112),
        attribute(b"s1", field=8),
        attribute(b"s1", key=b"my.session.id"),
        attribute(b"s1", key=b"session.ids"),
        attribute(b"s1")[:-1],
        attribute(b"s1")[:-3],
        attribute(b"s1")[:-6],
        bytes_field(9, KeyValue(key="session.id", value=any_value(7)).SerializeToString()),
        bytes_field(9, KeyValue(key="session.id", value=any_value(b"s1")).SerializeToString()),
        bytes_field(9, KeyValue(key="session.id", value=any_value(["s1"])).SerializeToString()),
    ],
    ids=str,
)
def test_anything_else_is_left_to_a_parser(text: bytes) -> None:
    assert read(text) == [""]


def test_what_lies_across_records_is_no_attribute() -> None:
    text = attribute(b"s1")
    assert read(text, 1, len(text)) == [""]
    assert read(text + b"x", 0, len(text) - 1) == [""]


SCAN = MarkerScan(SESSION_MARKERS, USER_MARKERS)
RECORDS = st.sampled_from(
    [
        b"",
        attribute(b"s1"),
        attribute(b"s2"),
        attribute(b"s1") + attribute(b"s2"),
        attribute(b"long"),
        attribute(b"  "),
        attribute(b"\xff\xff"),
        attribute(b"s1", field=8),
        attribute(b"s1")[:-1],
        attribute(b"s3")[1:],
        attribute(b"u1", key=b"user.id"),
        attribute(b"s1") + attribute(b"u1", key=b"user.id"),
    ]
)


def sessions_seen(records: list[bytes], assigned: dict[int, str], *, resource: str = "") -> tuple[object, ...]:
    """Everything that naming tells of these records, whose times are their numbers."""
    text, bounds = join_records(records)
    naming, found = Naming(), Findings()
    sessions, users = SCAN.find(text, bounds)
    unread = naming.read(text, bounds, sessions, users, UsualNames.under(0x4A))
    for record, session in assigned.items():
        naming.assign(record, Identity(session))
    naming.assign_rest(range(len(records)), Identity(resource))
    times = np.arange(len(records), dtype=np.uint64)
    naming.note_alike(times, times + np.uint64(3), found)
    naming.note(times, times + np.uint64(3), found)
    return unread, found.seen, found.told


@example([attribute(b"s1") + attribute(b"u1", key=b"user.id"), attribute(b"s2")], {})
@given(st.lists(RECORDS, max_size=12), st.dictionaries(st.integers(0, 11), st.sampled_from(["", "s1", "s9"])))
@pytest.mark.parametrize("resource", ["", "s2"])
def test_many_at_once_are_read_as_one_by_one(resource: str, records: list[bytes], assigned: dict[int, str]) -> None:
    assigned = {record: session for record, session in assigned.items() if record < len(records)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("otel_replay.receiver.prepare.naming._FEW", 1_000)
        one_by_one = sessions_seen(records, assigned, resource=resource)
        patch.setattr("otel_replay.receiver.prepare.naming._FEW", 0)
        assert sessions_seen(records, assigned, resource=resource) == one_by_one
