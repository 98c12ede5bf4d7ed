"""A preset that runs with receivers behind it, and what is sent and read by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import requests

from tests.collector.processes import Collector, collector, preset, receivers
from tests.e2e.processes import Receiver
from tests.outside.outside import PROTOBUF
from tests.outside.telemetry import log, logs


class Pipeline(NamedTuple):
    """A Collector, the receiver behind it, and, behind fan-out.yaml, the backend."""

    collector: Collector
    receiver: Receiver
    backend: Receiver


@contextmanager
def running(name: str, folder: Path) -> Iterator[Pipeline]:
    with receivers(folder, 2) as (receiver, backend):
        addresses = {
            "OTEL_REPLAY_ENDPOINT": receiver.grpc,
            "OTEL_REPLAY_ENDPOINTS": f"[{receiver.grpc}]",
            "BACKEND_ENDPOINT": backend.url,
        }
        with collector(preset(name), folder / "collector", **addresses, SAMPLE_WAIT="1s") as found:
            yield Pipeline(found, receiver, backend)
        assert found.process.log.read_text().count("Dropping data") == 0


def post(to: Receiver, path: str, body: Any) -> None:
    answer = requests.post(to.url + path, data=body.SerializeToString(), headers={"content-type": PROTOBUF}, timeout=20)
    assert (answer.status_code, answer.content) == (200, b"\n\x00"), answer.text  # an empty partial success


def recording(receiver: Receiver, session: str) -> list[Any]:
    """The events of a session's one stream."""
    found = requests.get(f"{receiver.url}/api/v1/sessions/{session}/recording", timeout=20).json()
    return [event for stream in found.get("streams", []) for event in stream["events"]]


def recorded(session: str, events: list[Any]) -> Any:
    """Events as log records, as recorders send them over OTLP; browsers write JSON without spaces."""
    numbered = enumerate(events, 1)
    records = [
        log(json.dumps(event, separators=(",", ":")), attributes={"rr-web.event": number, "rr-web.offset": number})
        for number, event in numbered
    ]
    return logs(*records, resource={"session.id": session, "rum.scriptInstance": "tab"}, scope="rum.rr-web")
