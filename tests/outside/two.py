"""Two receivers and a third in front of them, and a visit that is spread over both."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.outside.outside import Outside, running
from tests.outside.telemetry import CHAT, click, custom, page, span, span_id, traces

TRACE = "c1" * 16


class Two(NamedTuple):
    """Two receivers, and a third in front of them."""

    first: Outside
    second: Outside
    front: Outside

    @property
    def urls(self) -> list[str]:
        return [self.first.url, self.second.url]


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Two]:
    with (
        running(tmp_path / "first.db") as first,
        running(tmp_path / "second.db") as second,
        running(tmp_path / "front.db", upstreams=(first.url, second.url)) as front,
    ):
        yield Two(first, second, front)


def send(receiver: Outside, *spans: Any, **told: Any) -> None:
    assert receiver.post("/v1/traces", traces(*spans, **told).SerializeToString()).status_code == 200


def nobody() -> str:
    """An address where nobody listens."""
    with socket.socket() as once:
        once.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{once.getsockname()[1]}"


def visit(two: Two) -> None:
    """A session whose first page is at one receiver, with its server, and whose click is at the other; its call is at
    both."""
    told = {"session.id": "s1", "user.id": "ada", **CHAT}
    send(two.first, span(TRACE, 20, attributes={"session.id": "s1"}))
    for receiver in (two.first, two.second):
        send(receiver, span(TRACE, 30, 20, attributes=told))
    for seq, events in enumerate([page(), [click(10), custom(11, "click", trace_id=TRACE, span_id=span_id(20))]]):
        (two.first, two.second)[seq].upload("s1", events, seq=seq)


def waiting(receiver: Outside) -> list[str]:
    """What is stored and not worked off."""
    told = receiver.get("/metrics", accept="text/plain").text
    return [line for line in told.splitlines() if line.startswith("otel_replay_lag{") and not line.endswith(" 0.0")]
