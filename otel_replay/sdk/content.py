"""Whether prompts and completions are recorded: OpenTelemetry's variable tells it, instrumentors and us alike."""

from __future__ import annotations

import os

CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"

WITHOUT_CONTENT = {
    CONTENT: "NO_CONTENT",
    "OPENINFERENCE_HIDE_INPUTS": "true",
    "OPENINFERENCE_HIDE_OUTPUTS": "true",
    "TRACELOOP_TRACE_CONTENT": "false",
}
"""How each family of instrumentors is told to leave prompts and completions out."""


def is_wanted() -> bool:
    """Unless the variable says no; ``false`` is its older word for ``NO_CONTENT``."""
    return os.environ.get(CONTENT, "").strip().lower() not in ("no_content", "false")
