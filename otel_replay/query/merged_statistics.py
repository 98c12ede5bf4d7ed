"""Statistics over several receivers: every call counted once, or, of very many, sums and percentiles of sketches."""

from __future__ import annotations

from collections.abc import Sequence

from otel_replay.errors import InvalidRequest
from otel_replay.model import DEFAULT_PROJECT, Usage
from otel_replay.query.merged_rows import MergedRows, add_sessions, add_traces
from otel_replay.query.parts import Asking
from otel_replay.store.base import InteractionFilter, Statistics, StatisticsTable, Times
from otel_replay.store.sketch import Sketch
from otel_replay.store.sqlite.rollups import COUNTS, NUMBERS, PARTS
from otel_replay.store.sqlite.shared_rows import RolledUpGroup
from otel_replay.store.statistics import BUSIEST, Plan, counts_other_errors, most, plan, statistics_of

MOST_TRACES = 20_000
"""With calls, of each receiver, that are fetched call by call: with a few calls each that takes seconds. Of more the
roll-ups are merged."""

MOST_GROUPS = 2_000
"""Lines of roll-ups that each receiver is asked for: what has most calls in all may have few at each."""


def merged_statistics(asking: Asking, by: str, wanted: InteractionFilter, limit: int) -> StatisticsTable:
    """Of up to :data:`MOST_TRACES` traces exactly, whatever receiver holds which part of a trace.

    Of more, where roll-ups answer: sums of what each receiver counts, and percentiles of their sketches together. Then
    a trace has to be at one receiver, as Collectors balance it; one that is spread is counted by each.
    """
    how = plan(by, wanted)
    meant = wanted._replace(since_unix_nano=how.since_unix_nano, until_unix_nano=how.until_unix_nano)
    told = asking.answers("traces_of_calls", meant._replace(label=None), MOST_TRACES + 1)
    if all(len(traces) <= MOST_TRACES for traces in told):
        return _exact(asking, by, wanted, meant, {trace for traces in told for trace in traces}).statistics(
            DEFAULT_PROJECT, by, wanted, limit=limit
        )
    if how.rolled_up_by is None or how.rolled_up_by in BUSIEST:
        raise InvalidRequest(
            f"calls in more than {MOST_TRACES} traces to look at one by one",
            hint="narrow since and until, or ask with one filter by day, or with none",
        )
    return _summed(asking.answers("rolled_up", by, wanted, max(limit, MOST_GROUPS)), how, limit)


def _exact(
    asking: Asking, by: str, wanted: InteractionFilter, meant: InteractionFilter, traces: set[str]
) -> MergedRows:
    """A store with all that statistics look at."""
    store = MergedRows()
    add_traces(asking, store, traces)
    sessions: set[str] = set()
    if wanted.label is not None:
        sessions |= store.sessions_of_calls()
    if counts_other_errors(by, wanted):
        told = asking.answers("sessions_with_errors", meant, MOST_TRACES)
        sessions |= {session for found in told for session in found}
    add_sessions(asking, store, sessions)
    return store


def _summed(told: Sequence[Sequence[RolledUpGroup]], how: Plan, limit: int) -> StatisticsTable:
    totals = [groups[0] for groups in told if groups]
    by_name: dict[str, list[RolledUpGroup]] = {}
    for groups in told:
        for group in groups[1:]:
            by_name.setdefault(group.group, []).append(group)
    lines = [_line(name, groups) for name, groups in by_name.items()]
    return StatisticsTable(most(lines, limit), _line("", totals), how.since_unix_nano, how.until_unix_nano)


def _line(name: str, groups: Sequence[RolledUpGroup]) -> Statistics:
    found = {name: sum(group.counts.get(name, 0) for group in groups) for name in COUNTS}
    *tokens, cost = (found[one] if found[f"{one}_said"] else None for one in NUMBERS)
    parts = [found[f"{one}_cost"] for one in PARTS]
    by_source = None if cost is None else [max(cost - sum(parts), 0), *parts]
    return statistics_of(
        name,
        found["interactions"],
        found["errors"],
        Usage(*tokens),
        by_source,
        _times([group.latency for group in groups]),
        _times([group.first_token for group in groups]),
        None,
    )


def _times(packed: Sequence[bytes]) -> Times | None:
    sketch = Sketch()
    for one in packed:
        sketch.add_packed(one)
    percentiles, mean = sketch.percentiles(), sketch.mean()
    return None if percentiles is None or mean is None else Times(*percentiles, mean)
