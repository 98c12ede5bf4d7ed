"""What can be recorded of a session by hand: calls, actions, code context, snapshots, verdicts, errors."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from opentelemetry import trace
from opentelemetry._logs import LoggerProvider, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN_CONTEXT, NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode

from otel_replay.events import CODE_CONTEXT, EVALUATION, EXCEPTION, SESSION_SNAPSHOT, SNAPSHOT_STATE, SYSTEM_METRICS
from otel_replay.sdk import content, facts
from otel_replay.sdk.context import session_attributes, system_prompt_of
from otel_replay.sdk.emitting import SCOPE, EventLog
from otel_replay.sdk.metrics import SystemProbe, SystemSampler, probe_if_possible
from otel_replay.texts import storable


class Recorder(ABC):
    """Records into one session, wherever it is called; while the session is paused nothing is recorded."""

    def __init__(self, tracer_provider: trace.TracerProvider | None, logger_provider: LoggerProvider | None) -> None:
        self._tracer = trace.get_tracer(SCOPE, tracer_provider=tracer_provider)
        self._events = EventLog(logger_provider)
        self._code: Mapping[str, Any] = {}
        self._probe: SystemProbe | None = None

    @abstractmethod
    def _context(self) -> Context:
        """The current context, in this session."""

    @property
    @abstractmethod
    def is_paused(self) -> bool:
        """Whether nothing is to be recorded of the session just now."""

    def record_interaction(
        self,
        *,
        model: str,
        prompt: facts.Prompt,
        response: facts.Prompt | None = None,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        cost: float | Decimal | None = None,
        latency_ms: float | Decimal | None = None,
        provider: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        timestamp: facts.Moment | None = None,
        error: BaseException | None = None,
    ) -> SpanContext:
        """Record a call to a model that is over, as the span its instrumentation would have made; gives its ids.

        ``timestamp`` is when the call began (a ``datetime``, or Unix nanoseconds); without it the call ends now.
        ``cost`` is in US dollars, tokens include cached and reasoning tokens. ``error`` is what the call failed with;
        there need be no ``response`` then. Messages are taken as clients of models have them, with calls of tools too;
        they are left out where ``instrument(capture_content=False)`` or OpenTelemetry's variable says so.
        """
        start, end = facts.span_times(timestamp, latency_ms, time.time_ns())
        context = self._context()
        keeps_content = content.is_wanted()
        instructions = system_prompt_of(context) if keeps_content else None
        values = facts.interaction_values(
            model=model,
            provider=provider,
            prompt=prompt if keeps_content else None,
            response=response if keeps_content else None,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            cost=cost,
            error_type=facts.type_name(error) if error else None,
        )
        values |= {
            "gen_ai.request.temperature": temperature,
            "gen_ai.request.max_tokens": max_tokens,
            "gen_ai.system_instructions": facts.instructions_json(instructions) if instructions else None,
        }
        return self._record(f"chat {model}", SpanKind.CLIENT, values, (start, end), context, error)

    def record_action(
        self, action: str, target: str | None = None, *, timestamp: facts.Moment | None = None, **detail: Any
    ) -> SpanContext:
        """Record what the user did: ``record_action("click", target="#send")``; gives the ids of its span.

        A target that begins with ``#`` is the id of a widget, another one its name. ``timestamp`` as for
        ``record_interaction``; ``detail`` becomes attributes of the span.
        """
        at, _ = facts.span_times(timestamp, None, time.time_ns())
        values = {**detail, **facts.action_values(action, target)}
        return self._record(action, SpanKind.INTERNAL, values, (at, at), self._context())

    def record_code_context(
        self,
        file: str | None = None,
        line: int | None = None,
        column: int | None = None,
        snippet: str | None = None,
        language: str | None = None,
        workspace: Any = None,
        *,
        timestamp: facts.Moment | None = None,
    ) -> None:
        """Record where the user is at work: file, line and column (from 1), the text there, what else is open.

        ``workspace`` is anything that JSON can hold.
        """
        self._code = facts.code_values(file, line, column, snippet, language, workspace)
        self._emit(CODE_CONTEXT, self._code, timestamp)

    def snapshot(self, state: Any = None, *, timestamp: facts.Moment | None = None) -> None:
        """Record how things stand: ``state`` (anything that JSON can hold), the last code context, system metrics.

        Metrics are there with the package psutil (``pip install 'otel-replay[system]'``).
        """
        self._probe = self._probe or probe_if_possible()
        measured = self._probe.measure() if self._probe else {}
        self._emit(SESSION_SNAPSHOT, {SNAPSHOT_STATE: state, **self._code, **measured}, timestamp)

    def sample_system(self, every_s: float = 5.0) -> SystemSampler:
        """Record CPU, memory, threads and active requests now and every so many seconds, until its ``stop()``.

        For use as ``with s.sample_system():`` too. Raises ``ReplayError`` without the package psutil.
        """
        return SystemSampler(lambda measured: self._emit(SYSTEM_METRICS, measured, None), every_s)

    def feedback(
        self,
        score: float | None = None,
        comment: str | None = None,
        *,
        label: str | None = None,
        interaction: SpanContext | Span | str | None = None,
        response_id: str | None = None,
        name: str = "user_feedback",
        timestamp: facts.Moment | None = None,
    ) -> None:
        """Record what somebody thought of an answer, or of the session: a number, a word, a comment.

        The answer is told by ``interaction``, the ids that ``record_interaction`` gives, the call's span, or the id of
        its entry in a timeline (``span:TRACE:SPAN``); or by ``response_id``, the id that the model's provider gave it.
        Raises ``InvalidRequest`` for an ``interaction`` that is none of these.
        """
        context = self._context()
        if interaction is not None:
            context = trace.set_span_in_context(NonRecordingSpan(facts.ids_of_call(interaction)), context)
        values = facts.evaluation_values(name, score, label, comment, response_id)
        self._emit(EVALUATION, values, timestamp, context)

    def record_error(self, error: BaseException, *, timestamp: facts.Moment | None = None) -> None:
        """Record an exception, with its stack, in the trace that is current."""
        self._emit(EXCEPTION, facts.error_values(error), timestamp, severity=SeverityNumber.ERROR)

    def _emit(
        self,
        name: str,
        values: Mapping[str, Any],
        timestamp: facts.Moment | None,
        context: Context | None = None,
        severity: SeverityNumber = SeverityNumber.INFO,
    ) -> None:
        if not self.is_paused:
            at = None if timestamp is None else facts.unix_nano(timestamp)
            self._events.emit(name, values, context or self._context(), at=at, severity=severity)

    def _record(
        self,
        name: str,
        kind: SpanKind,
        values: dict[str, Any],
        times: tuple[int, int],
        context: Context,
        error: BaseException | None = None,
    ) -> SpanContext:
        """A span from start to end in Unix nanoseconds; it says its session itself, whatever processors there are."""
        if self.is_paused:
            return INVALID_SPAN_CONTEXT
        attributes = {**session_attributes(context), **facts.attributes_of(values)}
        span = self._tracer.start_span(storable(name), context, kind, attributes, start_time=times[0])
        if error is not None:
            span.set_status(Status(StatusCode.ERROR, storable(str(error))))
        span.end(times[1])
        return span.get_span_context()
