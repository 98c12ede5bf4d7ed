"""Names of what this package itself writes into telemetry, where OpenTelemetry's conventions have none.

What runs in an application writes them, receiver and timeline read them: so they stand here, once. Names that the
conventions do have are used as they are: ``session.start``, ``code.file.path``, ``gen_ai.evaluation.result``.
"""

from __future__ import annotations

SESSION_START, SESSION_END = "session.start", "session.end"
SESSION_PAUSE, SESSION_RESUME = "session.pause", "session.resume"
SESSION_UPDATE = "session.update"
"""Something about a session has changed: its attributes are those of the event."""

SESSION_SNAPSHOT = "session.snapshot"
"""State, metrics and code context of a running session at one moment."""

CODE_CONTEXT = "otel_replay.code_context"
"""Where somebody was at work: ``code.*`` and the attributes below."""

CODE_SNIPPET = "otel_replay.code.snippet"
CODE_LANGUAGE = "otel_replay.code.language"
CODE_WORKSPACE = "otel_replay.code.workspace"

SYSTEM_METRICS = "otel_replay.system_metrics"
"""What the machine and the process were doing: ``system.*``, ``process.*``, ``http.server.active_requests``."""

CHAT = "otel_replay.chat"
"""What a conversation is: its name, model, system prompt, metadata."""

EVALUATION = "gen_ai.evaluation.result"
EXCEPTION = "exception"

SNAPSHOT_STATE = "otel_replay.snapshot.state"
"""JSON."""

GAP_REASON = "otel_replay.gap.reason"
"""On a span that stands for what was not recorded between its start and its end; ``sampled``."""

GAP_RECORDS = "otel_replay.gap.records"
"""How many spans and log records were left out there."""

SAMPLED = "sampled"
