"""Cost and tokens of a timeline, every call counted once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from decimal import Decimal

from otel_replay.model import Interaction, Usage
from otel_replay.timeline.spans import SpanKey, SpanNode
from otel_replay.timeline.tree import SpanTree


def total_cost(nodes: Mapping[SpanKey, SpanNode], tree: SpanTree) -> str | None:
    """The sum of the reported costs in US dollars as decimal text; None when none was reported."""
    costs = [Decimal(one.cost_usd) for one in _counted(nodes, tree, _has_cost) if one.cost_usd is not None]
    return format(sum(costs, Decimal()), "f") if costs else None


def total_tokens(nodes: Mapping[SpanKey, SpanNode], tree: SpanTree) -> Usage:
    """The sum of the reported token counts, each None when nobody reported it."""
    usages = [one.usage for one in _counted(nodes, tree, _has_usage)]
    sums: dict[str, int] = {}
    for usage in usages:
        for name in (field.name for field in fields(Usage)):
            if (value := getattr(usage, name)) is not None:
                sums[name] = sums.get(name, 0) + value
    return Usage(**sums)


def _has_cost(interaction: Interaction) -> bool:
    return interaction.cost_usd is not None


def _has_usage(interaction: Interaction) -> bool:
    return interaction.usage != Usage()


def _counted(
    nodes: Mapping[SpanKey, SpanNode], tree: SpanTree, reports: Callable[[Interaction], bool]
) -> Iterator[Interaction]:
    """What reports something while nothing below it does: an agent's own figures repeat those of its calls.

    Of several spans of one trace for the same response (two instrumentations of one client) the first is counted.
    """
    reporting = {key: node.interaction for key, node in nodes.items() if node.interaction and reports(node.interaction)}
    above: set[SpanKey] = set()
    for key in reversed(tree.top_down):
        if (key in reporting or key in above) and (parent := tree.parents.get(key)):
            above.add(parent)
    seen: set[tuple[str, str]] = set()
    for key in sorted(reporting.keys() - above, key=lambda key: nodes[key].entry.order_key):
        response_id = reporting[key].response_id
        if response_id is None or (key[0], response_id) not in seen:
            yield reporting[key]
        if response_id is not None:
            seen.add((key[0], response_id))
