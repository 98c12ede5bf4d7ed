"""One exporter for every place a span can go to: a receiver over HTTP or gRPC, or a database file without a server."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from importlib.metadata import entry_points
from urllib.parse import SplitResult, urlsplit

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_replay.errors import UnsupportedRequest
from otel_replay.sdk.sink import Sink, SinkFactory

_log = logging.getLogger(__name__)

SINKS = "otel_replay.sinks"
"""The entry point group of factories that open a ``Sink``, by URL scheme."""

_GRPC_PORT = 4317
_PROTOCOLS = ("grpc", "http/protobuf")
_HINT = "http://HOST:4318, http://HOST:4317 for gRPC, or sqlite:///FILE"


class OTelReplaySpanExporter(SpanExporter):
    """Sends spans to ``endpoint``.

    ``http(s)://HOST:PORT`` is OTLP over HTTP; port 4317 or ``protocol="grpc"`` is OTLP over gRPC: both through the
    stock exporters, whose ``OTEL_EXPORTER_OTLP_*`` variables for headers, timeout and compression apply.
    ``sqlite:///FILE`` (four slashes for an absolute path) writes in this process, without a server.
    Raises ``UnsupportedRequest`` for an endpoint or a protocol that is none of these.
    """

    def __init__(self, endpoint: str = "http://127.0.0.1:4318", protocol: str | None = None) -> None:
        self._exporter = _exporter_for(endpoint, protocol)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._exporter.export(spans)

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


class _SinkExporter(SpanExporter):
    """Hands each batch to a sink as one serialised ``ExportTraceServiceRequest``."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

        try:
            self._sink.export_traces(encode_spans(spans).SerializeToString())
        except Exception:  # noqa: BLE001 - the SDK's contract: an exporter never raises
            _log.exception("%d spans were not kept", len(spans))
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self._sink.close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is buffered: a batch is kept when its export returns."""
        return True


def _exporter_for(endpoint: str, protocol: str | None) -> SpanExporter:
    url, port = _split(endpoint)
    if protocol not in (None, *_PROTOCOLS):
        raise UnsupportedRequest(f"exporter protocol {protocol!r} is not known", hint=f"one of {', '.join(_PROTOCOLS)}")
    if url.scheme not in ("http", "https"):
        return _SinkExporter(_open_sink(endpoint, url))
    if protocol == "grpc" or (protocol is None and port == _GRPC_PORT):
        return _grpc_exporter(endpoint)
    return _http_exporter(url)


def _split(endpoint: str) -> tuple[SplitResult, int | None]:
    try:
        url = urlsplit(endpoint)
        return url, url.port
    except ValueError as error:
        raise UnsupportedRequest(f"exporter endpoint {endpoint!r} is not a URL: {error}", hint=_HINT) from None


def _http_exporter(url: SplitResult) -> SpanExporter:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    path = url.path.rstrip("/")
    if not path.endswith("/v1/traces"):
        path += "/v1/traces"
    return OTLPSpanExporter(endpoint=url._replace(path=path).geturl())


def _grpc_exporter(endpoint: str) -> SpanExporter:
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter(endpoint=endpoint)


def _open_sink(endpoint: str, url: SplitResult) -> Sink:
    path = url.path.removeprefix("/")
    if not url.scheme or url.netloc or not path:
        raise UnsupportedRequest(f"exporter endpoint {endpoint!r} is not understood", hint=_HINT)
    for entry in entry_points(group=SINKS, name=url.scheme):
        factory: SinkFactory = entry.load()
        return factory(path)
    raise UnsupportedRequest(
        f"nothing installed can keep spans at {endpoint!r}: no entry point {url.scheme!r} in the group {SINKS!r}",
        hint="install otel-replay again, or send to a receiver: http://HOST:4318",
    )
