"""What a server counts, for ``/metrics``: once for each request, never for each span."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge

from otel_replay.model import Signal
from otel_replay.receiver.handler import Commits
from otel_replay.store.base import Receipt, Write

GRPC, HTTP = "grpc", "http"
_REFUSALS = {401: "unauthenticated", 403: "forbidden", 429: "rate_limited"}
_KINDS = {Signal.TRACES: "spans", Signal.LOGS: "log_records", Signal.METRICS: "metrics"}


class Measures:
    """The counters of one server, in a registry of their own. Looking up a label costs 1.5 us, a count 0.4."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = self._counter("requests", "Ingest requests answered.", "transport", "route", "code")
        received = self._counter("received_bytes", "Bytes of bodies before decompression.", "transport")
        self._received = {transport: received.labels(transport) for transport in (GRPC, HTTP)}
        stored = self._counter("stored_records", "Records committed, duplicates left out.", "kind")
        self._stored = {signal: stored.labels(kind) for signal, kind in _KINDS.items()}
        self._chunks = stored.labels("chunks")
        rejected = self._counter("rejected_records", "Records kept aside with a reason.", "kind")
        self._rejected = {signal: rejected.labels(kind) for signal, kind in _KINDS.items()}
        self._refused = self._counter("refused_requests", "Requests not let in.", "transport", "scope", "reason")
        self._redacted = self._counter("redacted_values", "Values taken out of what arrived.", "rule")

    def redacted(self, rule: str, values: int) -> None:
        """Values were replaced, or attributes dropped, before they were stored."""
        self._redacted.labels(rule).inc(values)

    def count_late(self, dropped: Callable[[], float]) -> None:
        """``dropped`` tells how much came after it was erased, and was not stored."""
        words = "Records and chunks that came after they were erased."
        Gauge("otel_replay_erased_late_records", words, registry=self.registry).set_function(dropped)

    def answered(self, transport: str, route: str, code: str, size: int) -> None:
        """One request came to its end; ``code`` is an HTTP status or the name of a gRPC one."""
        self._requests.labels(transport, route, code).inc()
        self._received[transport].inc(size)

    def refused(self, transport: str, scope: str | None, http_status: int) -> None:
        """One request was answered with this status; gRPC's as the one table of errors says. Counted if that means
        that the sender was not let in. ``scope`` is what the request took; None: what anybody may ask for."""
        reason = _REFUSALS.get(http_status)
        if reason:
            self._refused.labels(transport, scope or "none", reason).inc()

    def committed(self, write: Write) -> None:
        """A write is on disk."""
        if write.items:
            self._stored[write.signal].inc(write.items)
        if write.chunks:
            self._chunks.inc(len(write.chunks))
        if write.quarantined:
            self._rejected[write.signal].inc(len(write.quarantined))

    def _counter(self, name: str, words: str, *labels: str) -> Counter:
        return Counter(f"otel_replay_{name}", words, labels, registry=self.registry)


class CountingCommits:
    """The store as the handler needs it, with what is committed counted."""

    def __init__(self, store: Commits, measures: Measures) -> None:
        self._store = store
        self._measures = measures

    def commit(self, write: Write) -> Receipt:
        receipt = self._store.commit(write)
        if not receipt.duplicate:
            self._measures.committed(write)
        return receipt
