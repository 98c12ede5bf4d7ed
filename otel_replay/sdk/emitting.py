"""OpenTelemetry events: log records with a name, for what no span tells."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from opentelemetry._logs import LoggerProvider, SeverityNumber, get_logger, get_logger_provider
from opentelemetry.context import Context

from otel_replay.events import SESSION_START
from otel_replay.sdk import facts
from otel_replay.sdk.context import session_attributes

_log = logging.getLogger(__name__)

SCOPE = "otel_replay.sdk"
"""Name of the instrumentation scope of everything that is recorded by hand."""


class EventLog:
    """Emits events to a logger provider (None: the global one). They say their session themselves."""

    _has_warned = False

    def __init__(self, provider: LoggerProvider | None) -> None:
        self._provider = provider
        self._logger = get_logger(SCOPE, logger_provider=provider)

    def emit(
        self,
        name: str,
        values: Mapping[str, Any],
        context: Context,
        *,
        at: int | None = None,
        severity: SeverityNumber = SeverityNumber.INFO,
    ) -> None:
        """One event ``at`` Unix nanoseconds (None: now), in the trace and the session that the context is in."""
        if name != SESSION_START:  # which nobody asked for
            self._warn_once(name)
        self._logger.emit(
            timestamp=time.time_ns() if at is None else at,
            context=context,
            severity_number=severity,
            severity_text=severity.name,
            attributes={**session_attributes(context), **facts.attributes_of(values)},
            event_name=name,
        )

    def _warn_once(self, name: str) -> None:
        if self._provider is None and not EventLog._has_warned and not _is_kept(get_logger_provider()):
            EventLog._has_warned = True
            _log.warning("%s and other events are not kept: otel_replay.instrument() sets up what keeps them", name)


def _is_kept(provider: LoggerProvider) -> bool:
    """Whether a provider is the SDK's: that of the API throws everything away."""
    return hasattr(provider, "add_log_record_processor")
