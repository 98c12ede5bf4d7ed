"""Exporters for every place that spans and log records can go to: a receiver over HTTP or gRPC, or a database file."""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Generic, Protocol, TypeVar, cast

from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_replay.sdk.delivery import Delivery
from otel_replay.sdk.destination import Signal, destination
from otel_replay.sdk.queues import Queue
from otel_replay.sdk.sampling import Sampling, rate_of
from otel_replay.sdk.sending import open_sender
from otel_replay.sdk.spool import spool_of

_log = logging.getLogger(__name__)

MAX_REQUEST_BYTES = 4 * 1024 * 1024
"""What a gRPC server takes by default."""

QUEUE_VARIABLES: dict[Signal, str] = {"traces": "OTEL_BSP_MAX_QUEUE_SIZE", "logs": "OTEL_BLRP_MAX_QUEUE_SIZE"}

Item = TypeVar("Item")
Kind = TypeVar("Kind")


class _Message(Protocol):
    def SerializeToString(self) -> bytes: ...  # noqa: N802 - protobuf's


class _Exporter(Generic[Item]):
    """What the exporters of spans and of log records have in common."""

    _signal: Signal
    _encode: Callable[..., _Message]

    def __init__(
        self,
        endpoint: str | None = None,
        protocol: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
        spool: str | os.PathLike[str] | bool | None = None,
        max_request_bytes: int = MAX_REQUEST_BYTES,
        sample_rate: float | None = None,
    ) -> None:
        self._decide_by(Sampling(rate_of(sample_rate)))
        to = destination(self._signal, endpoint, protocol, headers, timeout_s)
        self._delivery = Delivery(lambda: open_sender(to), spool_of(to, spool), to.timeout_s)
        self._max_request_bytes = max_request_bytes
        self._is_shut_down = False
        EXPORTERS.add(cast("Exporter", self))

    @property
    def spooled(self) -> int:
        """Items on disk that wait for the receiver."""
        return self._delivery.spooled

    @property
    def lost(self) -> int:
        """Items that are neither with the receiver nor on disk; each reason for it is in the log."""
        return self._delivery.lost

    def sample_with(self, other: Exporter) -> None:
        """Decides about sessions together with the exporter of the other signal, at that one's rate.

        An error that one of them sees then brings back what the other one has kept of its session.
        """
        self._decide_by(other._sampling)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """True when the receiver has everything, and nothing was lost since the last call.

        False too when some of it is still on disk (``spooled``), from where it is sent later.
        """
        return self._delivery.flush(timeout_millis / 1_000)

    @property
    def queue(self) -> Queue:
        """Counts what a batch processor has for this exporter."""
        return self._delivery.queue

    def note_emptied(self, entered: int) -> None:
        """The batch processor has emptied its queue of what had ``entered`` it: what is missing is lost."""
        self._delivery.note_emptied(entered, f"{QUEUE_VARIABLES[self._signal]} makes it longer")

    def drain(self, timeout_s: float) -> int:
        """Sends what waits on disk, of processes that are gone too, for so long at most; gives what still waits."""
        self._delivery.drain(timeout_s)
        return self.spooled

    def shutdown(self, timeout_millis: float = 30_000) -> None:
        """Sends what waits while the receiver takes it; the rest stays on disk for the next process."""
        if not self._is_shut_down:
            self._is_shut_down = True
            self._delivery.close(timeout_millis / 1_000)

    def _decide_by(self, sampling: Sampling) -> None:
        sampling.send_with(self._signal, self._deliver)
        self._sampling = sampling

    def _take(self, batch: Sequence[Item]) -> bool:
        """False when some of it is lost; what is not to be recorded is not."""
        self._delivery.queue.leave(len(batch))
        return self._sampling.take(self._signal, batch) is not False

    def _deliver(self, batch: Sequence[Item]) -> bool:
        if self._is_shut_down:
            _log.warning("an exporter that is shut down was given %d items", len(batch))
            return False
        delivered = [self._delivery.deliver(body, items) for body, items in self._requests(batch)]
        return all(delivered)

    def _requests(self, batch: Sequence[Item]) -> Iterator[tuple[bytes, int]]:
        """Serialised requests, none larger than allowed unless one item is; each with the number of its items."""
        try:
            body = self._encode(batch).SerializeToString()
        except Exception:  # noqa: BLE001 - one that cannot be encoded costs no other
            if len(batch) == 1:
                _log.exception("one item is lost: it cannot be encoded")
                self._delivery.lose(1)
                return
            body = None
        if body is not None and (len(body) <= self._max_request_bytes or len(batch) == 1):
            yield body, len(batch)
            return
        half = len(batch) // 2
        yield from self._requests(batch[:half])
        yield from self._requests(batch[half:])


Exporter = _Exporter[ReadableSpan] | _Exporter[ReadableLogRecord]

EXPORTERS: weakref.WeakSet[Exporter] = weakref.WeakSet()
"""All of this process, for whoever did not make them: ``opentelemetry-instrument`` makes them by their names."""


class OTelReplaySpanExporter(_Exporter[ReadableSpan], SpanExporter):
    """Sends spans to ``endpoint``.

    ``http(s)://HOST:PORT`` is OTLP over HTTP; port 4317 or ``protocol="grpc"`` is OTLP over gRPC.
    ``sqlite:///FILE`` (four slashes for an absolute path) writes in this process, without a server. Without an endpoint
    ``OTEL_REPLAY_ENDPOINT``, then ``OTEL_EXPORTER_OTLP_ENDPOINT``, then http://127.0.0.1:4318; headers, timeout,
    compression and certificates come from ``OTEL_EXPORTER_OTLP_*`` too, a key from ``OTEL_REPLAY_API_KEY``.

    While the receiver is away requests wait in ``spool``: a directory, False for none, or None for that of
    ``OTEL_REPLAY_SPOOL``, else the user's directory for the state of programs. ``export`` says SUCCESS when the
    receiver has the spans or the disk has them, fsynced.

    ``sample_rate`` (0 to 1) is the share of sessions that are kept, whole ones; None: that of
    ``OTEL_REPLAY_SAMPLE_RATE``, else all. What began while its session was paused is never kept.

    Raises ``UnsupportedRequest`` for an endpoint or a protocol that is none of these, ``InvalidRequest`` for a rate.
    """

    _signal = "traces"
    _encode = staticmethod(encode_spans)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS if self._take(spans) else SpanExportResult.FAILURE


class OTelReplayLogExporter(_Exporter[ReadableLogRecord], LogRecordExporter):
    """Sends log records; everything else is as for :class:`OTelReplaySpanExporter`."""

    _signal = "logs"
    _encode = staticmethod(encode_logs)

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        return LogRecordExportResult.SUCCESS if self._take(batch) else LogRecordExportResult.FAILURE


def the_only(kind: type[Kind]) -> Kind | None:
    """The exporter of this kind that a configuration has made; None where it has made several, or none."""
    found = [one for one in EXPORTERS if isinstance(one, kind)]
    return found[0] if len(found) == 1 else None
