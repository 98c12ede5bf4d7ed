"""One line for a person: what a span or log record was about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from otel_replay.genai.messages import text_of
from otel_replay.model import AiKind, Interaction, UserAction
from otel_replay.timeline.plain import one_line

FIRST_WORDS = 60
"""Characters of an answer that its title shows."""

Attributes = Mapping[str, Any]


def interaction_title(interaction: Interaction, span_name: str) -> str:
    """``chat gpt-4o-mini → “first words”``, ``execute_tool get_weather``, ``invoke_agent Planner``."""
    subject = {
        AiKind.TOOL: interaction.tool_name,
        AiKind.AGENT: interaction.agent,
    }.get(interaction.kind, interaction.response_model or interaction.request_model)
    if interaction.operation and subject:
        title = f"{interaction.operation} {subject}"
    else:
        title = span_name or subject or interaction.operation or interaction.kind
    answer = one_line(text_of(list(interaction.output_messages or ())), FIRST_WORDS)
    return one_line(f"{title} → “{answer}”" if answer and interaction.kind is AiKind.INTERACTION else title)


def action_title(action: UserAction) -> str:
    """``click #send``."""
    return one_line(f"{action.name} {action.target or ''}")


def span_title(name: str, is_client: bool, attributes: Attributes) -> str:
    """``POST /api/chat 200`` for HTTP, with the host for a client; the span's name for everything else.

    Reads the current HTTP conventions and those before 1.23, which most instrumentations still write.
    """
    method = first(attributes, "http.request.method", "http.method")
    if not method:
        return one_line(name) or "(unnamed span)"
    status = first(attributes, "http.response.status_code", "http.status_code")
    host = _host(attributes) if is_client else ""
    return one_line(f"{method} {host}{_path(attributes)} {status}")


def log_title(event_name: str, body: Any, attributes: Attributes, severity: str) -> str:
    """The body's first words, else the exception, else the name of the event, else the severity."""
    message = first(attributes, "exception.message", "message")
    exception = ": ".join(part for part in (first(attributes, "exception.type"), message) if part)
    candidates = (body if isinstance(body, str) else "", exception, event_name, severity)
    return next((line for line in map(one_line, candidates) if line), "(empty log record)")


def first(attributes: Attributes, *keys: str) -> str:
    """The first non-empty text or integer among the keys, as text."""
    for key in keys:
        value = attributes.get(key)
        if isinstance(value, str) and value:
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
    return ""


def _path(attributes: Attributes) -> str:
    path = first(attributes, "url.path", "http.target") or _url_part(attributes, "path")
    return path.partition("?")[0] or first(attributes, "http.route") or "/"


def _host(attributes: Attributes) -> str:
    return first(attributes, "server.address", "net.peer.name", "http.host") or _url_part(attributes, "hostname")


def _url_part(attributes: Attributes, part: str) -> str:
    try:
        return getattr(urlsplit(first(attributes, "url.full", "http.url")), part) or ""
    except ValueError:  # such as an unclosed bracket in the host
        return ""
