"""Questions as the HTTP interface writes them: which parameters each takes, and what they are as keywords of Python."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from otel_replay.errors import InvalidRequest
from otel_replay.query.filters import attribute_texts, in_range
from otel_replay.query.times import parse_duration, parse_time
from otel_replay.texts import storable

_CALLS = "session conversation user feature label service model provider variant since until"
SESSIONS = "user feature label tag service model state has_error q since until limit cursor page"
STATS = f"by {_CALLS} limit wait"
SEARCH = f"q {_CALLS} limit cursor wait"
TRACES = "service operation attr status min_duration max_duration since until limit cursor"


class Given(Protocol):
    """Parameters of an address, each perhaps more than once."""

    def __iter__(self) -> Iterator[str]: ...
    def getlist(self, key: Any) -> list[str]: ...


class _Parameter(NamedTuple):
    """``read`` takes its name, its texts and the time now; ``write`` gives a text, or several, for a value."""

    keyword: str
    read: Callable[[str, list[str], int], Any] = lambda _name, texts, _now: texts[-1]
    write: Callable[[Any], Any] = storable


def read_parameters(given: Given, names: str, now_unix_nano: int) -> dict[str, Any]:
    """Keywords for the parameters given, which are some of ``names``. Raises :class:`InvalidRequest`."""
    refuse_unknown(given, names)
    found = ((name, _known(name)) for name in names.split() if name in given)
    return {one.keyword: one.read(name, given.getlist(name), now_unix_nano) for name, one in found}


def written(asked: Mapping[str, Any], names: str) -> dict[str, Any]:
    """Parameters for keywords; those that are None ask for nothing. Raises :class:`TypeError` for an unknown one."""
    by_keyword = {_known(name).keyword: name for name in names.split()}
    unknown = sorted(set(asked) - set(by_keyword))
    if unknown:
        raise TypeError(f"unexpected keyword argument {unknown[0]!r}")
    said = ((by_keyword[keyword], value) for keyword, value in asked.items() if value is not None)
    return {name: _known(name).write(value) for name, value in said}


def refuse_unknown(given: Iterable[str], known: str) -> None:
    """A misspelt filter must not look like one that matched everything."""
    unknown = sorted(set(given) - set(known.split()))
    if unknown:
        raise InvalidRequest(f"unknown parameter {unknown[0][:40]!r}", hint=f"this route takes: {known or 'none'}")


def whole(name: str, text: str) -> int:
    """Raises :class:`InvalidRequest` for what is not a whole number."""
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise InvalidRequest(f"{name} {text[:40]!r} is not a whole number")
    return int(text)


def _known(name: str) -> _Parameter:
    return _PARAMETERS.get(name) or _Parameter(name)


def _boolean(name: str, texts: list[str], _now: int) -> bool:
    if texts[-1] not in ("true", "false"):
        raise InvalidRequest(f"{name} {texts[-1][:40]!r} is neither true nor false")
    return texts[-1] == "true"


def _time_text(unix_nano: int) -> str:
    """In the 19 digits of a time."""
    return f"{max(0, in_range(unix_nano) or 0):019}"


def _duration_text(duration_ns: int) -> str:
    """As it is written with a unit, to the nanosecond."""
    return f"{duration_ns // 10**9}.{duration_ns % 10**9:09}s"


def _time(keyword: str) -> _Parameter:
    return _Parameter(keyword, lambda _name, texts, now: parse_time(texts[-1], now), _time_text)


def _duration(keyword: str) -> _Parameter:
    return _Parameter(keyword, lambda _name, texts, _now: parse_duration(texts[-1]), _duration_text)


def _whole(keyword: str) -> _Parameter:
    return _Parameter(keyword, lambda name, texts, _now: whole(name, texts[-1]), str)


_PARAMETERS = {
    "session": _Parameter("session_id"),
    "conversation": _Parameter("conversation_id"),
    "q": _Parameter("text"),
    "has_error": _Parameter("has_error", _boolean, lambda value: str(value).lower()),
    "attr": _Parameter("attributes", lambda _name, texts, _now: texts, attribute_texts),
    "since": _time("since_unix_nano"),
    "until": _time("until_unix_nano"),
    "min_duration": _duration("min_duration_ns"),
    "max_duration": _duration("max_duration_ns"),
    "wait": _duration("wait_ns"),
    "limit": _whole("limit"),
    "page": _whole("page"),
}
"""Of those that are not texts named alike on both sides."""
