"""How the AI spans of one trace stand to each other: which is below which, and which tell of one call. Pure.

The rules are those of :mod:`otel_replay.timeline.counted`. Spans are in the order of (start, id) and known by their
places in it. Traces are untrusted: whatever their spans claim, the work stays in proportion to their number.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, NamedTuple

from otel_replay.model import MAX_UNIX_NANO, AiKind

NEAR = 64
"""So many spans of one moment are compared with another, and so many generations looked up to."""

MOST_TELLERS = 8
"""More instrumentations do not see one call."""

MOMENT_NS = 1_000_000_000
"""What tells of one call in two traces starts at most so much apart."""

SUMMING_UP = "advisor"
"""The operation of Spring AI's span around a model that runs its tools itself: each of its calls says the sum of what
it and the calls before it used (``UsageCalculator.getCumulativeUsage`` of Spring AI 1)."""

SpanId = bytes | str | tuple[Any, Any]

_ABOVE_IN_TIME = (AiKind.AGENT, AiKind.RETRIEVAL)
_TOTALS = ((0, (2, 3)), (1, (4,)))
"""Where a usage has input and output, and where the parts of each."""


class AiSpan(NamedTuple):
    """An AI span as far as counting goes; whatever is None or empty was not said. Ids only have to be comparable.

    ``sums_up``: the calls below it say what those before them used, too (:data:`SUMMING_UP`).
    ``teller`` tells instrumentations apart: of equal service and scope it is equal. ``usage`` are the token counts in
    the order of :class:`~otel_replay.model.Usage`. ``is_priced``: a cost was computed from them. ``has_session``: the
    span names a session. ``trace_id`` is only asked for where spans of several traces are looked at.
    """

    span_id: SpanId
    parent_span_id: SpanId
    start_unix_nano: int
    end_unix_nano: int
    kind: AiKind
    teller: Hashable
    provider: Hashable
    response_id: Hashable
    usage: tuple[int | None, ...]
    reports_cost: bool
    is_priced: bool
    has_session: bool
    trace_id: Hashable = ""
    sums_up: bool = False

    @property
    def says(self) -> int:
        """How many token counts."""
        return len(self.usage) - self.usage.count(None)

    @property
    def may_have_twins(self) -> bool:
        """Whether it is an inference that took some time and whose response has an id."""
        return bool(self.response_id) and self.kind is AiKind.INTERACTION and self.end_unix_nano > self.start_unix_nano

    @property
    def spoken(self) -> tuple[int, int] | None:
        """Input and output tokens, where both are said and not both are zero."""
        asked, answered = self.usage[:2]
        return None if asked is None or answered is None or not asked + answered else (asked, answered)


def agree(one: AiSpan, other: AiSpan) -> bool:
    """Whether the token counts of two spans can be those of one call: what both say is the same.

    Some leave out of a total the parts that others add to it: what a cache served, or the thoughts.
    """
    mine, others = one.usage, other.usage
    for total, parts in _TOTALS:
        said, again = mine[total], others[total]
        if said is None or again is None or said == again:
            continue
        if _without(mine, total, parts) != again and _without(others, total, parts) != said:
            return False
    return all(part is None or again is None or part == again for part, again in zip(mine[2:], others[2:], strict=True))


def _without(usage: tuple[int | None, ...], total: int, parts: tuple[int, ...]) -> int:
    return (usage[total] or 0) - sum(usage[part] or 0 for part in parts)


def are_twins(one: AiSpan, other: AiSpan) -> bool:
    """Whether inferences of two traces tell of one call: they carry the same response id.

    That alone does not show it, as some servers give few of them. Two instrumentations tell, of one moment, and say the
    same numbers wherever both say some.
    """
    if not (one.may_have_twins and other.may_have_twins and one.response_id == other.response_id):
        return False
    starts = (one.start_unix_nano, other.start_unix_nano)
    are_near = max(starts) - min(starts) <= MOMENT_NS
    overlap = max(starts) <= min(one.end_unix_nano, other.end_unix_nano)
    return one.teller != other.teller and are_near and overlap and agree(one, other)


def times(start_unix_nano: int, end_unix_nano: int) -> tuple[int, int]:
    """Start and end for :class:`AiSpan`: a span without a start is at its end, and none ends before it starts."""
    start = min(start_unix_nano or end_unix_nano, MAX_UNIX_NANO)
    return start, max(start, min(end_unix_nano, MAX_UNIX_NANO))


def may_be_related(spans: Sequence[AiSpan]) -> bool:
    """False when certainly no span is below another and no two are one call; most are so in most traces."""
    ids = {span.span_id for span in spans}
    responses: set[Hashable] = set()
    spoken: set[Hashable] = set()
    parents: set[SpanId] = set()
    has_parents = has_agents = is_silent = has_neighbours = False
    for span in spans:
        said = span.spoken
        if span.parent_span_id in ids or span.response_id in responses or said in spoken:
            return True
        if span.parent_span_id and span.kind is AiKind.INTERACTION:
            has_neighbours = has_neighbours or span.parent_span_id in parents
            is_silent = is_silent or not span.says
            parents.add(span.parent_span_id)
        if span.response_id:
            responses.add(span.response_id)
        if said:
            spoken.add(said)
        has_parents = has_parents or bool(span.parent_span_id)
        has_agents = has_agents or span.kind in _ABOVE_IN_TIME
    return (has_agents and has_parents) or (has_neighbours and is_silent)


def parents_of(spans: Sequence[AiSpan]) -> list[int]:
    """The place of each span's parent; -1 where that is no AI span, and once in every circle of parents."""
    places = {span.span_id: place for place, span in enumerate(spans)}
    parents = [places.get(span.parent_span_id, -1) if span.parent_span_id else -1 for span in spans]
    done: set[int] = set()
    for start in range(len(spans)):
        path: dict[int, int] = {}
        at = start
        while at >= 0 and at not in done and at not in path:
            path[at] = len(path)
            at = parents[at]
        if at in path:
            parents[min(list(path)[path[at] :])] = -1
        done.update(path)
    return parents


