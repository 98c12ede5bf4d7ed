"""Untrusted attribute values to typed ones. Every converter gives a value or raises :class:`UnreadableError`.

Reasons name types and positions, never content: they end up in warnings, and content may be secret.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

import orjson

MAX_DEPTH = 100
"""Nesting of a JSON text that is followed; protobuf itself stops at 100 as well."""

MAX_INT = 2**63 - 1
"""The greatest integer an attribute can carry; also the greatest that SQLite stores."""

_DIGITS = re.compile(r"[0-9]{1,19}")

_EMPTY: tuple[Any, ...] = (None, "", b"", [], {})


class UnreadableError(ValueError):
    """A value is not what its key promises; the message says why."""


def is_empty(value: Any) -> bool:
    """Whether a value says nothing: the next key of the same meaning is asked then. Zero and False do say something."""
    return not isinstance(value, bool | int | float) and value in _EMPTY


def text(value: Any) -> str:
    """A string as it is."""
    if not isinstance(value, str):
        raise UnreadableError(f"expected a string, got {type(value).__name__}")
    return value


def count(value: Any) -> int:
    """A number of tokens: a non-negative integer, also in digits, as Spring AI has it, or a double that is whole."""
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UnreadableError(f"expected a whole number, got {type(value).__name__}")
    if isinstance(value, float) and not value.is_integer():
        raise UnreadableError("expected a whole number, got a fraction or no number")
    if not 0 <= value <= MAX_INT:
        raise UnreadableError("expected a whole number from 0 to 2^63 - 1")
    return int(value)


def seconds_as_ns(value: Any) -> int:
    """Seconds (double, integer or decimal text) to integer nanoseconds, by way of the decimal digits as written."""
    nanoseconds = _decimal(value).scaleb(9)
    if not 0 <= nanoseconds <= MAX_INT:
        raise UnreadableError("expected a duration of 0 s or more")
    return int(nanoseconds.to_integral_value())


def amount(value: Any) -> str:
    """An amount of money as plain decimal digits: ``1e-05`` becomes ``0.00001``."""
    number = _decimal(value)
    if number.is_zero():
        return "0"
    if number < 0 or not -18 <= number.adjusted() <= 12:
        raise UnreadableError("expected an amount from 1e-18 to 1e12")
    return format(number.normalize(), "f")


def _decimal(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise UnreadableError(f"expected a number, got {type(value).__name__}")
    try:
        number = Decimal(str(value))
    except (InvalidOperation, ValueError):
        raise UnreadableError("expected a number, got other text") from None
    if not number.is_finite() or abs(number.adjusted()) > 400:  # the exponents of a double end at 308
        raise UnreadableError("expected a finite number")
    return number


def texts(value: Any) -> list[str]:
    """Strings from a list, a JSON list in a string, or one string; items of other types are left out."""
    if isinstance(value, str):
        value = json_value(value) if value.lstrip().startswith("[") else [value]
    if not isinstance(value, list):
        raise UnreadableError(f"expected strings, got {type(value).__name__}")
    return [item for item in value if isinstance(item, str) and item]


def structured_or_text(value: Any) -> Any:
    """A structured value, or the JSON of an object or list in a string, or the text as it is."""
    if not isinstance(value, str) or not value.lstrip().startswith(("{", "[")):
        return value
    try:
        return json_value(value)
    except UnreadableError:
        return value


def json_value(document: str) -> Any:
    """Parsed JSON that can be written again: no lone surrogates, no NaN (its name as text), at most 100 deep."""
    try:
        return _writable(json.loads(document, parse_constant=str), 0)
    except json.JSONDecodeError as error:
        raise UnreadableError(f"not JSON: {error.msg} at {error.pos}") from None
    except RecursionError:
        raise UnreadableError(f"JSON nested more than {MAX_DEPTH} deep") from None
    except ValueError:  # the interpreter reads integers of up to 4,300 digits
        raise UnreadableError("JSON with a number too long") from None


def _writable(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if depth >= MAX_DEPTH and isinstance(value, list | dict):
        raise RecursionError
    if isinstance(value, list):
        return [_writable(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {_writable(key, depth): _writable(item, depth + 1) for key, item in value.items()}
    return value


def mapping(value: Any) -> Mapping[str, Any]:
    """An object, structured or as JSON."""
    if isinstance(value, str):
        value = json_value(value)
    if not isinstance(value, Mapping):
        raise UnreadableError(f"expected an object, got {type(value).__name__}")
    return value


def member(*path: str) -> Callable[[Any], Any]:
    """Takes a member of an object, structured or as JSON; None where there is none."""

    def take(value: Any) -> Any:
        return at_path(mapping(value), *path)

    return take


def within(*path: str) -> Callable[[Any], Any]:
    """Takes a member where there is an object with it, and nothing of any other value: for what may hold anything."""

    def take(value: Any) -> Any:
        return at_path(peek(value), *path)

    return take


def peek(value: Any) -> Any:
    """What a JSON text holds, to take something out of it; None where it is none, anything else as it is.

    Several things are taken out of one attribute of every call that some dialects write, as it arrives: it is parsed
    once, and by orjson, which takes a sixth of the time.
    """
    if not isinstance(value, str):
        return value
    return (_kept if len(value) <= _KEPT_CHARACTERS else _parsed)(value)


_KEPT_CHARACTERS = 1 << 16


def _parsed(document: str) -> Any:
    try:
        return orjson.loads(document)
    except ValueError:
        return None


_kept = lru_cache(8)(_parsed)


def at_path(value: Any, *path: str) -> Any:
    """What stands at a path through nested objects; None where it ends before."""
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def listed(value: Any) -> list[Any]:
    """A list as it is; anything else holds nothing."""
    return value if isinstance(value, list) else []


def list_at(*path: str) -> Callable[[Any], list[Any]]:
    """Takes the list that stands at a path in a value, structured or as JSON; an empty one where there is none."""

    def take(value: Any) -> list[Any]:
        return listed(at_path(from_json(value), *path))

    return take


def of_each(name: str, *path: str) -> Callable[[Any], list[Any]]:
    """Takes what stands at a path in each item of the list that an object has under ``name``."""

    def take(value: Any) -> list[Any]:
        return [at_path(one, *path) for one in listed(at_path(peek(value), name))]

    return take


def from_json(value: Any) -> Any:
    """What a JSON text holds; anything else as it is. For dialects that encode every value."""
    if not isinstance(value, str):
        return value
    try:
        return json_value(value)
    except UnreadableError:
        return value


def milliseconds(value: Any) -> Decimal:
    """Milliseconds as seconds."""
    return _decimal(value).scaleb(-3)


def unix_nano(value: Any) -> int:
    """A time in RFC 3339 as integer Unix nanoseconds; quotes around it do not matter."""
    try:
        time = datetime.fromisoformat(text(value).strip().strip('"'))
    except ValueError:
        raise UnreadableError("expected a time in RFC 3339") from None
    if time.tzinfo is None:
        raise UnreadableError("expected a time with its zone")
    since = time - _EPOCH
    return (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1_000


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def first_said(value: Mapping[str, Any], *keys: str) -> Any:
    """What stands under the first of the keys under which something does."""
    return next((value[key] for key in keys if value.get(key) is not None), None)


def compact(value: Mapping[str, Any]) -> dict[str, Any]:
    """An object without the members that say nothing."""
    return {key: item for key, item in value.items() if not is_empty(item)}


def truth(value: Any) -> bool:
    """Yes or no, as they are or as text."""
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise UnreadableError(f"expected true or false, got {type(value).__name__}")
    return value


def word(wanted: str) -> Callable[[Any], str | None]:
    """Takes one word, however it is written, and nothing of any other value."""

    def take(value: Any) -> str | None:
        return wanted if isinstance(value, str) and value.lower() == wanted else None

    return take


def unless_none(value: Any) -> Any:
    """Any value but the text ``none``, which is what Spring AI writes where there is none."""
    return None if value == "none" else value
