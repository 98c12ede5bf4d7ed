"""Telemetry and recordings of several sessions, made at random, to be spread over receivers."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from opentelemetry.proto.trace.v1.trace_pb2 import Status

from tests.outside.outside import Outside
from tests.outside.telemetry import CHAT, MS, START, click, custom, log, logs, page, span, traces

Item = Callable[[Outside], object]
"""Sends one thing to a receiver."""

SESSIONS = [f"s{number}" for number in range(5)]
TRACES = [f"{number + 1:02x}" * 16 for number in range(9)]
CONVERSATIONS = ["c0", "c1"]
WORDS = ["refund", "invoice", "parcel", "weather"]


def items(rng: random.Random) -> list[Item]:
    """Everything that happened, in some order."""
    found = [*_spans(rng), *_logs(rng), *_chunks(rng)]
    rng.shuffle(found)
    return found


def _spans(rng: random.Random) -> Iterator[Item]:
    for trace_id in TRACES:
        session, count = rng.choice([*SESSIONS, ""]), rng.randint(1, 6)
        base = rng.randint(0, 5_000)
        for number in range(1, count + 1):
            parent = rng.randint(0, number - 1)
            told = _told(rng, f"{trace_id[:2]}-{number}")
            if session and rng.random() < 0.7:
                told |= _session(rng, session)
            fields: dict[str, Any] = {"name": f"step {number}"}
            if rng.random() < 0.2:
                fields["status"] = Status(code=Status.STATUS_CODE_ERROR, message="no")
            fields["start_time_unix_nano"] = START + (base + number) * MS
            for took in rng.sample((10, 20, 30), rng.choice((1, 1, 2))):  # some spans come in two versions
                fields["end_time_unix_nano"] = fields["start_time_unix_nano"] + took * MS
                made = span(trace_id, number, parent, attributes=told, **fields)
                yield _sending("/v1/traces", traces(made, service=rng.choice(("api", "worker"))))


def _told(rng: random.Random, mark: str) -> dict[str, Any]:
    """Of a plain span, a call, or an agent that repeats the sum of its calls."""
    kind = rng.choice(("plain", "chat", "chat", "agent"))
    if kind == "plain":
        return {"http.route": rng.choice(("/cart", "/pay"))}
    usage = {"gen_ai.usage.input_tokens": rng.randint(1, 50), "gen_ai.usage.output_tokens": rng.randint(1, 50)}
    said = f'[{{"role": "user", "parts": [{{"type": "text", "content": "{rng.choice(WORDS)} {mark}"}}]}}]'
    operation = {"gen_ai.operation.name": "invoke_agent"} if kind == "agent" else {"gen_ai.input.messages": said}
    model = {"gen_ai.request.model": rng.choice(("gpt-4o-mini", "gpt-4o"))}
    conversation = {"gen_ai.conversation.id": rng.choice(CONVERSATIONS)} if rng.random() < 0.5 else {}
    return {**CHAT, **usage, **operation, **model, **conversation}


def _session(rng: random.Random, session: str) -> dict[str, Any]:
    """What was told of a session last is what it is."""
    told = {"user.id": rng.choice(("ada", "bob")), "feature": rng.choice(("chat", "search")), "label": "a"}
    return {"session.id": session} | {name: value for name, value in told.items() if rng.random() < 0.6}


def _logs(rng: random.Random) -> Iterator[Item]:
    for number in range(12):
        told = {"session.id": rng.choice(SESSIONS)} if rng.random() < 0.6 else {}
        record = log(f"line {number}", attributes=told, trace_id=rng.choice(TRACES), ms=rng.randint(0, 5_000))
        yield _sending("/v1/logs", logs(record))


def _chunks(rng: random.Random) -> Iterator[Item]:
    for session in rng.sample(SESSIONS, 3):
        for stream in ("main", "tab-2")[: rng.randint(1, 2)]:
            base = rng.randint(0, 4_000)
            lost = rng.choice((2, 3, 99))
            for seq in range(6):
                at = base + 100 * seq
                told = custom(at, "action", trace_id=rng.choice(TRACES), span_id=f"{1:016x}")
                events = page(at) if seq in (0, 4) else [click(at), told]
                if seq != lost:
                    yield _uploading(session, stream, seq, events)


def _sending(path: str, request: Any) -> Item:
    body = request.SerializeToString()

    def send(receiver: Outside) -> None:
        assert receiver.post(path, body).status_code == 200

    return send


def _uploading(session: str, stream: str, seq: int, events: Sequence[Mapping[str, Any]]) -> Item:
    return lambda receiver: receiver.upload(session, events, stream_id=stream, seq=seq)
