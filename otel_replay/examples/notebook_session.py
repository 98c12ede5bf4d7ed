"""A notebook: which cell somebody works on, what the model makes of it, and how the machine is doing meanwhile.

::

    python -m otel_replay.examples.notebook_session http://127.0.0.1:4318
"""

from __future__ import annotations

import importlib.util
import sys
from contextlib import nullcontext

import click

import otel_replay

CELLS = ["import pandas", "frame = pandas.read_csv('tea.csv')", "frame.plot()"]


def main(endpoint: str = "http://127.0.0.1:4318") -> str:
    """Records one session; gives its id."""
    recording = otel_replay.instrument(endpoint, "notebook-example")
    has_metrics = importlib.util.find_spec("psutil") is not None  # pip install 'otel-replay[system]'
    with otel_replay.session(user_id="mia", feature="notebook") as visit:
        with visit.sample_system(every_s=1.0) if has_metrics else nullcontext():
            for number, cell in enumerate(CELLS, start=1):
                visit.record_code_context("tea.ipynb", line=number, column=1, snippet=cell, language="python")
            visit.record_interaction(model="gpt-4o-mini", prompt=f"Explain: {CELLS[1]}", response="It reads a table.")
            visit.snapshot({"cells": len(CELLS), "kernel": "idle"})
        visit.end()
    recording.shutdown()
    return visit.session_id


if __name__ == "__main__":
    click.echo(main(*sys.argv[1:]))
