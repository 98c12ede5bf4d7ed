"""Messages with every field set that their descriptors know, each to a value of its own.

Nothing here names a field of OTLP but the ids, whose length is given, and the times: what a later version of OTLP adds
is in the messages as soon as its package is installed.
"""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

NESTING = 2
"""How often a message may stand inside itself: an AnyValue in an array in an AnyValue."""

TIME = 1_763_600_000_123_456_789
"""A double cannot hold it."""

M = TypeVar("M", bound=Message)

ID_BYTES = {"trace_id": 16, "span_id": 8, "parent_span_id": 8}


class Maximal:
    """Makes messages; ``fixed`` gives the values of fields that a test wants to know beforehand, by full name."""

    def __init__(self, fixed: dict[str, Any] | None = None) -> None:
        self._fixed = fixed or {}
        self._numbers = itertools.count(1)

    def variants(self, kind: type[M]) -> list[M]:
        """Messages of which together every field is set: one for each branch of a ``oneof`` in them."""
        return cast(list[M], list(self._variants(kind.DESCRIPTOR, ())))

    def _variants(self, kind: Any, above: tuple[str, ...]) -> Iterator[Message]:
        above = (*above, kind.full_name)
        open_fields = [field for field in kind.fields if self._may_enter(field, above)]
        choices = {
            field.full_name: list(self._variants(field.message_type, above))
            for field in open_fields
            if field.message_type
        }
        branches = [
            [field for field in oneof.fields if field in open_fields]
            for oneof in kind.oneofs
            if not oneof.name.startswith("_")
        ]
        singular = [made for field in open_fields if (made := choices.get(field.full_name)) and not field.is_repeated]
        count = max([1, *map(len, branches), *(len(made) for made in singular)])
        # A branch that is a message with branches of its own needs a variant for each of them.
        plan = [[field for field in branch for _ in choices.get(field.full_name, [0])] for branch in branches]
        count = max([count, *map(len, plan)])
        for index in range(count):
            chosen = [fields[index % len(fields)] for fields in plan]
            message = GetMessageClass(kind)()
            for field in open_fields:
                if field.containing_oneof is None or field in chosen or field.containing_oneof.name.startswith("_"):
                    self._set(message, field, choices.get(field.full_name), index)
            yield message

    def _may_enter(self, field: FieldDescriptor, above: tuple[str, ...]) -> bool:
        return field.message_type is None or above.count(field.message_type.full_name) < NESTING

    def _set(self, message: Message, field: FieldDescriptor, choices: list[Message] | None, index: int) -> None:
        if choices is not None and field.is_repeated:
            getattr(message, field.name).extend(choices)
        elif choices is not None:
            getattr(message, field.name).CopyFrom(choices[index % len(choices)])
        elif field.is_repeated:
            getattr(message, field.name).extend([self._scalar(field), self._scalar(field)])
        else:
            setattr(message, field.name, self._fixed.get(field.full_name, self._scalar(field)))

    def _scalar(self, field: FieldDescriptor) -> Any:
        number = next(self._numbers)
        if field.name in ID_BYTES:
            return number.to_bytes(ID_BYTES[field.name], "big")
        if field.name.endswith("time_unix_nano"):
            return TIME + number
        if field.enum_type is not None:
            known = [value.number for value in field.enum_type.values if value.number]
            return known[number % len(known)]
        return _BY_TYPE[field.type](number)


_BY_TYPE: dict[int, Callable[[int], Any]] = {
    FieldDescriptor.TYPE_BOOL: lambda number: True,
    FieldDescriptor.TYPE_BYTES: lambda number: b"\x00\xff" + number.to_bytes(4, "big"),
    FieldDescriptor.TYPE_DOUBLE: lambda number: number + 0.1,
    FieldDescriptor.TYPE_FIXED32: lambda number: 2**32 - number,
    FieldDescriptor.TYPE_FIXED64: lambda number: 2**64 - number,
    FieldDescriptor.TYPE_INT32: lambda number: -number,
    FieldDescriptor.TYPE_INT64: lambda number: number - 2**63,
    FieldDescriptor.TYPE_SFIXED64: lambda number: number - 2**63,
    FieldDescriptor.TYPE_SINT32: lambda number: number - 2**31,
    FieldDescriptor.TYPE_STRING: lambda number: f'text {number} "é😀\\',
    FieldDescriptor.TYPE_UINT32: lambda number: 2**32 - number,
    FieldDescriptor.TYPE_UINT64: lambda number: 2**64 - number,
}


def known_fields(kind: Descriptor) -> set[str]:
    """The full names of all fields that a message of this kind can hold, at any depth."""
    found: set[str] = set()
    waiting = [kind]
    while waiting:
        for field in waiting.pop().fields:
            if field.full_name not in found:
                found.add(field.full_name)
                waiting += [field.message_type] if field.message_type else []
    return found


def set_fields(message: Message) -> set[str]:
    """The full names of all fields that are set in a message, at any depth."""
    found: set[str] = set()
    for field, value in message.ListFields():
        found.add(field.full_name)
        if field.message_type:
            for one in value if field.is_repeated else [value]:
                found |= set_fields(one)
    return found


def otlp_json(message: Message) -> Any:
    """OTLP's JSON mapping by the letter of its specification, written down a second time to check the first."""
    return _renamed(json_format.MessageToDict(message, use_integers_for_enums=True), _hexadecimal)


def from_otlp_json(document: Any, kind: type[Message]) -> Message:
    """The message of an OTLP/JSON document; unlike a receiver it takes no unknown name."""
    return json_format.ParseDict(_renamed(document, _base64), kind())


_JSON_IDS = {"traceId", "spanId", "parentSpanId"}


def _renamed(value: Any, convert: Callable[[str], str]) -> Any:
    if isinstance(value, list):
        return [_renamed(item, convert) for item in value]
    if isinstance(value, dict):
        return {name: convert(item) if name in _JSON_IDS else _renamed(item, convert) for name, item in value.items()}
    return value


def _hexadecimal(text: str) -> str:
    return base64.b64decode(text).hex()


def _base64(text: str) -> str:
    return base64.b64encode(bytes.fromhex(text)).decode()
