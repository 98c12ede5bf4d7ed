"""Several receivers behind scale.yaml, and other agents in the place of the Collector."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from otel_replay.store.sqlite import SqliteReader
from tests.collector.clients import CLIENTS, stored
from tests.collector.pipelines import post, recorded, recording
from tests.collector.processes import collector, prepared_receiver, preset, receivers, rotel
from tests.e2e.processes import Receiver
from tests.outside.outside import eventually
from tests.outside.telemetry import click, log, logs, page, span, traces

pytestmark = [pytest.mark.slow, pytest.mark.feature("C6")]

TRACES = [random.Random(f"trace {number}").randbytes(16).hex() for number in range(60)]
SESSIONS = [f"session {number}" for number in range(12)]


def test_a_trace_and_a_stream_stay_whole_and_the_load_is_shared(tmp_path: Path) -> None:
    events = [*page(), *(click(number) for number in range(60))]
    with receivers(tmp_path, 2) as several:
        addresses = {"OTEL_REPLAY_ENDPOINTS": f"[{', '.join(one.grpc for one in several)}]"}
        with collector(preset("scale"), tmp_path / "collector", **addresses) as found:
            to = found.as_receiver()
            for number in range(1, 5):  # spans of a trace in several requests
                post(to, "/v1/traces", traces(*(span(one, number) for one in TRACES)))
            post(to, "/v1/logs", logs(*(log("said", trace_id=one) for one in TRACES)))
            for first in (0, 30):
                for session in SESSIONS:
                    request = recorded(session, events)
                    del request.resource_logs[0].scope_logs[0].log_records[first : first + 30]
                    post(to, "/v1/logs", request)
        assert found.process.log.read_text().count("Dropping data") == 0
        there = [what_is_there(one) for one in several]
        for session in SESSIONS:
            assert sorted((recording(one, session) for one in several), key=len) == [[], events], session
    (spans, records), (other_spans, other_records) = there
    assert spans | other_spans == dict.fromkeys(TRACES, 4)
    assert records | other_records == dict.fromkeys(TRACES, 1)
    assert not set(spans) & set(other_spans)
    assert not set(records) & set(other_records)
    assert min(len(spans), len(other_spans)) > len(TRACES) / 5


def test_what_waits_for_one_of_them_survives_the_collector(tmp_path: Path) -> None:
    here, away = (prepared_receiver(tmp_path / f"{name}.db") for name in ("here", "away"))
    addresses = f"[{here[1].grpc}, {away[1].grpc}]"
    with collector(preset("scale"), tmp_path / "collector", OTEL_REPLAY_ENDPOINTS=addresses) as found:
        try:
            here[0].start()
            post(found.as_receiver(), "/v1/traces", traces(*(span(one, 1) for one in TRACES)))
            assert eventually(lambda: what_is_there(here[1])[0], bool) != {}
            found.process.kill()
            found.process.start()
            away[0].start()
            there = eventually(
                lambda: what_is_there(here[1])[0] | what_is_there(away[1])[0], lambda spans: len(spans) == len(TRACES)
            )
        finally:
            for process, _ in (here, away):
                process.kill()
    assert there == dict.fromkeys(TRACES, 1)


def what_is_there(receiver: Receiver) -> tuple[dict[str, int], dict[str, int]]:
    """How many spans and log records of each trace a receiver has."""
    reader = SqliteReader(receiver.db)
    try:
        spans = {one: len(reader.spans_of_trace(1, one)) for one in TRACES}
        records = {one: len(reader.logs_of_trace(1, one)) for one in TRACES}
    finally:
        reader.close()
    return {one: count for one, count in spans.items() if count}, {
        one: count for one, count in records.items() if count
    }


def test_rotel_sends_the_same_spans(tmp_path: Path) -> None:
    with receivers(tmp_path) as [receiver], rotel(receiver, tmp_path) as to:
        for client in CLIENTS:
            sent = client(to, f"s-{client.__name__}")
            assert stored(receiver, sent) == sent, client
