"""Events that get a kind and a title of their own: code context, system metrics, snapshots, verdicts on an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from otel_replay.events import (
    CODE_CONTEXT,
    CODE_LANGUAGE,
    EVALUATION,
    GAP_REASON,
    GAP_RECORDS,
    SESSION_SNAPSHOT,
    SYSTEM_METRICS,
)
from otel_replay.timeline.plain import one_line

Attributes = Mapping[str, Any]

_MEASURES: tuple[tuple[str, float, str], ...] = (
    ("system.cpu.utilization", 100, "CPU {:.0f} %"),
    ("system.memory.utilization", 100, "memory {:.0f} %"),
    ("process.cpu.utilization", 100, "process CPU {:.0f} %"),
    ("process.memory.usage", 1 / 2**20, "{:.0f} MiB"),
    ("process.thread.count", 1, "{:.0f} threads"),
    ("http.server.active_requests", 1, "{:.0f} active requests"),
)
"""Attribute, factor, words; in the order in which a title tells them."""

_PLACE = ("code.file.path", "code.line.number", "code.column.number")


class Happening(NamedTuple):
    """What an entry is made of beside the record itself."""

    kind: str
    title: str


def happening(event_name: str, attributes: Attributes) -> Happening | None:
    """Kind and title of the entry for such an event; None for every other log record.

    A value of another type than it should be is left out of the title, and stands in the entry's detail.
    """
    told = _TOLD.get(event_name)
    if told is None:
        return None
    kind, title = told
    return Happening(kind, one_line(title(attributes)) or event_name)


def gap(attributes: Attributes) -> Happening | None:
    """Kind and title of the entry for a span that stands for what was not recorded; None for every other span."""
    reason, records = attributes.get(GAP_REASON), attributes.get(GAP_RECORDS)
    if not isinstance(reason, str) or not reason:
        return None
    known = isinstance(records, int)
    count = "1 record was" if records == 1 else f"{records} records were" if known else "records were"
    return Happening("gap", one_line(f"{count} not kept: {reason}"))


def _code(attributes: Attributes) -> str:
    """``src/app.py:12:4 (python)``."""
    values = [attributes.get(key) for key in _PLACE]
    place = ":".join(str(value) for value in values if isinstance(value, str | int))
    language = attributes.get(CODE_LANGUAGE)
    words = [place, f"({language})" if isinstance(language, str) and language else ""]
    return " ".join(filter(None, words)) or "code context"


def _metrics(attributes: Attributes) -> str:
    """``CPU 12 %, memory 41 %, 96 MiB, 8 threads``."""
    return ", ".join(_measures(attributes)) or "system metrics"


def _snapshot(attributes: Attributes) -> str:
    """``snapshot: src/app.py:12, CPU 12 %``."""
    place = [_code(attributes)] if any(key in attributes for key in _PLACE) else []
    return ": ".join(filter(None, ["snapshot", ", ".join([*place, *_measures(attributes)])]))


def _evaluation(attributes: Attributes) -> str:
    """``user_feedback 0.5: too long``."""
    keys = ("gen_ai.evaluation.name", "gen_ai.evaluation.score.label", "gen_ai.evaluation.explanation")
    name, label, explanation = (value if isinstance(value := attributes.get(key), str) else "" for key in keys)
    score = _number(attributes, "gen_ai.evaluation.score.value")
    verdict = " ".join(filter(None, [name or "evaluation", label, "" if score is None else f"{score:g}"]))
    return ": ".join(filter(None, [verdict, explanation]))


def _measures(attributes: Attributes) -> list[str]:
    found = ((words, factor, _number(attributes, key)) for key, factor, words in _MEASURES)
    return [words.format(value * factor) for words, factor, value in found if value is not None]


def _number(attributes: Attributes, key: str) -> float | None:
    value = attributes.get(key)
    return None if isinstance(value, bool) or not isinstance(value, int | float) else value


_TOLD: dict[str, tuple[str, Callable[[Attributes], str]]] = {
    CODE_CONTEXT: ("code_context", _code),
    SYSTEM_METRICS: ("system", _metrics),
    SESSION_SNAPSHOT: ("system", _snapshot),
    EVALUATION: ("log", _evaluation),
}
