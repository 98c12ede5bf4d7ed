"""What dialects may look at: a span's attributes and events as plain Python, numbered keys nested."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from otel_replay.model import AiKind

Attributes = Mapping[str, Any]
Events = Sequence[tuple[str, Attributes]]
"""(name, attributes), in the order recorded."""


DETAILS_EVENT = "gen_ai.client.inference.operation.details"
"""Carries the content of an inference whose span carries none, as attributes of the span's own names: a log record, and
before that one of the span's own events."""


class Told(NamedTuple):
    """What log events say of a span's operation: attributes such as the span's own, and message events."""

    attributes: Attributes
    events: Events = ()


class SpanFacts:
    """A span, or what is known of it, and what it stands for."""

    def __init__(self, attributes: Attributes, events: Events, kind: AiKind, operation: str | None = None) -> None:
        self.attributes = attributes
        self.events = events
        self.kind = kind
        self.operation = operation

    def numbered(self, prefix: str) -> list[Any]:
        """What ``PREFIX.N`` and ``PREFIX.N.a.b`` hold, in the order of N, nested by the dots."""
        found = self._numbered.get(prefix, {})
        return [found[number] for number in sorted(found)]

    @cached_property
    def _numbered(self) -> dict[str, dict[int, Any]]:
        """One look at every key, whatever the number of prefixes that are asked for."""
        found: dict[str, dict[int, Any]] = {}
        for key, value in self.attributes.items():
            if match := _NUMBER.search(key):
                numbers = found.setdefault(key[: match.start()], {})
                _put(numbers, int(match[1]), key[match.end() :], value)
        return found


_NUMBER = re.compile(r"\.(\d{1,6})(?:\.|\Z)", re.ASCII)
_DEEPEST = 9
"""Levels of a numbered key that are followed; no dialect has more than eight."""


def _put(node: dict[Any, Any], name: Any, path: str, value: Any) -> None:
    """Sets what stands at a dotted path; of a path and a longer one that begins with it the first counts."""
    for step in path.split(".", _DEEPEST) if path else ():
        below: Any = node.setdefault(name, {})
        if not isinstance(below, dict):
            return
        node, name = below, step
    node.setdefault(name, value)


def in_order(value: Any) -> list[Any]:
    """The items of a list, or of an object whose names are numbers."""
    if isinstance(value, Mapping):
        numbered = [(int(key), key) for key in value if isinstance(key, str) and _IS_NUMBER.fullmatch(key)]
        return [value[key] for _, key in sorted(numbered)]
    return value if isinstance(value, list) else []


_IS_NUMBER = re.compile(r"\d{1,6}", re.ASCII)
