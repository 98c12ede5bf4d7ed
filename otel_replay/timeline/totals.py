"""Calls, tokens and cost of a timeline, every call counted once: :mod:`otel_replay.timeline.twins`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import astuple, fields, replace
from decimal import Decimal
from typing import NamedTuple

from otel_replay.genai.prices import COST_SOURCES, Cost, CostSource
from otel_replay.model import AiKind, Interaction, Usage
from otel_replay.timeline.counted import CALL, COST, TOKENS
from otel_replay.timeline.relations import SUMMING_UP, AiSpan, SpanId, times
from otel_replay.timeline.spans import SpanKey, SpanNode
from otel_replay.timeline.twins import counted_in

NO_COSTS: Mapping[SpanKey, Cost] = {}


class Totals(NamedTuple):
    """Of all spans of a timeline. ``cost_source`` is that of the least certain part of the sum."""

    calls: int
    tokens: Usage
    cost_usd: str | None
    cost_source: CostSource | None


def totals(nodes: Mapping[SpanKey, SpanNode], costs: Mapping[SpanKey, Cost] = NO_COSTS) -> Totals:
    """``costs`` are those of spans that report none, where prices said them. Sums are exact decimals."""
    bits = _bits(nodes, costs)
    usages, found = [], []
    for key, node in nodes.items():
        if node.interaction and bits.get(key, 0) & TOKENS:
            usages.append(node.interaction.usage)
        if node.interaction and bits.get(key, 0) & COST:
            found.append(cost_of(node.interaction, costs.get(key)))
    amounts = [cost for cost in found if cost is not None]
    sources = {cost.source for cost in amounts}
    return Totals(
        calls=sum(bit & CALL for bit in bits.values()),
        tokens=_sum(usages),
        cost_usd=format(sum((Decimal(cost.usd) for cost in amounts), Decimal()), "f") if amounts else None,
        cost_source=max(sources, key=COST_SOURCES.index) if sources else None,
    )


def cost_of(interaction: Interaction, priced: Cost | None) -> Cost | None:
    """What a span reports, else what prices say."""
    return priced if interaction.cost_usd is None else Cost(interaction.cost_usd, "reported")


def with_costs(nodes: Mapping[SpanKey, SpanNode], costs: Mapping[SpanKey, Cost]) -> dict[SpanKey, SpanNode]:
    """The nodes, those of AI spans with ``cost_usd`` and ``cost_source`` in their details."""
    return {
        key: _with_cost(node, cost_of(node.interaction, costs.get(key))) if node.interaction else node
        for key, node in nodes.items()
    }


def _with_cost(node: SpanNode, cost: Cost | None) -> SpanNode:
    told = {"cost_usd": cost.usd, "cost_source": cost.source} if cost else {"cost_usd": None, "cost_source": None}
    return replace(node, entry=replace(node.entry, detail={**node.entry.detail, **told}))


def _bits(nodes: Mapping[SpanKey, SpanNode], costs: Mapping[SpanKey, Cost]) -> dict[SpanId, int]:
    """What counts of every AI span."""
    traces: dict[str, list[AiSpan]] = defaultdict(list)
    for key, node in nodes.items():
        if node.interaction:
            traces[key[0]].append(_ai_span(key, node, node.interaction, key in costs))
    return counted_in(traces)


def _ai_span(key: SpanKey, node: SpanNode, interaction: Interaction, is_priced: bool) -> AiSpan:
    entry, service = node.entry, node.entry.detail["service"]
    start, end = times(entry.raw_start_unix_nano, entry.end_unix_nano)
    return AiSpan(
        span_id=key[1],
        parent_span_id=entry.parent_span_id,
        start_unix_nano=start,
        end_unix_nano=end,
        kind=AiKind(interaction.kind),
        teller=(service if isinstance(service, str) else "", entry.detail["scope"]),
        provider=interaction.provider,
        response_id=interaction.response_id,
        usage=astuple(interaction.usage),
        reports_cost=interaction.cost_usd is not None,
        is_priced=is_priced,
        has_session=bool(entry.session_id),
        sums_up=interaction.operation == SUMMING_UP,
    )


def _sum(usages: Iterable[Usage]) -> Usage:
    sums: dict[str, int] = {}
    for usage in usages:
        for name in (field.name for field in fields(Usage)):
            if (value := getattr(usage, name)) is not None:
                sums[name] = sums.get(name, 0) + value
    return Usage(**sums)
