"""An A/B experiment: the same question to two models, each in a session of its variant.

::

    python -m otel_replay.examples.experimentation_session http://127.0.0.1:4318
    otel-replay stats --by variant
"""

from __future__ import annotations

import sys

import click

import otel_replay

VARIANTS = {"A": ("gpt-4o-mini", "Blue.", 0.0001), "B": ("gpt-4o", "The sky is blue, for it scatters light.", 0.002)}
"""Model, what it says, US dollars."""


def main(endpoint: str = "http://127.0.0.1:4318") -> list[str]:
    """Records a session of each variant; gives their ids."""
    recording = otel_replay.instrument(endpoint, "experiment-example")
    ids = []
    for variant, (model, response, cost) in VARIANTS.items():
        with otel_replay.session(user_id="bob", feature="experimentation", variant=variant) as visit:
            call = visit.record_interaction(
                model=model, prompt="Why is the sky blue?", response=response, cost=cost, latency_ms=400
            )
            visit.feedback(0.5 if variant == "A" else 1.0, interaction=call)
            visit.end()
        ids.append(visit.session_id)
    recording.shutdown()
    return ids


if __name__ == "__main__":
    click.echo("\n".join(main(*sys.argv[1:])))
