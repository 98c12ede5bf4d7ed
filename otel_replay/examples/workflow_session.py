"""A workflow of three steps, one of which fails first: every run of the decorated function is a session of its own.

::

    python -m otel_replay.examples.workflow_session http://127.0.0.1:4318
"""

from __future__ import annotations

import sys

import click
from opentelemetry import trace

import otel_replay
from otel_replay.sdk import current_session

tracer = trace.get_tracer(__name__)


@otel_replay.session(user_id="scheduler", feature="workflow", label="nightly summary")
def summarise(documents: list[str]) -> str:
    """One run; gives the id of its session."""
    visit = current_session()
    assert visit is not None  # inside of a decorated function there is one
    with tracer.start_as_current_span("read"):
        text = "\n".join(documents)
    with tracer.start_as_current_span("summarise"):
        visit.record_interaction(model="gpt-4o-mini", prompt=f"Summarise: {text}", response="Two documents on tea.")
    with tracer.start_as_current_span("publish"):
        try:
            raise ConnectionError("the wiki does not answer")
        except ConnectionError as error:
            visit.record_error(error)
    visit.end()
    return visit.session_id


def main(endpoint: str = "http://127.0.0.1:4318") -> str:
    """Records one run; gives the id of its session."""
    recording = otel_replay.instrument(endpoint, "workflow-example")
    session_id = summarise(["Green tea.", "Black tea."])
    recording.shutdown()
    return session_id


if __name__ == "__main__":
    click.echo(main(*sys.argv[1:]))
