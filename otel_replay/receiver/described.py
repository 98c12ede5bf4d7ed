"""Free-form facts of a visit, brought to the names that the rest of the program knows; what has none stays as JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from otel_replay.errors import InvalidRequest
from otel_replay.events import CODE_LANGUAGE, CODE_SNIPPET, CODE_WORKSPACE, SNAPSHOT_STATE
from otel_replay.receiver.telling import METRIC_NAME, Value, json_text, metric_name
from otel_replay.sdk.definitions import METADATA

CALL_FACTS = "otel_replay.request.metadata"
"""JSON: what was told of a request beyond the parameters that the GenAI conventions name."""

MAX_METRICS = 100
MAX_METADATA = 16 * 1024
"""Characters of JSON: it stands in every line of a list."""

_PARAMETERS = ("temperature", "top_p", "top_k", "max_tokens", "frequency_penalty", "presence_penalty", "seed")
_HUMP = re.compile(r"(?<=[a-z0-9])([A-Z])")

_DESCRIBING = {
    "userId": "user.id",
    "user_id": "user.id",
    "feature": "feature",
    "label": "label",
    "variant": "variant",
}
"""Metadata that is an attribute of the session."""

_CODE: dict[str, tuple[tuple[str, ...], type]] = {
    "code.file.path": (("file", "filePath", "activeFile", "path"), str),
    "code.line.number": (("line", "lineNumber"), int),
    "code.column.number": (("column", "columnNumber"), int),
    CODE_SNIPPET: (("snippet", "code", "content"), str),
    CODE_LANGUAGE: (("language", "languageId"), str),
}
"""Attribute to what editors' extensions call it, and its type; a cursor is an object with line and column."""

_CURSOR = ("cursor", "cursorPosition", "position")


def described(metadata: Mapping[str, Any] | None) -> dict[str, Value]:
    """Attributes of a session for its metadata: all of it as JSON, and what the lists of sessions know of it.

    Raises :class:`InvalidRequest` for more than :data:`MAX_METADATA`.
    """
    if not metadata:
        return {}
    known = {key: value for name, key in _DESCRIBING.items() if isinstance(value := metadata.get(name), str) and value}
    text = json_text(metadata) or ""
    if len(text) > MAX_METADATA:
        raise InvalidRequest(f"metadata: {len(text)} characters of JSON, at most {MAX_METADATA} are taken")
    return {**known, METADATA: text}


def parameters(told: Mapping[str, Any]) -> tuple[dict[str, Value], dict[str, Any]]:
    """Attributes of the parameters that the GenAI conventions name, in snake or camel case, and the rest."""
    known: dict[str, Value] = {}
    rest: dict[str, Any] = {}
    for name, value in told.items():
        plain = _HUMP.sub(r"_\1", name).lower()
        if plain in _PARAMETERS and _is_number(value):
            known[f"gen_ai.request.{plain}"] = value
        else:
            rest[name] = value
    return known, rest


def snapshot_values(
    code: Mapping[str, Any] | None, metrics: Mapping[str, Any] | None, workspace: Any
) -> dict[str, Value]:
    """Attributes of a snapshot; what of it has no attribute is in its state, as JSON."""
    places, code_left = _code(code or {})
    measures, metrics_left = _metrics(metrics or {})
    left = {name: value for name, value in (("codeContext", code_left), ("systemMetrics", metrics_left)) if value}
    return {
        **places,
        CODE_WORKSPACE: json_text(workspace),
        **measures,
        SNAPSHOT_STATE: json_text(left or None),
    }


def _code(told: Mapping[str, Any]) -> tuple[dict[str, Value], dict[str, Any]]:
    left = dict(told)
    cursor: dict[str, Any] = next((left.pop(name) for name in _CURSOR if isinstance(left.get(name), dict)), {})
    places = {**_places(left), **_places(cursor)}
    return places, {**left, **({"cursor": cursor} if cursor else {})}


def _places(told: dict[str, Any]) -> dict[str, Value]:
    """Takes out of ``told`` what it returns."""
    found: dict[str, Value] = {}
    for key, (names, kind) in _CODE.items():
        name = next((one for one in names if type(told.get(one)) is kind), None)
        if name is not None and (kind is str or _is_number(told[name])):
            found[key] = told.pop(name)
    return found


def _metrics(told: Mapping[str, Any]) -> tuple[dict[str, Value], dict[str, Any]]:
    """Numbers by the names of measures, those of nested objects with dots; and the rest."""
    numbers: dict[str, Value] = {}
    left: dict[str, Any] = {}
    for name, value in _flat(told, "", 0):
        if METRIC_NAME.fullmatch(name) and _is_number(value):
            numbers[metric_name(name)] = value
        else:
            left[name] = value
    if len(numbers) > MAX_METRICS:
        raise InvalidRequest(f"systemMetrics: {len(numbers)} numbers, at most {MAX_METRICS} are taken")
    return numbers, left


def _flat(told: Mapping[str, Any], before: str, level: int) -> Iterator[tuple[str, Any]]:
    for name, value in told.items():
        if isinstance(value, dict) and level < 5:
            yield from _flat(value, f"{before}{name}.", level + 1)
        else:
            yield f"{before}{name}", value


def _is_number(value: Any) -> bool:
    """Whether an attribute can hold it as a number."""
    return (isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63) or isinstance(value, float)
