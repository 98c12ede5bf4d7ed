"""One exporter, three ways out, on real sockets."""

from __future__ import annotations

import gzip
import logging
from collections.abc import Iterator
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest
from opentelemetry._logs import LogRecord
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult

from otel_replay.errors import StoreUnavailable, UnsupportedRequest
from otel_replay.sdk import OTelReplayLogExporter, OTelReplaySpanExporter, SessionSpanProcessor, session, sinks
from otel_replay.sdk.backlog import is_sampled
from otel_replay.sdk.destination import destination
from otel_replay.sdk.exporter import MAX_REQUEST_BYTES
from tests.sdk.receivers import Receiver, attributes_of, grpc_receiver, http_receiver, log_bodies, names_of, span

SUCCESS, FAILURE = SpanExportResult.SUCCESS, SpanExportResult.FAILURE


class MemorySink:
    """A sink as a store would provide it; full after its first request of spans."""

    made: list[MemorySink] = []  # noqa: RUF012 - what the factory opened, for the test to read

    def __init__(self, path: str) -> None:
        self.path, self.bodies, self.logs, self.closed = path, list[bytes](), list[bytes](), 0
        self.made.append(self)

    def export_traces(self, body: bytes) -> None:
        if self.bodies:
            raise StoreUnavailable("full")
        self.bodies.append(body)

    def export_logs(self, body: bytes) -> None:
        self.logs.append(body)

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with http_receiver() as running:
        yield running


@pytest.fixture
def memory_sinks(monkeypatch: pytest.MonkeyPatch) -> None:
    found = EntryPoints([EntryPoint("sqlite", f"{__name__}:MemorySink", sinks.GROUP)])
    monkeypatch.setattr(sinks, "entry_points", lambda **wanted: found.select(**wanted))


def export_one(made: OTelReplaySpanExporter) -> None:
    provider = TracerProvider()
    provider.add_span_processor(SessionSpanProcessor())
    provider.add_span_processor(SimpleSpanProcessor(made))
    with session("s1"):
        provider.get_tracer("test").start_span("one").end()
    provider.shutdown()


@pytest.mark.feature("K17")
def test_an_exporter_samples_and_pauses_by_itself(receiver: Receiver) -> None:
    exporter = OTelReplaySpanExporter(receiver.url, sample_rate=0.5)
    provider = TracerProvider()
    provider.add_span_processor(SessionSpanProcessor())
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    names = [next(name for i in range(99) if is_sampled(name := f"{i}", 0.5) is wanted) for wanted in (True, False)]
    for name in names:
        with session(name, tracer_provider=provider) as visit:
            provider.get_tracer("test").start_span(name).end()
            visit.pause()
            provider.get_tracer("test").start_span("paused").end()
            visit.resume()
    provider.shutdown()
    assert receiver.names() == names[:1]


def log_one(made: OTelReplayLogExporter) -> None:
    provider = LoggerProvider()
    provider.add_log_record_processor(SimpleLogRecordProcessor(made))
    provider.get_logger("test").emit(LogRecord(body="one"))
    provider.shutdown()


@pytest.mark.feature("C6")
@pytest.mark.parametrize(
    ("suffix", "path"),
    [("", ""), ("/", ""), ("/v1/traces", ""), ("/v1/logs", ""), ("/in", "/in"), ("/in/v1/logs", "/in")],
)
def test_http_goes_to_the_signals_route(receiver: Receiver, suffix: str, path: str) -> None:
    export_one(OTelReplaySpanExporter(receiver.url + suffix))
    log_one(OTelReplayLogExporter(receiver.url + suffix))
    spans, logs = receiver.received
    assert (spans.path, logs.path) == (f"{path}/v1/traces", f"{path}/v1/logs")
    assert spans.headers["content-type"] == "application/x-protobuf"
    assert attributes_of(spans.body) == {"one": {"session.id": "s1"}}
    assert log_bodies(logs.body) == ["one"]


