"""What a timeline is made of, and its JSON form (version 1, docs of the HTTP interface: "Timeline (JSON)")."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TextIO

from otel_replay.errors import ReplayError
from otel_replay.genai.prices import CostSource
from otel_replay.model import DomEvent, Gap, Usage

VERSION = 1
"""Of the JSON form: within a version fields are only added."""

KINDS = (
    "gap",
    "system",
    "action",
    "navigation",
    "dom",
    "console",
    "network",
    "error",
    "span",
    "agent",
    "interaction",
    "tool",
    "retrieval",
    "code_context",
    "log",
)
"""Every kind, in the order of entries that start at the same nanosecond: causes before what they bring about."""

_RANK = {kind: rank for rank, kind in enumerate(KINDS)}

Rel = Literal["caused_by", "rendered_by", "child_of", "same_call"]
Status = Literal["ok", "error", "unset"]


class Subject(NamedTuple):
    """What a timeline is about."""

    kind: Literal["trace", "session", "conversation"]
    id: str


@dataclass(frozen=True, slots=True)
class StreamView:
    """What is known of one stream of a recording: distilled events and missing chunks."""

    session_id: str
    stream_id: str
    dom_events: Sequence[DomEvent] = ()
    gaps: Sequence[Gap] = ()


class Link(NamedTuple):
    """From one entry to another; ``confidence`` runs from 0.0 to 1.0, and is 1.0 where the ids say it."""

    rel: Rel
    target: str
    basis: Literal["exact", "inferred"] = "exact"
    confidence: float = 1.0


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened. Ids that do not apply are empty; ``detail`` holds only what JSON can."""

    id: str
    kind: str
    start_unix_nano: int
    end_unix_nano: int
    raw_start_unix_nano: int
    """As the source's own clock had it."""
    title: str
    detail: Mapping[str, Any]
    status: Status = "unset"
    trace_id: str = ""
    span_id: str = ""
    parent_span_id: str = ""
    session_id: str = ""
    stream_id: str = ""
    links: tuple[Link, ...] = ()

    @property
    def order_key(self) -> tuple[int, int, str, str]:
        """Corrected start, rank of kind, id. The session only matters where two sessions chose one stream id."""
        return self.start_unix_nano, _RANK.get(self.kind, len(KINDS)), self.id, self.session_id

    def to_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "kind": self.kind,
            "start_unix_nano": str(self.start_unix_nano),
            "end_unix_nano": str(self.end_unix_nano),
            "raw_start_unix_nano": str(self.raw_start_unix_nano),
            "trace_id": self.trace_id,
            "span_id": self.span_id,
            "parent_span_id": self.parent_span_id,
            "session_id": self.session_id,
            "stream_id": self.stream_id,
            "title": self.title,
            "status": self.status,
            "detail": dict(self.detail),
            "links": [link._asdict() for link in self.links],
        }


@dataclass(frozen=True, slots=True)
class Timeline:
    """The merged, ordered, correlated result. Ids are sorted; ``calls``, ``tokens`` and ``cost_usd`` count every call
    once, whoever tells of it: ``timeline/counted.py``. ``cost_source`` is that of the least certain part of the sum."""

    subject: Subject
    sessions: tuple[str, ...]
    traces: tuple[str, ...]
    start_unix_nano: int
    end_unix_nano: int
    entries: tuple[Entry, ...]
    calls: int = 0
    tokens: Usage = field(default_factory=Usage)
    cost_usd: str | None = None
    cost_source: CostSource | None = None
    gaps: tuple[Gap, ...] = ()
    warnings: tuple[str, ...] = ()
    clock_reference: str = "receiver"

    @property
    def interactions(self) -> list[Entry]:
        """The entries that tell of LLM calls, in order; several may tell of one."""
        return [entry for entry in self.entries if entry.kind == "interaction"]

    def to_dict(self) -> dict[str, Any]:
        """The JSON form: times as strings of Unix nanoseconds, all entries, ``next_cursor`` None."""
        return self.to_dict_of(self.entries, None)

    def to_dict_of(self, entries: Sequence[Entry], next_cursor: str | None) -> dict[str, Any]:
        """The JSON form with some of the entries; all totals stay those of the whole timeline."""
        return {
            "version": VERSION,
            f"{self.subject.kind}_id": self.subject.id,
            "sessions": list(self.sessions),
            "traces": list(self.traces),
            "start_unix_nano": str(self.start_unix_nano),
            "end_unix_nano": str(self.end_unix_nano),
            "clock_reference": self.clock_reference,
            "entries": [entry.to_dict() for entry in entries],
            "interactions": self.calls,
            "cost_usd": self.cost_usd,
            "cost_source": self.cost_source,
            "tokens": usage_dict(self.tokens),
            "time_to_visible": [],
            "clock": [],
            "gaps": [gap_dict(gap) for gap in self.gaps],
            "warnings": list(self.warnings),
            "next_cursor": next_cursor,
        }

    def to_dataframe(self) -> Any:
        """A ``pandas.DataFrame`` of one row per entry, with the columns of the JSON form and times as integers.

        Raises :class:`ReplayError` when pandas, which nothing else here needs, is not installed.
        """
        try:
            pandas = importlib.import_module("pandas")
        except ImportError:
            raise ReplayError("to_dataframe() needs pandas", hint="pip install pandas") from None
        return pandas.DataFrame(self.to_rows(), columns=list(Entry.__dataclass_fields__))

    def to_rows(self) -> list[dict[str, Any]]:
        """One flat row per entry: the fields of :class:`Entry`, links as dictionaries."""
        return [
            {name: getattr(entry, name) for name in Entry.__dataclass_fields__}
            | {"detail": dict(entry.detail), "links": [link._asdict() for link in entry.links]}
            for entry in self.entries
        ]

    def print(self, file: TextIO | None = None) -> None:
        """Writes the timeline as text for people (None: to standard output)."""
        from otel_replay.timeline.text import render_text

        (file or sys.stdout).write(render_text(self))


def usage_dict(usage: Usage) -> dict[str, int | None]:
    """Token counts by their JSON names; null where nothing was reported."""
    return {
        "input": usage.input,
        "output": usage.output,
        "cache_read": usage.cache_read,
        "cache_write": usage.cache_write,
        "reasoning": usage.reasoning,
    }


def gap_dict(gap: Gap) -> dict[str, Any]:
    """A gap by its JSON names; sequence numbers stay numbers."""
    return {
        "stream_id": gap.stream_id,
        "after_seq": gap.after_seq,
        "missing": gap.missing,
        "reason": gap.reason,
        "from_unix_nano": str(gap.from_unix_nano),
        "to_unix_nano": str(gap.to_unix_nano),
        "resumes_at": gap.resumes_at,
    }
