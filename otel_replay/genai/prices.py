"""What a call costs where nobody reported it: by the user's own prices, else by those of genai-prices.

That library (the extra ``cost``) carries price lists with their history; where it is not installed only the user's own
prices are computed with. It is never told to look for newer ones: no request leaves the process. What runs on machines
of one's own has no list price.
"""

from __future__ import annotations

import importlib
from bisect import bisect_left
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise
from typing import Any, Literal, NamedTuple, Protocol

from otel_replay.genai.overrides import Override, Rates, override_for, per_token
from otel_replay.model import MAX_UNIX_NANO, Usage

CostSource = Literal["reported", "override", "computed"]
COST_SOURCES: tuple[CostSource, ...] = ("reported", "override", "computed")
"""Where a cost is from, the most certain first: the span itself, the user's own prices, price lists."""

PICO_USD = 10**12
"""Costs are stored and added in 1e-12 US dollars."""

_PERIOD_NS = 1_800 * 10**9
"""The finest that prices change by: DeepSeek's cheaper hours begin at 16:30."""

_KEPT_PRICES = 4_096
_LONGEST_NAME = 200
_MILLION = 10**6

_PROVIDERS = {
    "aws.bedrock": "aws",
    "mistral_ai": "mistral",
    "moonshot_ai": "moonshotai",
    "x_ai": "x-ai",
}
_FAMILIES = {"azure.": "azure", "gcp.": "google"}
_SELF_HOSTED = frozenset(
    ("huggingface_hub", "llama_cpp", "llamacpp", "llamafile", "lm_studio", "localai", "ollama", "transformers", "vllm")
)


class Cost(NamedTuple):
    """US dollars as decimal text, and where they are from."""

    usd: str
    source: CostSource


class Priced(NamedTuple):
    """The same in the unit of storage."""

    pico_usd: int
    source: CostSource


class _Price(Protocol):
    def pico_usd(self, usage: Usage) -> int | None: ...


class Prices:
    """Prices of calls. Each is looked up once for a model and half an hour: asking again costs microseconds."""

    def __init__(self, overrides: Sequence[Override] = ()) -> None:
        self._overrides = overrides
        self._price = lru_cache(_KEPT_PRICES)(self._look_up)

    def cost(
        self,
        provider: str | None,
        response_model: str | None,
        request_model: str | None,
        usage: Usage,
        start_unix_nano: int,
    ) -> Priced | None:
        """What a call that started then costs by its tokens; None where no price is known or no tokens are."""
        if usage.input is None and usage.output is None:
            return None
        source, price = self._price(provider or "", response_model, request_model, start_unix_nano // _PERIOD_NS)
        cost = price.pico_usd(usage) if price else None
        return None if cost is None else Priced(min(cost, MAX_UNIX_NANO), source)

    def _look_up(
        self, provider: str, response_model: str | None, request_model: str | None, period: int
    ) -> tuple[CostSource, _Price | None]:
        models = [one for one in (response_model, request_model) if one and len(one) <= _LONGEST_NAME]
        when = datetime.fromtimestamp(period * (_PERIOD_NS // 10**9), UTC)
        override = override_for(self._overrides, provider, models, when.date())
        if override:
            return "override", override.rates
        return "computed", _list_price(provider, models, when)


def pico_usd(usd: Decimal | str) -> int:
    """An amount in the unit of storage; at most what 64 bits hold."""
    return min(int((Decimal(usd) * PICO_USD).to_integral_value()), MAX_UNIX_NANO)


def usd_text(pico: int) -> str:
    """Stored costs as decimal text."""
    return format((Decimal(pico) / PICO_USD).normalize(), "f")


def _list_price(provider: str, models: Sequence[str], when: datetime) -> _Price | None:
    """Of the model that answered, else of the one that was asked; by the provider's list, else by any that fits."""
    library = _library()
    if library is None or provider in _SELF_HOSTED:
        return None
    name = _provider_id(provider)
    for model in models:
        for one in dict.fromkeys((name, None)):
            try:
                found = library.calc_price(
                    library.Usage(input_tokens=0, output_tokens=0),
                    model,
                    provider_id=one,
                    genai_request_timestamp=when,
                )
            except LookupError:
                continue
            price = _ListPrice(library.Usage, found.model_price)
            return price.only_tier or price
    return None


def _library() -> Any:
    """None where the extra is not installed."""
    try:
        return importlib.import_module("genai_prices")
    except ImportError:
        return None


def _provider_id(provider: str) -> str | None:
    """The library's name for one of ``gen_ai.provider.name``; its own matching takes azure.ai.openai for openai."""
    family = next((name for prefix, name in _FAMILIES.items() if provider.startswith(prefix)), None)
    return family or _PROVIDERS.get(provider, provider) or None


class _ListPrice:
    """A price of the library. It is asked once for every tier, and its rates are multiplied here: a call of its own
    takes 150 us."""

    def __init__(self, usage_type: Any, price: Any) -> None:
        self._usage_type, self._price = usage_type, price
        tiered = [value for value in vars(price).values() if hasattr(value, "tiers")]
        self._starts = sorted({tier.start for value in tiered for tier in value.tiers})
        """A tier holds for all tokens of a call with more input than its start."""
        self._rates = [self._tier(start, end) for start, end in pairwise((0, *self._starts, None))]

    @property
    def only_tier(self) -> Rates | None:
        """The rates of a price that has no others."""
        return self._rates[0] if len(self._rates) == 1 else None

    def pico_usd(self, usage: Usage) -> int | None:
        rates = self._rates[bisect_left(self._starts, usage.input or 0)]
        return rates.pico_usd(usage) if rates else self._ask(usage)

    def _tier(self, start: int, end: int | None) -> Rates | None:
        """The rates between two amounts of input; None when a call of all kinds of tokens then costs something else."""
        asked = start + 1
        kinds = (
            Usage(asked, 0),
            Usage(asked, 1),
            Usage(asked, 0, cache_read=asked),
            Usage(asked, 0, cache_write=asked),
        )
        costs = [self._usd(usage) for usage in kinds]
        call = self._usd(Usage(0, 0))
        if call is None or None in costs:
            return None
        fresh, answered, read, written = (cost - call for cost in costs if cost is not None)
        output = per_token((answered - fresh) * _MILLION)
        inputs = [per_token(cost * _MILLION / asked) for cost in (fresh, read, written)]
        rates = Rates(inputs[0], output, inputs[1], inputs[2], output, per_token(call * _MILLION))
        most = 10 * asked if end is None else end
        many = Usage(most, 1_000_003, cache_read=most // 3, cache_write=most // 5)
        return rates if rates.pico_usd(many) == self._ask(many) else None

    def _ask(self, usage: Usage) -> int | None:
        usd = self._usd(usage)
        return None if usd is None else pico_usd(usd)

    def _usd(self, usage: Usage) -> Decimal | None:
        told = self._usage_type(
            input_tokens=usage.input or 0,
            output_tokens=usage.output or 0,
            cache_read_tokens=usage.cache_read or 0,
            cache_write_tokens=usage.cache_write or 0,
        )
        try:
            return Decimal(self._price.calc_price(told)["total_price"])
        except ValueError:  # more tokens from the cache than there were
            return None