@pytest.mark.feature("C6")
def test_grpc_goes_to_the_signals_service() -> None:
    with grpc_receiver() as receiver:
        export_one(OTelReplaySpanExporter(receiver.url, protocol="grpc", headers={"X-Team": "a"}))
        log_one(OTelReplayLogExporter(receiver.url, protocol="grpc"))
    spans, logs = receiver.received
    assert (spans.path.split(".")[-1], logs.path.split(".")[-1]) == ("TraceService/Export", "LogsService/Export")
    assert attributes_of(spans.body) == {"one": {"session.id": "s1"}}
    assert spans.headers["x-team"] == "a"
    assert log_bodies(logs.body) == ["one"]


@pytest.mark.parametrize(
    ("endpoint", "protocol", "chosen"),
    [
        ("http://127.0.0.1:4317", None, "grpc"),
        ("http://127.0.0.1:4317", "http/protobuf", "http/protobuf"),
        ("http://127.0.0.1:4318", None, "http/protobuf"),
        ("http://127.0.0.1:4318", "grpc", "grpc"),
        ("https://replay.example", None, "http/protobuf"),
        ("https://replay.example", "grpc", "grpc"),
        ("sqlite:///replay.db", None, "sink"),
    ],
)
def test_the_port_chooses_the_protocol_unless_it_is_named(endpoint: str, protocol: str | None, chosen: str) -> None:
    assert destination("traces", endpoint, protocol).protocol == chosen


@pytest.mark.parametrize(
    ("variables", "url", "protocol"),
    [
        ({}, "http://127.0.0.1:4318/v1/traces", "http/protobuf"),
        ({"OTEL_REPLAY_ENDPOINT": "http://ours:4317"}, "http://ours:4317", "grpc"),
        (
            {"OTEL_REPLAY_ENDPOINT": "http://ours", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://theirs"},
            "http://ours/v1/traces",
            "http/protobuf",
        ),
        # What the stock distribution sets by itself does not turn an address of ours into one of gRPC.
        (
            {"OTEL_REPLAY_ENDPOINT": "http://ours", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "http://ours/v1/traces",
            "http/protobuf",
        ),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://theirs:4318", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "http://theirs:4318/v1/traces",
            "http/protobuf",
        ),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://theirs", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "https://theirs",
            "grpc",
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://theirs/base/"}, "http://theirs/base/v1/traces", "http/protobuf"),
        (
            {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://own/in", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://theirs"},
            "http://own/in",
            "http/protobuf",
        ),
    ],
)
def test_without_an_endpoint_the_environment_says_where(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], url: str, protocol: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = destination("traces")
    assert (found.url, found.protocol) == (url, protocol)


def test_a_key_goes_to_the_receiver_it_belongs_to(monkeypatch: pytest.MonkeyPatch, receiver: Receiver) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20theirs,x-team=a")
    export_one(OTelReplaySpanExporter(receiver.url))
    monkeypatch.setenv("OTEL_REPLAY_ENDPOINT", receiver.url)
    export_one(OTelReplaySpanExporter())
    monkeypatch.setenv("OTEL_REPLAY_API_KEY", "ours\n")  # as a file with a secret has it
    export_one(OTelReplaySpanExporter())
    export_one(OTelReplaySpanExporter(headers={"Authorization": "Bearer given"}))
    sent = [(one.headers.get("authorization"), one.headers.get("x-team")) for one in receiver.received]
    assert sent == [("Bearer theirs", "a"), (None, None), ("Bearer ours", None), ("Bearer given", None)]


def test_what_the_stock_exporters_read_from_the_environment_holds(
    monkeypatch: pytest.MonkeyPatch, receiver: Receiver
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    export_one(OTelReplaySpanExporter(receiver.url))
    (request,) = receiver.received
    assert request.headers["content-encoding"] == "gzip"
    assert names_of(gzip.decompress(request.body)) == ["one"]
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "3")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "4.5")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", "ca.pem")
    assert [destination(signal).timeout_s for signal in ("traces", "logs")] == [3.0, 4.5]
    assert destination("traces").certificate_file == "ca.pem"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "soon")
    assert destination("traces").timeout_s == 10.0


