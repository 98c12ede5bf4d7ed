"""Puts what the context says about session, conversation and user on spans and log records as they start.

Only allow-listed keys of the baggage are taken (``context.BAGGAGE_KEYS``). What whoever made the span or the record
said itself is never overwritten.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk._logs import LogRecordProcessor, ReadWriteLogRecord
from opentelemetry.sdk.trace import Span, SpanProcessor

from otel_replay.sdk.context import session_attributes


class SessionSpanProcessor(SpanProcessor):
    """For ``TracerProvider.add_span_processor``, in any order: attributes are set when a span starts."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        wanted = session_attributes(parent_context)
        if not wanted:
            return
        given: Any = span.attributes
        said = given.copy()  # A dict: each look-up in the SDK's mapping of what is not there costs an exception.
        if not said.keys().isdisjoint(wanted):
            wanted = {key: value for key, value in wanted.items() if key not in said}
        span.set_attributes(wanted)


class SessionLogProcessor(LogRecordProcessor):
    """For ``LoggerProvider.add_log_record_processor``, before the processor that exports."""

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        record = log_record.log_record
        attributes = record.attributes
        if isinstance(attributes, MutableMapping):  # The SDK's own kind always is; it counts what it drops.
            for key, value in session_attributes(record.context).items():
                attributes.setdefault(key, value)

    def shutdown(self) -> None:
        """Nothing is held."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is buffered."""
        return True
