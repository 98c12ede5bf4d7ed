"""Every preset runs: SDKs -> Collector -> receiver, and what is stored is what was sent, field by field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from tests.collector.clients import CLIENTS, BySpan, by_span, stored
from tests.collector.pipelines import post, recorded, recording, running
from tests.collector.processes import collector, preset, receivers
from tests.e2e.processes import Receiver, command
from tests.outside.maximal import Maximal
from tests.outside.outside import eventually
from tests.outside.telemetry import page, span, traces

pytestmark = [pytest.mark.slow, pytest.mark.feature("C6")]

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def without_schemas(spans: BySpan) -> BySpan:
    """The Collector's tail_sampling puts spans into new envelopes and forgets the schema URLs of the old."""
    return {key: sent._replace(resource_schema="", scope_schema="") for key, sent in spans.items()}


@pytest.mark.parametrize("name", ["local", "fan-out", "browser", "gateway", "redact", "sample", "scale"])
def test_what_was_sent_is_stored(name: str, tmp_path: Path) -> None:
    events = [*page(), *({"type": 5, "timestamp": 1_763_600_000_001 + n, "data": {"tag": f"é{n}"}} for n in range(9))]
    with running(name, tmp_path) as pipeline:
        to = pipeline.collector.as_receiver()
        sent = {client.__name__: client(to, f"s-{client.__name__}") for client in CLIENTS}
        post(to, "/v1/logs", recorded("s-recorded", events))
        for client, spans in sent.items():
            expected = without_schemas(spans) if name == "sample" else spans
            assert stored(pipeline.receiver, spans) == expected, client
        assert eventually(lambda: recording(pipeline.receiver, "s-recorded"), lambda found: len(found) == 11) == events
        for client, spans in sent.items():
            assert told_of(pipeline.receiver, f"s-{client}") == facts_of(spans), client
        if name == "fan-out":
            assert all(stored(pipeline.backend, spans) == spans for spans in sent.values())
        assert pipeline.collector.lost() == {}


def told_of(receiver: Receiver, session: str) -> dict[str, Any]:
    """The spans of a session's timeline, by their ids."""
    found = requests.get(f"{receiver.url}/api/v1/sessions/{session}/timeline", timeout=20).json()
    names = ("trace_id", "parent_span_id", "start_unix_nano", "end_unix_nano", "status")
    return {
        one["span_id"]: {**{name: one[name] for name in names}, "is call": one["kind"] == "interaction"}
        for one in found["entries"]
        if one["id"].startswith("span:")
    }


def facts_of(spans: BySpan) -> dict[str, Any]:
    """The same of the spans themselves."""
    return {
        span_id.hex(): {
            "trace_id": span.trace_id.hex(),
            "parent_span_id": span.parent_span_id.hex(),
            "start_unix_nano": str(span.start_time_unix_nano),
            "end_unix_nano": str(span.end_time_unix_nano),
            "status": ("unset", "ok", "error")[span.status.code],
            "is call": any(one.key == "gen_ai.operation.name" for one in span.attributes),
        }
        for span_id, (*_, span) in spans.items()
    }


def test_every_field_of_a_trace_that_otlp_has_arrives(tmp_path: Path) -> None:
    fixed = {"opentelemetry.proto.trace.v1.Span.trace_id": bytes.fromhex(TRACE)}
    request = ExportTraceServiceRequest(resource_spans=Maximal(fixed).variants(ResourceSpans))
    with running("local", tmp_path) as pipeline:
        post(pipeline.collector.as_receiver(), "/v1/traces", request)
        assert stored(pipeline.receiver, by_span(request)) == by_span(request)


def test_the_other_backend_has_everything_and_otel_replay_its_part(tmp_path: Path) -> None:
    plain = traces(span(TRACE, 1), service="billing")
    of_session = traces(span(TRACE, 2, attributes={"langfuse.session.id": "s1"}))
    of_call = traces(span(TRACE, 3, attributes={"openinference.span.kind": "LLM"}))
    of_page = traces(span(TRACE, 4), resource={"telemetry.sdk.language": "webjs"})
    with running("fan-out", tmp_path) as pipeline:
        to = pipeline.collector.as_receiver()
        for request in (plain, of_session, of_call, of_page):
            post(to, "/v1/traces", request)
        ours = by_span(of_session) | by_span(of_call) | by_span(of_page)
        assert stored(pipeline.backend, ours | by_span(plain)) == ours | by_span(plain)
        assert stored(pipeline.receiver, ours) == ours


def test_a_key_goes_along(tmp_path: Path) -> None:
    """A receiver that needs keys takes what the Collector sends with its own."""
    database = tmp_path / "replay-0.db"
    for name, scope in (("me", "admin"), ("collector", "ingest"), ("reader", "read")):
        made = command("keys", "create", name, "--scope", scope, "--db", str(database), "--format", "json")
        if name == "collector":
            key = made["key"]
        elif name == "reader":
            reading = made["key"]
    request = traces(span(TRACE, 1))
    with receivers(tmp_path) as [receiver]:
        settings = {"OTEL_REPLAY_ENDPOINT": receiver.grpc, "OTEL_REPLAY_API_KEY": key}
        with collector(preset("local"), tmp_path / "collector", **settings) as found:
            post(found.as_receiver(), "/v1/traces", request)

            def ask() -> int:
                url = f"{receiver.url}/api/v1/traces/{TRACE}"
                return requests.get(url, headers={"x-api-key": reading}, timeout=20).status_code

            assert eventually(ask, lambda status: status == 200) == 200
