"""Prices that the user gives: ``[[prices]]`` of the configuration file. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from otel_replay.errors import InvalidRequest
from otel_replay.model import Usage

_RATES = ("input", "output", "cache_read", "cache_write", "reasoning")
_FIELDS = ("model", "provider", *_RATES, "from")
_MOST_USD = 1_000_000


@dataclass(frozen=True, slots=True)
class Rates:
    """What a token of each kind costs, and a call, in 1e-12 US dollars: a millionth of dollars for a million tokens."""

    input: int | Decimal
    output: int | Decimal
    cache_read: int | Decimal
    cache_write: int | Decimal
    reasoning: int | Decimal
    per_call: int | Decimal = 0

    def pico_usd(self, usage: Usage) -> int | None:
        """What a call costs; None where more input is said to come from the cache than there was."""
        asked, answered = usage.input or 0, usage.output or 0
        read, written = usage.cache_read or 0, usage.cache_write or 0
        fresh, reasoning = asked - read - written, min(usage.reasoning or 0, answered)
        if fresh < 0:
            return None
        pico_usd = self.per_call + self.input * fresh + self.output * (answered - reasoning)
        if read or written or reasoning:
            pico_usd += self.cache_read * read + self.cache_write * written + self.reasoning * reasoning
        return round(pico_usd)


def per_token(usd_per_million: Decimal) -> int | Decimal:
    """A price of a million tokens as :class:`Rates` have it: a whole number nearly always, which is added up faster."""
    pico_usd = usd_per_million.scaleb(6)
    return int(pico_usd) if pico_usd == pico_usd.to_integral_value() else pico_usd


@dataclass(frozen=True, slots=True)
class Override:
    """A price of the user's own: for calls from a day (UTC) on, of models whose whole name an expression matches."""

    model: re.Pattern[str]
    provider: str | None
    rates: Rates
    first_day: date = date.min

    def is_for(self, provider: str, model: str, day: date) -> bool:
        """``provider`` as statistics name it; an override that names none is for all."""
        return self.first_day <= day and self.provider in (None, provider) and self.model.fullmatch(model) is not None


def override_for(overrides: Sequence[Override], provider: str, models: Sequence[str], day: date) -> Override | None:
    """The one with the latest first day, of those the one written first, for the first model that has any."""
    for model in models:
        fitting = [one for one in overrides if one.is_for(provider, model, day)]
        if fitting:
            return max(fitting, key=lambda one: one.first_day)
    return None


def read_overrides(document: Any, where: str = "prices") -> tuple[Override, ...]:
    """From TOML tables; raises :class:`InvalidRequest` that names the place.

    ::

        [[prices]]
        model = "gpt-4o(-.*)?"      # a regular expression for the whole name
        provider = "openai"         # optional, as `otel-replay stats --by provider` names it
        input = 2.5                 # US dollars per million tokens
        output = 10
        cache_read = 1.25           # optional: else as input, as is cache_write; reasoning: else as output
        from = 2026-01-01           # optional: for calls that start on that day (UTC) or later
    """
    if not isinstance(document, list) or not all(isinstance(one, dict) for one in document):
        raise InvalidRequest(f"{where}: expected [[{where}]] tables")
    return tuple(_override(one, f"{where}[{place}]") for place, one in enumerate(document))


def _override(document: Mapping[str, Any], where: str) -> Override:
    if unknown := sorted(set(document) - set(_FIELDS)):
        raise InvalidRequest(f"{where}.{unknown[0]}: unknown", hint=f"known here: {' '.join(_FIELDS)}")
    if missing := [name for name in ("model", "input", "output") if name not in document]:
        raise InvalidRequest(f"{where}.{missing[0]}: missing", hint="model, input and output are needed; 0 for free")
    provider = document.get("provider")
    if provider is not None and not (isinstance(provider, str) and provider):
        raise InvalidRequest(f"{where}.provider: expected a name")
    rates = {name: _rate(document[name], f"{where}.{name}") for name in _RATES if name in document}
    usual = {"cache_read": rates["input"], "cache_write": rates["input"], "reasoning": rates["output"]}
    return Override(_expression(document["model"], where), provider, Rates(**(usual | rates)), _day(document, where))


def _expression(told: Any, where: str) -> re.Pattern[str]:
    if not isinstance(told, str) or not told:
        raise InvalidRequest(f"{where}.model: expected a regular expression")
    try:
        return re.compile(told)
    except re.error as error:
        raise InvalidRequest(f"{where}.model: {told!r} is no regular expression: {error}") from error


def _rate(told: Any, where: str) -> int | Decimal:
    """As it is written: the digits of a TOML number, or of a text."""
    is_number = isinstance(told, int | float | str) and not isinstance(told, bool)
    rate = _decimal(str(told)) if is_number else None
    if rate is None or not rate.is_finite() or not 0 <= rate <= _MOST_USD:
        raise InvalidRequest(f"{where}: expected US dollars per million tokens, from 0 to {_MOST_USD:,}")
    return per_token(rate)


def _decimal(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except ArithmeticError:
        return None


def _day(document: Mapping[str, Any], where: str) -> date:
    told = document.get("from", date.min)
    if type(told) is not date:  # a date with a time is a subclass
        raise InvalidRequest(f"{where}.from: expected a date, without quotes: 2026-01-31")
    return told
