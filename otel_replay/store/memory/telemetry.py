"""Spans, logs and metrics, searched one by one."""

from __future__ import annotations

from collections.abc import Iterator

from otel_replay.model import Signal, StoredLog, StoredSpan
from otel_replay.store import blocks
from otel_replay.store.base import SpanFilter, TracePage
from otel_replay.store.memory.held import Held
from otel_replay.store.names import kept_name, kept_operations
from otel_replay.store.trace_search import rank_trace


class TelemetryInMemory(Held):
    """What was received, as it was received."""

    def trace(self, project: int, trace_id: str) -> bytes:
        return blocks.trace_data(self._spans_of_trace(project, trace_id))

    def spans_of_trace(self, project: int, trace_id: str) -> list[StoredSpan]:
        return blocks.stored_spans(self._spans_of_trace(project, trace_id))

    def _spans_of_trace(self, project: int, trace_id: str) -> list[blocks.Matched]:
        return blocks.spans_of_trace(self._bodies(project, Signal.TRACES), bytes.fromhex(trace_id))

    def spans_of_session(self, project: int, session_id: str) -> list[StoredSpan]:
        bodies = self._bodies(project, Signal.TRACES)
        return blocks.stored_spans(blocks.spans_of_session(bodies, session_id, lambda _traces: bodies))

    def logs_of_trace(self, project: int, trace_id: str) -> list[StoredLog]:
        bodies = self._bodies(project, Signal.LOGS)
        return blocks.stored_logs(project, blocks.logs_of_trace(bodies, bytes.fromhex(trace_id)))

    def logs_of_session(self, project: int, session_id: str) -> list[StoredLog]:
        bodies = self._bodies(project, Signal.LOGS)
        return blocks.stored_logs(project, blocks.logs_of_session(bodies, session_id))

    def metrics(self, project: int) -> Iterator[bytes]:
        return iter(self._bodies(project, Signal.METRICS))

    def search_traces(
        self, project: int, wanted: SpanFilter, *, limit: int, after: tuple[int, str] | None = None
    ) -> TracePage:
        written = [write for write in self._writes if write.project == project and write.signal == Signal.TRACES]
        names = {trace_id.hex() for write in written for trace_id in write.trace_ids}
        ranked = [rank_trace(name, self._spans_of_trace(project, name), wanted) for name in names]
        rest = sorted((one for one in ranked if one and (after is None or one.position < after)), reverse=True)
        page = rest[:limit]
        return TracePage([one.summary for one in page], page[-1].position if len(rest) > limit else None)

    def services(self, project: int) -> list[str]:
        return sorted(filter(None, self._operations(project)))

    def operations(self, project: int, service: str) -> list[str]:
        return sorted(self._operations(project).get(kept_name(service), ()))

    def _operations(self, project: int) -> dict[str, set[str]]:
        return kept_operations(write.operations for write in self._writes if write.project == project)
