"""Costs of calls that report none: by prices of the user's own, by price lists, by neither."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import genai_prices
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_replay.errors import InvalidRequest
from otel_replay.genai.overrides import Rates, read_overrides
from otel_replay.genai.prices import Priced, Prices, pico_usd, usd_text
from otel_replay.model import Usage

START = 1_763_600_000 * 10**9  # 2025-11-20 00:53:20 UTC
LISTS = Prices()
MILLION = Usage(10**6, 10**6)


def own(**told: Any) -> dict[str, Any]:
    return {"model": "m1", "input": 1, "output": 10} | told


def cost(
    usage: Usage = MILLION,
    *,
    model: str | None = "m1",
    asked: str | None = None,
    provider: str | None = "acme",
    start: int = START,
    prices: Prices = LISTS,
) -> Priced | None:
    return prices.cost(provider, model, asked, usage, start)


def dollars(usage: Usage = MILLION, **told: Any) -> str | None:
    found = cost(usage, **told)
    return usd_text(found.pico_usd) if found else None


def listed(usage: Usage, model: str, provider: str, start: int = START) -> Decimal:
    """What the library says itself."""
    told = genai_prices.Usage(
        input_tokens=usage.input,
        output_tokens=usage.output,
        cache_read_tokens=usage.cache_read,
        cache_write_tokens=usage.cache_write,
    )
    when = datetime.fromtimestamp(start // 10**9, UTC)
    found = genai_prices.calc_price(told, model, provider_id=provider, genai_request_timestamp=when)
    return Decimal(found.total_price)


# Price lists


@pytest.mark.parametrize(
    ("provider", "model", "their_provider"),
    [
        ("openai", "gpt-4o-mini", "openai"),
        ("anthropic", "claude-sonnet-4-5", "anthropic"),
        ("gcp.gemini", "gemini-2.5-flash", "google"),
        ("gcp.vertex_ai", "gemini-2.5-pro", "google"),
        ("gcp.gen_ai", "gemini-2.5-pro", "google"),
        ("azure.ai.openai", "gpt-4o", "azure"),
        ("azure.ai.openai", "davinci", "azure"),  # another price than at OpenAI
        ("azure.ai.inference", "davinci", "azure"),
        ("aws.bedrock", "anthropic.claude-3-5-sonnet-20241022-v2:0", "aws"),
        ("x_ai", "grok-3", "x-ai"),
        ("mistral_ai", "mistral-large-latest", "mistral"),
        ("deepseek", "deepseek-chat", "deepseek"),
    ],
)
def test_providers_have_their_lists(provider: str, model: str, their_provider: str) -> None:
    usage = Usage(1234, 567, 100)
    assert cost(usage, model=model, provider=provider) == (
        pico_usd(listed(usage, model, their_provider)),
        "computed",
    )


USAGES = st.builds(
    lambda fresh, read, written, answered: Usage(fresh + read + written, answered, read, written),
    *[st.integers(0, 400_000)] * 4,
)


@given(
    USAGES, st.sampled_from([("openai", "gpt-4o"), ("anthropic", "claude-sonnet-4-5"), ("google", "gemini-2.5-pro")])
)
def test_costs_are_those_of_the_library_with_tiers_and_caches(usage: Usage, which: tuple[str, str]) -> None:
    provider, model = which
    found = cost(usage, model=model, provider={"google": "gcp.gemini"}.get(provider, provider))
    assert found is not None
    assert found.pico_usd == pico_usd(listed(usage, model, provider))


def test_the_price_is_that_of_the_day_when_the_call_began() -> None:
    """OpenAI made o3 cheaper on 10 June 2025."""
    days = [datetime(2025, 6, day, 12, tzinfo=UTC) for day in (9, 11)]
    before, after = (cost(model="o3", provider="openai", start=int(day.timestamp()) * 10**9) for day in days)
    assert before is not None
    assert after is not None
    assert before.pico_usd > after.pico_usd


def test_the_model_that_answered_then_the_one_asked_then_any_provider() -> None:
    expected = dollars(model="gpt-4o-mini", provider="openai")
    assert expected is not None
    assert dollars(model="gpt-4o-mini", asked="gpt-4o", provider="openai") == expected
    assert dollars(model="a deployment", asked="gpt-4o-mini", provider="openai") == expected
    assert dollars(model=None, asked="gpt-4o-mini", provider="openai") == expected
    assert dollars(model="gpt-4o-mini", provider="somebody") == expected
    assert dollars(model="gpt-4o-mini", provider=None) == expected


def test_what_has_no_price() -> None:
    assert cost() is None
    assert cost(model=None) is None
    assert cost(model="x" * 10**6) is None
    assert cost(Usage(), model="gpt-4o") is None
    assert cost(Usage(cache_read=5), model="gpt-4o") is None
    assert cost(Usage(10, 1, cache_read=11), model="gpt-4o") is None
    assert cost(model="llama3.1", provider="ollama") is None
    assert dollars(Usage(0, 0), model="gpt-4o") == "0"


def test_times_of_any_kind() -> None:
    for start in (0, 1, 2**63 - 1):
        assert cost(model="gpt-4o", provider="openai", start=start)


def test_it_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    real = genai_prices.calc_price

    def noting(usage: Any, model: str, **told: Any) -> Any:
        asked.append(model)
        return real(usage, model, **told)

    monkeypatch.setattr(genai_prices, "calc_price", noting)
    prices = Prices()
    for second in range(100):
        cost(model="gpt-4o", provider="openai", prices=prices, start=START + second * 10**9)
    assert asked == ["gpt-4o"]


def test_without_the_library_nothing_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    prices = Prices(read_overrides([own()]))
    assert cost(model="gpt-4o", provider="openai", prices=prices) is None
    assert cost(prices=prices) == Priced(11 * 10**12, "override")


# Prices of one's own


def test_own_prices_come_first() -> None:
    prices = Prices(read_overrides([own(model="gpt-4o.*", input=0.1, output=0.2)]))
    assert cost(model="gpt-4o-mini", provider="openai", prices=prices) == Priced(3 * 10**11, "override")
    assert cost(model="gpt-4.1", provider="openai", prices=prices) == cost(model="gpt-4.1", provider="openai")
    assert dollars(model="renamed", asked="gpt-4o-mini", prices=prices) == "0.3"
    assert dollars(model="not-gpt-4o", prices=prices) is None, "the whole name"


def test_which_of_several_holds() -> None:
    day = 86_400 * 10**9
    start = START // day * day
    prices = Prices(
        read_overrides(
            [
                own(input=1, output=0),
                own(input=2, output=0, **{"from": date(2025, 11, 20)}),
                own(input=3, output=0, **{"from": date(2025, 11, 20)}),
                own(input=4, output=0, **{"from": date(2025, 11, 22)}),
                own(input=5, output=0, provider="other", **{"from": date(2025, 11, 21)}),
            ]
        )
    )
    found = [dollars(prices=prices, start=start + offset) for offset in (-1, 0, 2 * day - 1, 2 * day)]
    assert found == ["1", "2", "2", "4"]
    assert dollars(prices=prices, provider="other", start=start + day) == "5"


def test_kinds_of_tokens() -> None:
    usage = Usage(10**6, 10**6, 4 * 10**5, 10**5, 2 * 10**5)
    prices = Prices(read_overrides([own(input=10, output=100, cache_read=1, cache_write=12.5, reasoning="200")]))
    assert dollars(usage, prices=prices) == str(5 + Decimal("0.4") + Decimal("1.25") + 80 + 40)
    assert dollars(usage, prices=Prices(read_overrides([own(input=10, output=100)]))) == "110"


def test_sums_are_exact_and_bounded() -> None:
    prices = Prices(read_overrides([own(input=0.1, output=0.2)]))
    assert dollars(Usage(1, 1), prices=prices) == "0.0000003"
    assert cost(Usage(2**63 - 1, 2**63 - 1), prices=prices) == Priced(2**63 - 1, "override")
    assert Rates(*[Decimal("0.3")] * 5).pico_usd(Usage(10, 10, 5, 5, 5)) == 6


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"model": "x"}, r"expected \[\[prices\]\] tables"),
        (["x"], r"expected \[\[prices\]\] tables"),
        ([own(), own(modle="x")], r"prices\[1\].modle: unknown"),
        ([{"model": "m"}], r"prices\[0\].input: missing"),
        ([{"model": "m", "input": 1}], r"prices\[0\].output: missing"),
        ([own(model="(")], r"prices\[0\].model: '\(' is no regular expression"),
        ([own(model="")], r"prices\[0\].model: expected a regular expression"),
        ([own(model=4)], r"prices\[0\].model"),
        ([own(provider="")], r"prices\[0\].provider: expected a name"),
        ([own(input=-1)], r"prices\[0\].input: expected US dollars per million tokens"),
        ([own(output=float("nan"))], r"prices\[0\].output"),
        ([own(output=float("inf"))], r"prices\[0\].output"),
        ([own(cache_read=True)], r"prices\[0\].cache_read"),
        ([own(reasoning="a lot")], r"prices\[0\].reasoning"),
        ([own(input=[1])], r"prices\[0\].input"),
        ([own(input=1e9)], r"prices\[0\].input"),
        ([own(**{"from": "2026-01-01"})], r"prices\[0\].from: expected a date, without quotes"),
        ([own(**{"from": datetime(2026, 1, 1, tzinfo=UTC)})], r"prices\[0\].from"),
    ],
)
def test_wrong_prices_are_refused_with_their_place(document: Any, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        read_overrides(document)
