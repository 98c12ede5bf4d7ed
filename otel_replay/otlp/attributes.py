"""Attribute values as plain Python."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue


def any_value(value: AnyValue) -> Any:
    """``str``, ``bool``, ``int``, ``float``, ``bytes``, ``list``, ``dict``, or None for an empty value."""
    which = value.WhichOneof("value")
    if which is None:
        return None
    if which == "array_value":
        return [any_value(item) for item in value.array_value.values]
    if which == "kvlist_value":
        return attribute_map(value.kvlist_value.values)
    return getattr(value, which)


def attribute_map(attributes: Iterable[KeyValue]) -> dict[str, Any]:
    """Attributes by key. Keys should be unique (OTLP, common.proto); where they are not, the last one wins."""
    return {attribute.key: any_value(attribute.value) for attribute in attributes}
