"""sample.yaml keeps every trace that it must keep, whole, and every recording; of the others its share."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from otel_replay.genai.identity import RESOURCE_SESSION_KEYS, SPAN_SESSION_KEYS
from otel_replay.genai.interpret import AI_KEYS
from otel_replay.store.sqlite import SqliteReader
from tests.collector.pipelines import post, recorded
from tests.collector.processes import collector, preset, receivers
from tests.genai.spans import key_values
from tests.outside.outside import eventually
from tests.outside.telemetry import START, click, page, span, traces

pytestmark = [pytest.mark.slow, pytest.mark.feature("C6"), pytest.mark.feature("K17")]

OTHERS = 600
PERCENT = 25
_IDS = random.Random("trace ids")


def trace_id() -> str:
    """The same in every run, so that the same traces are drawn."""
    return _IDS.randbytes(16).hex()


def kept() -> dict[str, ExportTraceServiceRequest]:
    """A request for each reason to keep a trace, by trace id; it holds one span of two: the other is told before."""

    def of(**fields: Any) -> ExportTraceServiceRequest:
        return traces(span(trace_id(), 2, 1, **fields))

    requests = [
        of(status=Status(code=Status.STATUS_CODE_ERROR)),
        of(events=[Span.Event(name="exception", attributes=key_values({"exception.type": "ValueError"}))]),
        of(end_time_unix_nano=START + 6 * 10**9),
        *(of(attributes={key: 0.11}) for key in ("gen_ai.usage.cost", "llm.cost.total", "operation.cost")),
        *(of(attributes={key: "chat"}) for key in AI_KEYS),
        *(of(attributes={key: "s1"}) for key in SPAN_SESSION_KEYS),
        of(events=[Span.Event(name="login", attributes=key_values({"session.id": "s1"}))]),
        *(traces(span(trace_id(), 2, 1), resource={key: "s1"}) for key in RESOURCE_SESSION_KEYS),
        traces(span(trace_id(), 2, 1), resource={"telemetry.sdk.language": "webjs"}),
    ]
    for scope in ("otel_replay.browser", "@opentelemetry/instrumentation-fetch"):
        request = traces(span(trace_id(), 2, 1))
        request.resource_spans[0].scope_spans[0].scope.name = scope
        requests.append(request)
    return {one.resource_spans[0].scope_spans[0].spans[0].trace_id.hex(): one for one in requests}


def test_what_must_be_kept_is_kept(tmp_path: Path) -> None:
    must, others = kept(), [trace_id() for _ in range(OTHERS)]
    events = [*page(), *(click(number) for number in range(200))]
    settings = {"SAMPLE_WAIT": "3s", "SAMPLE_PERCENT": str(PERCENT)}
    with receivers(tmp_path) as [receiver]:
        settings["OTEL_REPLAY_ENDPOINT"] = receiver.grpc
        with collector(preset("sample"), tmp_path / "collector", **settings) as found:
            to = found.as_receiver()
            post(to, "/v1/traces", traces(*(span(one, 1) for one in (*must, *others))))
            post(to, "/v1/logs", recorded("page", events))
            for request in must.values():
                post(to, "/v1/traces", request)
            reader = SqliteReader(receiver.db)
            spans = eventually(lambda: spans_of(reader, must), lambda got: set(got.values()) == {2})
        drawn = spans_of(reader, others)
        chunks = eventually(lambda: list(reader.chunks(1, "page", "tab")), lambda got: len(got) >= len(events))
        reader.close()
    assert spans == dict.fromkeys(must, 2)
    assert PERCENT * 0.8 < 100 * sum(drawn.values()) / OTHERS < PERCENT * 1.2
    assert [json.loads(chunk.payload) for chunk in chunks] == events


def spans_of(reader: SqliteReader, traces: Iterable[str]) -> dict[str, int]:
    """How many spans of each trace there are."""
    return {one: len(reader.spans_of_trace(1, one)) for one in traces}


def test_late_spans_of_a_kept_trace_are_kept(tmp_path: Path) -> None:
    one = trace_id()
    with receivers(tmp_path) as [receiver]:
        settings = {"OTEL_REPLAY_ENDPOINT": receiver.grpc, "SAMPLE_WAIT": "1s", "SAMPLE_PERCENT": "0"}
        reader = SqliteReader(receiver.db)
        with collector(preset("sample"), tmp_path / "collector", **settings) as found:
            to = found.as_receiver()
            post(to, "/v1/traces", traces(span(one, 1, attributes={"session.id": "s1"})))
            assert len(eventually(lambda: reader.spans_of_trace(1, one), lambda got: len(got) == 1)) == 1
            post(to, "/v1/traces", traces(span(one, 2, 1)))
            assert len(eventually(lambda: reader.spans_of_trace(1, one), lambda got: len(got) == 2)) == 2
        reader.close()
