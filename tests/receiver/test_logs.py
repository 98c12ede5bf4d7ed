"""What is read of any logs request is what its records say when each is decoded."""

from __future__ import annotations

from typing import Any

import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from otel_replay.genai.identity import identity, resource_identity
from otel_replay.model import Signal
from otel_replay.otlp.attributes import attribute_map
from otel_replay.otlp.requests import accept
from otel_replay.receiver.prepare import prepare
from otel_replay.store.base import AttributeValue, SessionSighting, Write
from otel_replay.store.folding import fold_sightings
from tests.genai.spans import key_values
from tests.receiver.test_prepare import ATTRIBUTES, NAMED, ORIGIN, RESOURCES
from tests.store.requests import log, logs

TRACE = b"\1" * 16
RECORDS = st.builds(
    lambda named, rest, **fields: LogRecord(attributes=key_values({**rest, **named}), **fields),
    NAMED,
    st.just({}) | ATTRIBUTES,
    time_unix_nano=st.sampled_from([0, 1, 2**63 - 1]),
    observed_time_unix_nano=st.sampled_from([0, 5]),
    trace_id=st.sampled_from([b"", TRACE, b"\2" * 16, b"\3" * 8]),
    severity_number=st.sampled_from([0, 16, 17]),
    event_name=st.sampled_from(["", "session.start", "session.end", "gen_ai.choice"]),
)


@st.composite
def requests(draw: st.DrawFn) -> ExportLogsServiceRequest:
    def group() -> ResourceLogs:
        scopes = [ScopeLogs(log_records=draw(st.lists(RECORDS, max_size=4))) for _ in range(2)]
        return ResourceLogs(resource=Resource(attributes=key_values(draw(RESOURCES))), scope_logs=scopes)

    return ExportLogsServiceRequest(resource_logs=[group(), group()])


def prepared(request: ExportLogsServiceRequest) -> Write:
    return prepare(accept(Signal.LOGS, request.SerializeToString()), ORIGIN, b"")


@settings(deadline=None)
@given(requests())
def test_as_each_record_says(request: ExportLogsServiceRequest) -> None:
    times, sightings, session_traces, services = [], [], set(), set()
    for group in request.resource_logs:
        around = attribute_map(group.resource.attributes)
        for record in (one for scope in group.scope_logs for one in scope.log_records):
            services.add(service if isinstance(service := around.get("service.name"), str) else "")
            times.append(record.time_unix_nano or record.observed_time_unix_nano)
            if session := identity(attribute_map(record.attributes)).or_else(resource_identity(around)).session_id:
                sightings += _sightings(session, record, around, times[-1])
                if len(record.trace_id) == 16:
                    session_traces.add((session, record.trace_id.hex()))
    write = prepared(request)
    everything = [one for group in request.resource_logs for scope in group.scope_logs for one in scope.log_records]
    assert write.items == len(everything)
    assert write.errors == sum(record.severity_number >= 17 for record in everything)
    assert (write.start_unix_nano, write.end_unix_nano) == (min(times, default=0), max(times, default=0))
    assert write.last_start_unix_nano == write.end_unix_nano
    assert write.services == services
    assert write.trace_ids == {record.trace_id for record in everything if len(record.trace_id) == 16}
    assert {one.session_id: one for one in write.sessions} == fold_sightings(sightings)
    assert write.session_traces == session_traces


def _sightings(session: str, record: LogRecord, around: dict[str, Any], time: int) -> list[SessionSighting]:
    """What a record says of its session: its user, and as a session event more."""
    attributes = attribute_map(record.attributes)
    told = [SessionSighting(session, time, time)]
    if user := identity(attributes).or_else(resource_identity(around)).user_id:
        digest = xxhash.xxh3_128_hexdigest(user.encode())
        told.append(SessionSighting(session, time, time, {"user.id": AttributeValue(time, digest, user)}))
    if record.event_name.startswith("session."):
        digest = xxhash.xxh3_128_hexdigest(record.SerializeToString())
        said: dict[str, Any] = {name: attributes[name] for name in ("user.id", "feature") if name in attributes}
        said |= {"state": state} if (state := _STATES.get(record.event_name)) else {}
        values = {
            name: AttributeValue(time, digest, value)
            for name, value in said.items()
            if isinstance(value, str | int | float)
        }
        told.append(SessionSighting(session, time, time, values))
    return told


_STATES = {"session.start": "active", "session.end": "ended"}


def test_a_recording_names_no_session_by_way_of_its_record() -> None:
    """Its chunk does, with the times of what was recorded."""
    attributes = {"session.id": "s1", "rr-web.event": "", "rr-web.offset": 1}
    event = '{"type": 4, "timestamp": 1763600000000, "data": {}}'
    recording = log(attributes, body={"string_value": event})
    write = prepared(logs(recording, log({"session.id": "s2"}, time=7)))
    assert {(one.session_id, one.start_unix_nano) for one in write.sessions} == {
        ("s1", 1_763_600_000_000_000_000),
        ("s2", 7),
    }
    assert (write.items, len(write.chunks), write.end_unix_nano) == (1, 1, 7)
    assert [
        len(scope.log_records) for scope in ExportLogsServiceRequest.FromString(write.body).resource_logs[0].scope_logs
    ] == [1]
