"""Costs of AI spans that report none: priced once, as they are stored, so that every answer later is the same."""

from __future__ import annotations

from otel_replay.genai.prices import Priced, Prices, pico_usd, usd_text
from otel_replay.model import AiKind
from otel_replay.store.base import InteractionRow

NO_PRICES = Prices()
"""No prices of the user's own; price lists where they are installed."""


def cost_of(row: InteractionRow, prices: Prices) -> Priced | None:
    """What a row reports, else what prices say; tools are not asked about, they use no tokens of their own."""
    if row.cost_usd is not None:
        return Priced(pico_usd(row.cost_usd), row.cost_source)
    if row.kind is AiKind.TOOL:
        return None
    start = row.start_unix_nano or row.version.end_unix_nano
    return prices.cost(row.provider, row.response_model, row.request_model, row.usage, start)


def with_cost(row: InteractionRow, prices: Prices) -> InteractionRow:
    """The row with what prices say, where it reports nothing."""
    priced = cost_of(row, prices) if row.cost_usd is None else None
    return row._replace(cost_usd=usd_text(priced.pico_usd), cost_source=priced.source) if priced else row
