"""What counts of each AI span."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import astuple

from otel_replay.store.base import InteractionRow
from otel_replay.store.memory.held import Held, owned
from otel_replay.timeline.relations import SUMMING_UP, AiSpan, SpanId, times
from otel_replay.timeline.twins import counted_in


class CountingInMemory(Held):
    """All traces are decided together."""

    def _counting(self, project: int) -> dict[SpanId, int]:
        """Of each AI span by (trace id, span id) what counts, as bits."""
        traces: dict[str, list[AiSpan]] = defaultdict(list)
        for row in owned(self._interactions, project):
            traces[row.trace_id].append(_ai_span(row))
        return counted_in(traces)


def _ai_span(row: InteractionRow) -> AiSpan:
    start, end = times(row.start_unix_nano, row.version.end_unix_nano)
    return AiSpan(
        span_id=row.span_id,
        parent_span_id=row.parent_span_id,
        start_unix_nano=start,
        end_unix_nano=end,
        kind=row.kind,
        teller=(row.service, row.scope),
        provider=row.provider,
        response_id=row.response_id,
        usage=astuple(row.usage),
        reports_cost=row.cost_usd is not None and row.cost_source == "reported",
        is_priced=row.cost_usd is not None and row.cost_source != "reported",
        has_session=bool(row.session_id),
        sums_up=row.operation == SUMMING_UP,
    )
