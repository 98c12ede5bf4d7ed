"""A chat session: two conversations of one user, what she clicked, and what she thought of an answer.

::

    python -m otel_replay.examples.chat_session http://127.0.0.1:4318
"""

from __future__ import annotations

import sys

import click

import otel_replay


def answer(prompt: str) -> str:
    """Stands for your model. A client that is instrumented needs no ``record_interaction``."""
    return f"We open at nine. You asked: {prompt}"


def main(endpoint: str = "http://127.0.0.1:4318") -> str:
    """Records one session; gives its id."""
    recording = otel_replay.instrument(endpoint, "chat-session-example")
    with otel_replay.session(user_id="ada", feature="chat", label="support") as visit:
        with visit.chat("Opening hours", system_prompt="You answer in one sentence."):
            visit.record_action("click", target="#send")
            question = "When do you open?"
            call = visit.record_interaction(
                model="gpt-4o-mini",
                provider="openai",
                prompt=question,
                response=answer(question),
                input_tokens=24,
                output_tokens=11,
                cost=0.0001,
                latency_ms=840,
            )
            visit.feedback(1.0, "just what I wanted to know", interaction=call)
        with visit.chat("Returns"):
            visit.record_interaction(model="gpt-4o-mini", prompt="May I return it?", response="Within 30 days.")
        visit.end()
    recording.shutdown()
    return visit.session_id


if __name__ == "__main__":
    click.echo(main(*sys.argv[1:]))
