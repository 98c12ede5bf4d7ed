"""Whoever looks at the log of the receiver sees why nothing arrives."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from otel_replay.model import Signal
from otel_replay.receiver.complaints import EVERY_S, Complaints
from otel_replay.receiver.connections import GRPC_IS_ELSEWHERE, BoundedProtocol
from tests.outside.access import make_key
from tests.outside.outside import JSON, METHODS, PROTOBUF, Outside, eventually, refusal, running

PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}


@pytest.fixture
def receiver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Outside]:
    """One of its own for each test: the same is told once a minute."""
    monkeypatch.setattr(BoundedProtocol, "complaints", Complaints())
    with running(tmp_path / "replay.db") as outside:
        yield outside


def page_of(origin: str) -> Callable[[Outside], object]:
    headers = {"origin": origin, **PREFLIGHT}
    return lambda receiver: receiver.http.options(f"{receiver.url}/v1/traces", headers=headers, timeout=20)


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        (lambda one: one.post("/", b""), "POST /: OTLP is taken by POST at /v1/traces"),
        (lambda one: one.post("/v1/traces/v1/traces", b""), "POST /v1/traces/v1/traces: OTLP is taken"),
        (lambda one: one.post("/api/public/otel/v1/traces", b""), "POST /api/public/otel/v1/traces: OTLP is taken"),
        (lambda one: one.post("/v1/traces", b"{}", "text/html"), "http traces 415: content type 'text/html'"),
        (lambda one: one.post("/v1/traces", b"x", content_encoding="br"), "content-encoding 'br' is not served"),
        (lambda one: one.post("/v1/traces", b"x"), "http traces 400: the body is not an Export"),
        (lambda one: refusal(lambda: one.export(Signal.TRACES, b"x")), "grpc traces 400: the body is not an Export"),
        (page_of("https://app.example.com"), "pages of https://app.example.com may not send here (allow them with"),
        (page_of("null"), "pages of null may not send here"),
        (lambda one: one.post("/v1/traces", b"{}", JSON, host="replay:4318"), "not sent to a name of loopback"),
    ],
    ids=lambda one: one[:30] if isinstance(one, str) else "",
)
def test_what_is_refused_is_told(
    receiver: Outside, caplog: pytest.LogCaptureFixture, mistake: Callable[[Outside], Any], words: str
) -> None:
    with caplog.at_level(logging.WARNING, logger="otel_replay"):
        mistake(receiver)
        mistake(receiver)
    told = [line for line in caplog.messages if line.startswith("refused, ")]
    assert len(told) == 1, caplog.messages
    assert words in told[0]


def test_keys_that_do_not_hold_are_told(receiver: Outside, caplog: pytest.LogCaptureFixture) -> None:
    make_key(receiver, "admin")
    with caplog.at_level(logging.WARNING, logger="otel_replay"):
        receiver.post("/v1/traces", b"")
        refusal(lambda: receiver.export(Signal.TRACES, b""))
    assert [line.partition(" a key")[0] for line in caplog.messages] == [
        "refused, http traces 401:",
        "refused, grpc 401:",
    ]


def test_gRPC_at_the_port_of_HTTP_is_told_to_both_sides(  # noqa: N802 - their names
    receiver: Outside, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="otel_replay"):
        with grpc.insecure_channel(receiver.url.removeprefix("http://")) as channel:
            call: Any = channel.unary_unary(METHODS[Signal.TRACES])
            refused = refusal(lambda: call(b"", timeout=20))
        told = eventually(lambda: caplog.messages, bool)
    assert refused.code is grpc.StatusCode.UNAVAILABLE
    assert told[0] == f"refused, gRPC on the port of HTTP: {GRPC_IS_ELSEWHERE}"
    host, _, port = receiver.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as plain:
        plain.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        answer = plain.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.endswith(GRPC_IS_ELSEWHERE.encode())
    assert receiver.post("/v1/traces", b"", PROTOBUF).status_code == 200


def test_nobody_fills_the_log(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    complaints = Complaints(lambda: now[0])
    for _ in range(1000):
        complaints.tell("kind", "evil\n\x1b[2J" + "x" * 1000)
    now[0] = EVERY_S
    complaints.tell("kind", "evil")
    first, second = caplog.messages
    assert first.isprintable()
    assert len(first) < 600
    assert second == "refused, kind: evil; 999 more since this was told last"
