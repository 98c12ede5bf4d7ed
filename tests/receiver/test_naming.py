"""Names read off the bytes are those that a parser reads, or none."""

from __future__ import annotations

import pytest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from otel_replay.receiver.markers import Hits
from otel_replay.receiver.prepare.naming import UsualName
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
