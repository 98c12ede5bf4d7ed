"""Which AI spans of a trace count, so that every call counts once, whoever tells of it. Pure.

A trace tells of one call several times: two instrumentations see it, a gateway and its client do, an agent repeats the
sum of its calls. The rules, which hold whatever the order of arrival:

1. Leaves count. The figures of a span count where no AI span *below* it has them. Cache and reasoning are parts of
   input and output and never added to them. A tool's own figures never count: the models it asks have spans.
2. A span is below another when its parents lead there by AI spans alone; or when its parent is no AI span (plain spans
   are not looked at), and it starts while an agent or a retrieval with another parent runs.
3. Two inferences, neither above the other, are *one call* when they overlap in time and carry the same response id; or
   when they overlap, say the same numbers of input and output tokens, come from two instrumentations (another scope or
   another service) and do not name different responses of one provider; or when such two have one parent and provider,
   and one of them says no tokens and takes place within the time of the other. What is below one of them is below
   both. The one that names a session, and then says most, speaks for the call: all of it counts there. So does an
   inference above that says the same numbers as the leaf, and has no other below it. A total that one gives with its
   parts, and the other without them, is the same number: Google ADK 1 leaves the thoughts out of its inner spans.
4. Inferences of two traces are one call where :func:`~otel_replay.timeline.relations.are_twins` says so: then their
   traces are decided together, by :mod:`otel_replay.timeline.twins`.
5. Below a span that sums up (Spring AI's, around a model that runs its tools itself) a call counts the tokens of those
   before it as well: where a tool ran between two of them and no count is smaller, those of the earlier do not count.
6. A reported cost counts like any figure. A cost that was computed from prices counts with the tokens it was computed
   of, unless a report that counts is above or below.

In a trace of more than :data:`MOST_SPANS` AI spans each counts for itself.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from otel_replay.model import AiKind
from otel_replay.timeline.relations import NEAR, AiSpan, SpanId, agree, calls_of, during, may_be_related, parents_of

CALL, TOKENS, COST = 1, 2, 4
"""What of a span counts, as bits: the call itself (its errors and times with it), its token counts, its cost."""

MOST_SPANS = 10_000

Has = Callable[[AiSpan], bool]
"""Whether a span has a figure that may count."""


def counted(spans: Iterable[AiSpan]) -> dict[SpanId, int]:
    """Of each AI span of one trace, or of a group of twins, by its id what counts, as bits; in whatever order."""
    told = list(spans)
    if not 1 < len(told) <= MOST_SPANS or not may_be_related(told):
        return {span.span_id: _alone(span) for span in told}
    told.sort(key=lambda span: (span.start_unix_nano, span.span_id))
    return {span.span_id: bits for span, bits in zip(told, _Trace(told).decide(), strict=True)}


def counts_alone(kind: AiKind, *, has_usage: bool, has_cost: bool) -> int:
    """What counts of an AI span when there is no other in its trace."""
    if kind is AiKind.TOOL:
        return 0
    return CALL * (kind is AiKind.INTERACTION) | TOKENS * has_usage | COST * has_cost


def _alone(span: AiSpan) -> int:
    has_cost = span.reports_cost or span.is_priced
    return counts_alone(span.kind, has_usage=_has_usage(span), has_cost=has_cost)


def _has_usage(span: AiSpan) -> bool:
    return span.kind is not AiKind.TOOL and span.says > 0


def _is_inference(span: AiSpan) -> bool:
    return span.kind is AiKind.INTERACTION


def _reports_cost(span: AiSpan) -> bool:
    return span.kind is not AiKind.TOOL and span.reports_cost


class _Trace:
    """AI spans in the order of (start, id), known by their places; a call by the least place of its spans."""

    def __init__(self, spans: Sequence[AiSpan]) -> None:
        self._spans = spans
        self._parents = parents_of(spans)
        self._calls = calls_of(spans, self._parents)
        self._members: dict[int, list[int]] = defaultdict(list)
        for place, call in enumerate(self._calls):
            self._members[call].append(place)
        self._above: dict[int, set[int]] = defaultdict(set)
        self._below: dict[int, set[int]] = defaultdict(set)
        self._relate()

    def _relate(self) -> None:
        by_parent = ((place, parent) for place, parent in enumerate(self._parents) if parent >= 0)
        for lower, upper in (*by_parent, *during(self._spans, self._parents)):
            below, above = self._calls[lower], self._calls[upper]
            if below != above:
                self._above[below].add(above)
                self._below[above].add(below)

    def decide(self) -> list[int]:
        """The bits of each span."""
        bits = [0] * len(self._spans)
        calls, usages = self._innermost(_is_inference), self._innermost(_has_usage)
        speakers = self._speakers(calls, usages)
        for call in calls:
            bits[speakers[call]] |= CALL
        repeated = self._summed_up()
        tokens = {call: speakers[call] for call in usages if call not in repeated}
        for place in tokens.values():
            bits[place] |= TOKENS
        for place in self._costs(tokens):
            bits[place] |= COST
        return bits

    def _innermost(self, has: Has) -> list[int]:
        """The calls that have a figure while nothing below them has it."""
        having = {call for call, span in zip(self._calls, self._spans, strict=True) if has(span)}
        if len(having) < 2:
            return [*having]
        innermost = having - _reached(having, self._above)
        covered = _reached(innermost, self._above)
        for call in sorted(having - innermost - covered):  # left over where ids and times contradict each other
            if call not in covered:
                innermost.add(call)
                covered |= _reached([call], self._above)
        return sorted(innermost)

    def _best(self, call: int, has: Has) -> int:
        """The span of a call that has a figure and says most; of equals the first."""
        having = [place for place in self._members[call] if has(self._spans[place])]
        return having[0] if len(having) == 1 else max(having, key=lambda place: (self._weight(place), -place))

    def _weight(self, place: int) -> tuple[bool, int]:
        """How much a span says: first of all whose call it was."""
        return self._spans[place].has_session, sum(map(bool, self._spans[place].usage))

    def _summed_up(self) -> set[int]:
        """The calls whose tokens a later one below the same span says as well."""
        found: set[int] = set()
        before: dict[int, int] = {}
        has_run_tool: set[int] = set()
        for place, parent in enumerate(self._parents):
            span = self._spans[place]
            if parent < 0 or not self._spans[parent].sums_up:
                continue
            if span.kind is AiKind.TOOL:
                has_run_tool.add(parent)
            elif span.kind is AiKind.INTERACTION:
                earlier = before.get(parent)
                if earlier is not None and parent in has_run_tool and _contains(span, self._spans[earlier]):
                    found.add(self._calls[earlier])
                before[parent] = place
                has_run_tool.discard(parent)
        return found

    def _speakers(self, calls: Sequence[int], usages: Sequence[int]) -> dict[int, int]:
        """Which span speaks for each of these calls: one of its own, or an inference above that only says the same."""
        best = {call: self._best(call, _is_inference) for call in calls}
        best |= {call: self._best(call, _has_usage) for call in usages}
        lines = {call: list(self._line(place)) for call, place in best.items()}
        heard = Counter(place for line in lines.values() for place in line)
        for call, line in lines.items():
            alike = [place for place in line if heard[place] == 1 and self._repeats(place, best[call])]
            if alike:
                best[call] = max([best[call], *alike], key=self._weight)
        return best

    def _repeats(self, upper: int, lower: int) -> bool:
        """Whether two spans say the same, and not of different things."""
        one, other = self._spans[upper], self._spans[lower]
        pairs = zip(one.usage, other.usage, strict=True)
        share = any(said is not None and again is not None for said, again in pairs)
        return agree(one, other) and (share or not other.says)

    def _line(self, place: int) -> Iterator[int]:
        """The inferences directly above a span, the nearest first."""
        for _ in range(NEAR):
            place = self._parents[place]
            if place < 0 or self._spans[place].kind is not AiKind.INTERACTION:
                return
            yield place

    def _costs(self, tokens: Mapping[int, int]) -> Iterator[int]:
        """The spans whose costs count; ``tokens`` are those whose tokens do, by call."""
        reported = self._innermost(_reports_cost)
        for call in reported:
            speaker = tokens.get(call)
            is_told = speaker is not None and self._spans[speaker].reports_cost
            yield speaker if speaker is not None and is_told else self._best(call, _reports_cost)
        told = {*reported, *_reached(reported, self._above), *_reached(reported, self._below)}
        for call, speaker in tokens.items():
            if call not in told:
                priced = [place for place in (speaker, *self._members[call]) if self._spans[place].is_priced]
                yield from priced[:1]


def _contains(later: AiSpan, earlier: AiSpan) -> bool:
    """Whether one says at least as many tokens in and out as the other."""
    mine, others = later.spoken, earlier.spoken
    return mine is not None and others is not None and mine[0] >= others[0] and mine[1] >= others[1]


def _reached(calls: Iterable[int], edges: Mapping[int, set[int]]) -> set[int]:
    """Where edges lead to from these calls; one of them is there only when an edge leads to it."""
    found: set[int] = set()
    waiting = list(calls)
    while waiting:
        new = edges.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found
