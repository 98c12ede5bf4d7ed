"""Redaction of what arrives: OTLP requests and payloads of recordings. What is not hit stays byte for byte."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from otel_replay.model import Signal
from otel_replay.otlp import thin
from otel_replay.otlp.requests import RECORD_TYPES
from otel_replay.privacy.policy import Policies, Policy
from otel_replay.privacy.texts import Dropped, TextRedactor

_KEPT_FIELDS = frozenset({"trace_state", "schema_url", "unit", "severity_text"})
"""Texts whose form is fixed."""

_KEY_VALUE, _ANY_VALUE = KeyValue.DESCRIPTOR.full_name, AnyValue.DESCRIPTOR.full_name
_KEPT, _CHANGED, _DROPPED = range(3)
"""What became of a value."""


class Redactor:
    """Redacts by the rules of one project. ``count(rule, values)`` is told what was replaced."""

    def __init__(self, policy: Policy, key: bytes, count: Callable[[str, int], None]) -> None:
        self._texts = TextRedactor(policy, key, count)

    def touches(self, raw: bytes) -> bool:
        """Whether there may be something to find in bytes of any kind; False is certain."""
        return self._texts.touches(raw)

    def request(self, signal: Signal, body: bytes) -> bytes:
        """A valid OTLP protobuf request without what was found; the same object when nothing was."""
        if not self.touches(body):
            return body
        request, changed = thin.parse(body), False
        for group in request.resources:
            changed |= self._parts(group.resource, Resource)
            for scope in group.scopes:
                changed |= self._parts(scope.scope, InstrumentationScope)
                changed |= self._parts(scope.records, RECORD_TYPES[signal])
        left: bytes = request.SerializeToString() if changed else body
        return left

    def payload(self, payload: bytes) -> bytes:
        """A chunk's JSON without what was found; the same object when nothing was, or when it is no JSON."""
        if not self.touches(payload):
            return payload
        try:
            document = json.loads(payload)
            left = self._texts.document(document)
        except (ValueError, RecursionError):
            return payload
        # ASCII, so that lone surrogates of a page survive as escapes.
        return payload if left is document else json.dumps(left, separators=(",", ":")).encode("ascii")

    def _parts(self, parts: Any, kind: Any) -> bool:
        """Redacts encoded messages in their places; whether any was changed."""
        changed = False
        for place, raw in enumerate(parts):
            if self.touches(raw):
                message = kind.FromString(raw)
                if self._message(message):
                    parts[place] = message.SerializeToString()
                    changed = True
        return changed

    def _message(self, message: Any) -> bool:
        changed = False
        for field, value in message.ListFields():
            if field.message_type is None:
                changed |= self._text_field(message, field, value)
            elif field.message_type.full_name == _ANY_VALUE:
                changed |= self._value(value, self._texts.text) > _KEPT
            elif field.message_type.full_name == _KEY_VALUE:
                changed |= self._attributes(message, value)
            elif isinstance(value, Message):
                changed |= self._message(value)
            else:
                for item in value:
                    changed |= self._message(item)
        return changed

    def _text_field(self, message: Any, field: FieldDescriptor, value: Any) -> bool:
        if field.type != FieldDescriptor.TYPE_STRING or not isinstance(value, str) or field.name in _KEPT_FIELDS:
            return False
        left = self._texts.text(value)
        if left is not value:
            setattr(message, field.name, left)
        return left is not value

    def _attributes(self, owner: Any, attributes: Any) -> bool:
        """Redacts attributes; those that are to be dropped go, and are counted where OTLP counts them."""
        outcomes = [self._attribute(attribute) for attribute in attributes]
        dropped = [place for place, outcome in enumerate(outcomes) if outcome == _DROPPED]
        for place in reversed(dropped):
            del attributes[place]
        if dropped and hasattr(owner, "dropped_attributes_count"):
            owner.dropped_attributes_count = min(owner.dropped_attributes_count + len(dropped), 2**32 - 1)
        return any(outcomes)

    def _attribute(self, attribute: KeyValue) -> int:
        finding = self._texts.finding_of(attribute.key)
        if finding is None:
            return self._value(attribute.value, self._texts.text)
        with_numbers = self._texts.takes_numbers(attribute.key, finding)
        return self._value(attribute.value, lambda text: self._texts.value(text, finding), with_numbers, whole=True)

    def _value(
        self, value: AnyValue, redact: Callable[[str], str], with_numbers: bool = False, *, whole: bool = False
    ) -> int:
        """Redacts the texts in a value, ``with_numbers`` its numbers too; ``whole``: whatever their keys."""
        kind = value.WhichOneof("value")
        if kind == "array_value":
            items = [self._value(item, redact, with_numbers, whole=whole) for item in value.array_value.values]
            return max(items, default=_KEPT)
        if kind == "kvlist_value" and not whole:
            return int(self._attributes(value, value.kvlist_value.values))
        if kind == "kvlist_value":
            members = value.kvlist_value.values
            return max((self._value(one.value, redact, with_numbers, whole=True) for one in members), default=_KEPT)
        text = _as_text(value, kind, with_numbers)
        left = text if text is None else redact(text)
        if text is None or left is None or left is text:
            return _KEPT
        if kind == "bytes_value":
            value.bytes_value = left.encode()
        else:
            value.string_value = left
        return _DROPPED if isinstance(left, Dropped) else _CHANGED


def _as_text(value: AnyValue, kind: str | None, with_numbers: bool) -> str | None:
    if kind == "string_value":
        return value.string_value
    if kind == "bytes_value":
        try:
            return value.bytes_value.decode()
        except UnicodeDecodeError:
            return None
    if with_numbers and kind in ("int_value", "double_value"):
        return str(getattr(value, kind))
    return None


class ProjectRedaction:
    """The redactor of each project, made when it is first needed; ``name_of`` gives a project's name."""

    def __init__(
        self, policies: Policies, key: bytes, name_of: Callable[[int], str], count: Callable[[str, int], None]
    ) -> None:
        self._policies = policies
        self._key = key
        self._name_of = name_of
        self._count = count
        self._redactors: dict[int, Redactor] = {}

    def touches(self, project: int, raw: bytes) -> bool:
        return self.of(project).touches(raw)

    def request(self, project: int, signal: Signal, body: bytes) -> bytes:
        return self.of(project).request(signal, body)

    def payload(self, project: int, payload: bytes) -> bytes:
        return self.of(project).payload(payload)

    def of(self, project: int) -> Redactor:
        found = self._redactors.get(project)
        if found is None:
            policy = self._policies.of(self._name_of(project))
            found = self._redactors[project] = Redactor(policy, self._key, self._count)
        return found
