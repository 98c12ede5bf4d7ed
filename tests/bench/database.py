"""Fills a store with as many sessions and AI spans as a question is to be measured at.

``python -m tests.bench.database FILE [--sessions 300000]`` writes a file of 1 million AI spans in 300,000 sessions over
30 days; equal arguments write equal rows. The rows go through :meth:`Store.commit` as the receiver's would; there are
no spans behind them, so that making a million takes minutes and not hours.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from pathlib import Path

from otel_replay.model import AiKind, Signal, Source, Usage
from otel_replay.store.base import AttributeValue, InteractionRow, SessionSighting, SpanVersion, Write
from otel_replay.store.sqlite import SqliteStore

FIRST_START = 1_763_596_800 * 10**9
DAY_NS = 86_400 * 10**9
DAYS = 30
SERVICES = ("frontend", "checkout", "payment", "catalog", "gateway", "worker")
MODELS = ("gpt-4o", "gpt-4.1-mini", "claude-sonnet-4-5", "gemini-2.5-pro")
RARE_MODEL, RETIRED_MODEL = "o1-preview", "gpt-4"
USERS = 20_000
SESSIONS_A_WRITE = 200


def writes(sessions: int, seed: int = 1) -> Iterator[Write]:
    """Sessions in the order of their start, each with 1 to 6 interactions (3.3 on average) and their tools.

    One in 10,000 uses :data:`RARE_MODEL`; :data:`RETIRED_MODEL` answers only on the first ten days; one in twenty has
    a failed call, one in ten is told to have ended.
    """
    rng = random.Random(seed)
    step = DAYS * DAY_NS // sessions
    for first in range(0, sessions, SESSIONS_A_WRITE):
        numbers = range(first, min(first + SESSIONS_A_WRITE, sessions))
        sightings, rows = [], []
        for number in numbers:
            sighting, calls = _session(rng, FIRST_START + number * step + rng.randrange(step))
            sightings.append(sighting)
            rows += calls
        yield Write(1, Signal.TRACES, Source.SERVER, FIRST_START, sessions=sightings, interactions=rows)


def _session(rng: random.Random, start: int) -> tuple[SessionSighting, list[InteractionRow]]:
    session, user = rng.randbytes(16).hex(), f"user-{int(rng.paretovariate(0.5)) % USERS}"
    service, model = rng.choice(SERVICES), _model(rng, start)
    calls = [_call(rng, session, user, service, model, start) for _ in range(rng.choice((1, 2, 3, 4, 4, 6)))]
    told = {"user.id": user, "service.name": service, "feature": rng.choice(("chat", "agent"))}
    if rng.random() < 0.1:
        told["state"] = "ended"
    attributes = {name: AttributeValue(start, rng.randbytes(16).hex(), value) for name, value in told.items()}
    end = max(row.version.end_unix_nano for row in calls)
    return SessionSighting(session, start, end, attributes), calls


def _model(rng: random.Random, start: int) -> str:
    if rng.random() < 1e-4:
        return RARE_MODEL
    if start < FIRST_START + 10 * DAY_NS and rng.random() < 0.3:
        return RETIRED_MODEL
    return rng.choice(MODELS)


def _call(rng: random.Random, session: str, user: str, service: str, model: str, start: int) -> InteractionRow:
    start += rng.randrange(600 * 10**9)
    took = int(rng.lognormvariate(21, 1))
    return InteractionRow(
        trace_id=rng.randbytes(16).hex(),
        span_id=rng.randbytes(8).hex(),
        version=SpanVersion(start + took, 6_600, rng.randbytes(16)),
        start_unix_nano=start,
        kind=AiKind.INTERACTION,
        status="error" if rng.random() < 0.015 else "unset",
        service=service,
        session_id=session,
        conversation_id="",
        user=user,
        feature="chat",
        variant="",
        operation="chat",
        provider="openai",
        request_model=model,
        response_model=f"{model}-2026-01-01",
        usage=Usage(rng.randrange(200, 4_000), rng.randrange(50, 1_500)),
        cost_usd="0.0125",
        time_to_first_token_ns=took // 10,
    )


def fill(path: Path, sessions: int) -> None:
    store = SqliteStore(path)
    try:
        for write in writes(sessions):
            store.commit(write)
    finally:
        store.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--sessions", type=int, default=300_000)
    given = parser.parse_args()
    fill(given.file, given.sessions)


if __name__ == "__main__":
    main()