def during(spans: Sequence[AiSpan], parents: Sequence[int]) -> Iterator[tuple[int, int]]:
    """(span, agent or retrieval that it is below) as far as only times tell: it starts while that runs."""
    agents = [place for place, span in enumerate(spans) if span.kind in _ABOVE_IN_TIME]
    if not agents:
        return
    known = {span.span_id for span in spans}
    loose = [place for place, span in enumerate(spans) if span.parent_span_id and span.parent_span_id not in known]
    starts = [spans[place].start_unix_nano for place in loose]
    for upper in agents:
        agent = spans[upper]
        first = bisect_left(starts, agent.start_unix_nano)
        for lower in loose[first : first + NEAR]:
            one = spans[lower]
            if one.start_unix_nano > agent.end_unix_nano:
                break
            is_elsewhere = one.trace_id != agent.trace_id or one.parent_span_id == agent.parent_span_id
            if lower != upper and not is_elsewhere and not _is_above(lower, upper, parents):
                yield lower, upper


def _is_above(upper: int, lower: int, parents: Sequence[int]) -> bool:
    """Whether parents lead from the lower to the upper."""
    for _ in range(NEAR):
        lower = parents[lower]
        if lower < 0 or lower == upper:
            return lower == upper
    return False


def calls_of(spans: Sequence[AiSpan], parents: Sequence[int]) -> list[int]:
    """The call that each span tells of: the least place of those that tell of it."""
    by_response, by_tokens, by_parent = (_buckets(spans, said) for said in (_response, _spoken, _parent))
    if not by_response and not by_tokens and not by_parent:
        return list(range(len(spans)))
    calls = _Calls(spans, parents)
    for places in by_response:
        calls.join(places, calls.may_be_one)
    for places in filter(calls.have_tellers, by_tokens):
        calls.join(places, calls.is_seen_twice)
    for places in filter(calls.have_tellers, by_parent):
        calls.join(places, calls.is_told_within)
    return calls.found


class _Calls:
    """Which inferences are one call."""

    def __init__(self, spans: Sequence[AiSpan], parents: Sequence[int]) -> None:
        self._spans, self._parents = spans, parents
        self.found = list(range(len(spans)))
        self._places = {place: [place] for place in self.found}
        self._tellers = [{span.teller} for span in spans]
        self._named = [{(span.provider, span.response_id)} if span.response_id else set() for span in spans]

    def have_tellers(self, places: Sequence[int]) -> bool:
        """Whether two instrumentations tell of them: the pairs of one are many, and none is one call."""
        return len({self._spans[place].teller for place in places}) > 1

    def join(self, places: Sequence[int], is_one: Callable[[int, int], bool]) -> None:
        """Makes one call of those of the spans that are."""
        for number, place in enumerate(places):
            for earlier in places[max(0, number - NEAR) : number]:
                if self.found[earlier] != self.found[place] and is_one(earlier, place):
                    self._unite(*sorted((self.found[earlier], self.found[place])))

    def _unite(self, call: int, other: int) -> None:
        moved = self._places.pop(other)
        self._places[call] += moved
        self._tellers[call] |= self._tellers[other]
        self._named[call] |= self._named[other]
        for place in moved:
            self.found[place] = call

    def may_be_one(self, earlier: int, later: int) -> bool:
        """They overlap, and neither is above the other; of two traces, they are twins."""
        one, other = self._spans[earlier], self._spans[later]
        if one.trace_id != other.trace_id:
            return are_twins(one, other)
        if other.start_unix_nano > one.end_unix_nano:
            return False
        return not _is_above(later, earlier, self._parents) and not _is_above(earlier, later, self._parents)

    def is_seen_twice(self, earlier: int, later: int) -> bool:
        """Two instrumentations tell of them, and nothing says that they are two."""
        one, other = self.found[earlier], self.found[later]
        if not self._tellers[one].isdisjoint(self._tellers[other]):
            return False
        if max(len(told[call]) for told in (self._tellers, self._named) for call in (one, other)) > MOST_TELLERS:
            return False
        named = self._named[one] | self._named[other]
        are_two = len(named) > len({provider for provider, _ in named})
        return not are_two and self.may_be_one(earlier, later)

    def is_told_within(self, earlier: int, later: int) -> bool:
        """One of them says no tokens, of a call that failed or was left, and takes place within the other's time."""
        one, other = self._spans[earlier], self._spans[later]
        providers = {span.provider for span in (one, other) if span.provider}
        encloses = one.end_unix_nano >= other.end_unix_nano or one.start_unix_nano == other.start_unix_nano
        return not (one.says and other.says) and len(providers) < 2 and encloses and self.is_seen_twice(earlier, later)


def _buckets(spans: Sequence[AiSpan], said: Callable[[AiSpan], Hashable]) -> list[list[int]]:
    """Places of inferences that say the same, in order; only where there are several."""
    found: dict[Hashable, list[int]] = defaultdict(list)
    for place, span in enumerate(spans):
        if span.kind is AiKind.INTERACTION and (key := said(span)):
            found[key].append(place)
    return [places for places in found.values() if len(places) > 1]


def _response(span: AiSpan) -> Hashable:
    return span.response_id


def _spoken(span: AiSpan) -> Hashable:
    return span.spoken


def _parent(span: AiSpan) -> Hashable:
    return span.parent_span_id