@pytest.mark.parametrize(
    ("endpoint", "protocol"),
    [
        ("localhost:4318", None),
        ("replay.db", None),
        ("sqlite://replay.db", None),
        ("sqlite:///", None),
        ("ftp:///x", None),
        ("http://", None),
        ("http://127.0.0.1:port", None),
        ("http://127.0.0.1:4318", "json"),
    ],
)
def test_what_is_not_understood_is_refused_with_a_hint(endpoint: str, protocol: str | None) -> None:
    with pytest.raises(UnsupportedRequest) as caught:
        OTelReplaySpanExporter(endpoint, protocol)
    assert caught.value.hint


def test_sqlite_without_a_sink_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sinks, "entry_points", lambda **_: EntryPoints())
    with pytest.raises(UnsupportedRequest, match=r"entry point 'sqlite' in the group 'otel_replay\.sinks'"):
        OTelReplaySpanExporter("sqlite:///replay.db")


@pytest.mark.usefixtures("memory_sinks")
@pytest.mark.parametrize(
    ("endpoint", "path"), [("sqlite:///replay.db", "replay.db"), ("sqlite:////data/r.db", "/data/r.db")]
)
def test_sqlite_goes_to_one_sink_for_spans_and_logs(endpoint: str, path: str) -> None:
    spans, logs = OTelReplaySpanExporter(endpoint), OTelReplayLogExporter(endpoint)
    sink = MemorySink.made[-1]
    export_one(spans)
    assert (sink.path, sink.closed) == (path, 0)
    log_one(logs)
    assert (MemorySink.made[-1], sink.closed) == (sink, 1)
    assert [attributes_of(body) for body in sink.bodies] == [{"one": {"session.id": "s1"}}]
    assert [log_bodies(body) for body in sink.logs] == [["one"]]


@pytest.mark.usefixtures("memory_sinks")
def test_a_program_that_changes_its_directory_closes_the_file_it_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = OTelReplaySpanExporter("sqlite:///replay.db")
    sink = MemorySink.made[-1]
    monkeypatch.chdir(tmp_path)
    made.shutdown()
    assert sink.closed == 1


@pytest.mark.usefixtures("memory_sinks")
def test_a_sink_that_cannot_keep_a_batch_is_a_failure_not_an_exception(caplog: pytest.LogCaptureFixture) -> None:
    made = OTelReplaySpanExporter("sqlite:///replay.db", timeout_s=0.3)
    assert [made.export([span("a")]), made.export([span("b")])] == [SUCCESS, FAILURE]
    assert (made.lost, made.force_flush()) == (1, False)
    assert "1 items are lost: full" in caplog.text
    made.shutdown()


def test_what_is_too_large_is_split_by_its_serialised_size(receiver: Receiver) -> None:
    made = OTelReplaySpanExporter(receiver.url)
    batch = [span(f"span {number}", size=300_000) for number in range(30)]
    batch.insert(7, span("larger than a request may be", size=MAX_REQUEST_BYTES + 1))
    assert made.export(batch) is SUCCESS
    assert receiver.names() == [one.name for one in batch]
    sizes = {len(one.body): names_of(one.body) for one in receiver.received}
    assert [names for size, names in sizes.items() if size > MAX_REQUEST_BYTES] == [["larger than a request may be"]]
    assert len(receiver.received) < 12
    made.shutdown()


def test_a_span_that_cannot_be_encoded_costs_no_other(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    made = OTelReplaySpanExporter(receiver.url)
    made.export([span("a"), span("half a surrogate pair: \ud83d"), span("b"), span("c")])
    assert receiver.names() == ["a", "b", "c"]
    assert made.lost == 1
    assert "cannot be encoded" in caplog.text
    made.shutdown()


def test_after_the_end_nothing_is_taken(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    made = OTelReplaySpanExporter(receiver.url)
    made.shutdown()
    made.shutdown()
    with caplog.at_level(logging.WARNING):
        assert made.export([span("late")]) is FAILURE
    assert "shut down" in caplog.text
    assert receiver.received == []
