"""How the AI spans of one trace stand to each other: which is below which, and which tell of one call. Pure.

The rules are those of :mod:`otel_replay.timeline.counted`. Spans are in the order of (start, id) and known by their
places in it. Traces are untrusted: whatever their spans claim, the work stays in proportion to their number.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import NamedTuple

from otel_replay.model import MAX_UNIX_NANO, AiKind

NEAR = 64
"""So many spans of one moment are compared with another, and so many generations looked up to."""

MOST_TELLERS = 8
"""More instrumentations do not see one call."""

_ABOVE_IN_TIME = (AiKind.AGENT, AiKind.RETRIEVAL)


class AiSpan(NamedTuple):
    """An AI span as far as counting goes; whatever is None or empty was not said. Ids only have to be comparable.

    ``teller`` tells instrumentations apart: of equal service and scope it is equal. ``usage`` are the token counts in
    the order of :class:`~otel_replay.model.Usage`. ``is_priced``: a cost was computed from them. ``has_session``: the
    span names a session.
    """

    span_id: bytes | str
    parent_span_id: bytes | str
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

    @property
    def says(self) -> int:
        """How many token counts."""
        return len(self.usage) - self.usage.count(None)

    @property
    def spoken(self) -> tuple[int, int] | None:
        """Input and output tokens, where both are said and not both are zero."""
        asked, answered = self.usage[:2]
        return None if asked is None or answered is None or not asked + answered else (asked, answered)


def times(start_unix_nano: int, end_unix_nano: int) -> tuple[int, int]:
    """Start and end for :class:`AiSpan`: a span without a start is at its end, and none ends before it starts."""
    start = min(start_unix_nano or end_unix_nano, MAX_UNIX_NANO)
    return start, max(start, min(end_unix_nano, MAX_UNIX_NANO))


def may_be_related(spans: Sequence[AiSpan]) -> bool:
    """False when certainly no span is below another and no two are one call; most are so in most traces."""
    ids = {span.span_id for span in spans}
    responses: set[Hashable] = set()
    spoken: set[Hashable] = set()
    has_parents = has_agents = False
    for span in spans:
        said = span.spoken
        if span.parent_span_id in ids or span.response_id in responses or said in spoken:
            return True
        if span.response_id:
            responses.add(span.response_id)
        if said:
            spoken.add(said)
        has_parents = has_parents or bool(span.parent_span_id)
        has_agents = has_agents or span.kind in _ABOVE_IN_TIME
    return has_agents and has_parents


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
            is_neighbour = one.parent_span_id == agent.parent_span_id
            if lower != upper and not is_neighbour and not _is_above(lower, upper, parents):
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
    by_response, by_tokens = (_buckets(spans, said) for said in (_response, _spoken))
    if not by_response and not by_tokens:
        return list(range(len(spans)))
    calls = _Calls(spans, parents)
    for places in by_response:
        calls.join(places, calls.may_be_one)
    for places in by_tokens:
        calls.join(places, calls.is_seen_twice)
    return calls.found


class _Calls:
    """Which inferences are one call."""

    def __init__(self, spans: Sequence[AiSpan], parents: Sequence[int]) -> None:
        self._spans, self._parents = spans, parents
        self.found = list(range(len(spans)))
        self._places = {place: [place] for place in self.found}
        self._tellers = [{span.teller} for span in spans]
        self._named = [{(span.provider, span.response_id)} if span.response_id else set() for span in spans]

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
        """They overlap, and neither is above the other."""
        if self._spans[later].start_unix_nano > self._spans[earlier].end_unix_nano:
            return False
        return not _is_above(later, earlier, self._parents) and not _is_above(earlier, later, self._parents)

    def is_seen_twice(self, earlier: int, later: int) -> bool:
        """Two instrumentations tell of them, and nothing says that they are two."""
        one, other = self.found[earlier], self.found[later]
        if max(len(told[call]) for told in (self._tellers, self._named) for call in (one, other)) > MOST_TELLERS:
            return False
        named = self._named[one] | self._named[other]
        are_two = len(named) > len({provider for provider, _ in named})
        return self._tellers[one].isdisjoint(self._tellers[other]) and not are_two and self.may_be_one(earlier, later)


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
