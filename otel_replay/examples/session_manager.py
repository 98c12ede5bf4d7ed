"""A session manager at work: a session, two chats, messages, a pause, statistics, and a restart that loses nothing.

::

    python -m otel_replay.examples.session_manager http://127.0.0.1:4318
    python -m otel_replay.examples.session_manager sqlite:///replay.db
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import click

import otel_replay
from otel_replay.sdk import SessionManager


def ask(messages: Sequence[dict[str, str]]) -> str:
    """Stands for your model. Give ``records_calls=False`` to the manager when its client is instrumented."""
    return f"That was message {len(messages)}."


def talk(manager: SessionManager) -> str:
    """Two chats in one session of a user; gives the id of the session."""
    session = manager.create(
        "user123",
        "My work",
        metadata={"department": "support"},
        preferences={"language": "en"},
        tags=["work"],
        expires_at=datetime.now(UTC) + timedelta(hours=8),
        auto_save=True,
    )
    general = session.create_chat("General", provider="openai", model="gpt-4o-mini", system_prompt="Be helpful.")
    review = session.create_chat("Code review", provider="openai", model="gpt-4o", tags=["code"])
    session.switch_to(general.chat_id)
    for text in ("Hello!", "Do you remember what I said?"):
        with session.message(text) as turn:
            turn.answer = ask(turn.messages)
    session.switch_to(review.chat_id)
    with session.message("Please review this function.") as turn:
        turn.answer = ask(turn.messages)
    session.pause()
    session.resume()
    click.echo(f"{session.stats()}\n{general.stats()}\n{manager.stats()}", err=True)
    return session.session_id


def main(endpoint: str = "http://127.0.0.1:4318") -> str:
    """Records one session with one manager and reads it back with another; gives its id."""
    recording = otel_replay.instrument(endpoint, "session-manager-example")
    with SessionManager(endpoint, max_chats_per_session=5, session_timeout_s=1_800) as manager:
        session_id = talk(manager)
    with SessionManager(endpoint) as manager:
        manager.recover()
        session = manager.get(session_id)
        click.echo(f"recovered: {[chat.name for chat in session.chats.values()]}", err=True)
        session.close()
    recording.shutdown()
    return session_id


if __name__ == "__main__":
    click.echo(main(*sys.argv[1:]))
