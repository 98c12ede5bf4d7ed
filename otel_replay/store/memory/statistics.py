"""Statistics and search, from the AI spans themselves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple

from otel_replay.genai.prices import Cost, pico_usd
from otel_replay.model import MAX_UNIX_NANO
from otel_replay.store.base import InteractionFilter, InteractionRow, SearchPage, SessionFilter, StatisticsTable
from otel_replay.store.memory.held import key_of, owned
from otel_replay.store.memory.sessions import SessionsInMemory
from otel_replay.store.searching import Origin, search_writes, wants
from otel_replay.store.statistics import (
    Counted,
    counts_other_errors,
    day_name,
    exact_table,
    plan,
    with_other_errors,
)
from otel_replay.store.text_query import TextQuery


class StatisticsInMemory(SessionsInMemory):
    """Every AI span is looked at for each answer."""

    def statistics(self, project: int, by: str, wanted: InteractionFilter, *, limit: int) -> StatisticsTable:
        how = plan(by, wanted)
        wanted = wanted._replace(since_unix_nano=how.since_unix_nano, until_unix_nano=how.until_unix_nano)
        bits = self._counting(project)
        rows = [
            row
            for row in self._calls(project).values()
            if wants(wanted, row, row.start_unix_nano, self._label(project, row.session_id))
        ]
        table = exact_table([_counted(by, row, bits[key_of(row)]) for row in rows], how, limit)
        if not counts_other_errors(by, wanted):
            return table
        errors = self._errors_in(project, wanted)
        return with_other_errors(by, table, lambda session: errors.get(session, 0), sum(errors.values()))

    def _errors_in(self, project: int, wanted: InteractionFilter) -> dict[str, int]:
        """By session, of those that a question about calls is about."""
        described = SessionFilter(user=wanted.user, feature=wanted.feature, label=wanted.label)
        since = -MAX_UNIX_NANO if wanted.since_unix_nano is None else wanted.since_unix_nano
        until = MAX_UNIX_NANO + 1 if wanted.until_unix_nano is None else wanted.until_unix_nano
        names = [one.session_id for one in self._described(project, described)]
        return {
            name: sum(since <= time < until for time in self._other_errors(project, name))
            for name in names
            if wanted.session_id in (None, name)
        }

    def costs_of_traces(self, project: int, trace_ids: Iterable[str]) -> dict[tuple[str, str], Cost]:
        wanted = set(trace_ids)
        return {
            key_of(row): Cost(row.cost_usd, row.cost_source)
            for row in owned(self._interactions, project)
            if row.trace_id in wanted and row.cost_usd is not None and row.cost_source != "reported"
        }

    def search(
        self,
        project: int,
        text: str,
        wanted: InteractionFilter,
        *,
        limit: int,
        after: tuple[int, str] | None = None,
    ) -> SearchPage:
        calls = self._calls(project)

        def winner(origin: Origin) -> InteractionRow | None:
            return calls.get((origin.trace_id, origin.span_id))

        def is_wanted(row: InteractionRow, start_unix_nano: int) -> bool:
            return wants(wanted, row, start_unix_nano, self._label(project, row.session_id))

        written = [write for write in self._writes if write.project == project]
        return search_writes(written, winner, is_wanted, TextQuery(text), limit, after)

    def _label(self, project: int, session_id: str) -> str | None:
        session = self.session(project, session_id)
        label = session.attributes.get("label") if session else None
        return None if label is None else str(label)


def _counted(by: str, row: InteractionRow, bits: int) -> Counted:
    group = {"model": row.response_model or row.request_model, "day": day_name(row.start_unix_nano)}
    group |= {"session": row.session_id, "conversation": row.conversation_id}
    return Counted(
        (group[by] if by in group else getattr(row, by)) or "",
        bits,
        row.status == "error",
        (*astuple(row.usage), None if row.cost_usd is None else pico_usd(row.cost_usd)),
        row.cost_source,
        row.start_unix_nano,
        row.version.end_unix_nano,
        row.time_to_first_token_ns,
    )
