"""Times and durations as people write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from otel_replay.errors import InvalidRequest

_UNITS_NS = {
    "ns": 1,
    "us": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
    "d": 86400 * 10**9,
}
_DURATION = re.compile(r"(\d{1,12})(?:\.(\d{1,9}))?(ns|us|ms|s|m|h|d)")
_FRACTION = re.compile(r"(?<=:\d\d)\.(\d{1,9})")  # datetime would cut it off after microseconds
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_duration(text: str) -> int:
    """Nanoseconds of ``250ms``, ``1.5s``, ``90us``, ``4500ns``, ``2m``, ``1h``, ``2d``; a bare number is an error."""
    found = _DURATION.fullmatch(text.strip())
    if not found:
        raise InvalidRequest(f"{text[:40]!r} is not a duration", hint="write it with its unit: 250ms, 1.5s, 2m, 1h")
    whole, fraction, unit = found.groups()
    scale = _UNITS_NS[unit]
    parts: int = 10 ** len(fraction or "")
    return int(whole) * scale + int(fraction or 0) * scale // parts


def parse_time(text: str, now_unix_nano: int) -> int:
    """Unix nanoseconds of RFC 3339, of 19 digits of Unix nanoseconds, or of a duration ago (``15m``, ``2d``)."""
    text = text.strip()
    if re.fullmatch(r"\d{19}", text):
        return int(text)
    if _DURATION.fullmatch(text):
        return now_unix_nano - parse_duration(text)
    fraction = _FRACTION.search(text)
    try:
        moment = datetime.fromisoformat(_FRACTION.sub("", text))
    except ValueError:
        raise InvalidRequest(
            f"{text[:40]!r} is not a time", hint="write RFC 3339, 19 digits of Unix nanoseconds, or 15m, 2d ago"
        ) from None
    if moment.tzinfo is None:
        raise InvalidRequest(f"{text[:40]!r} names no time zone", hint="append Z or an offset such as +02:00")
    seconds = (moment - _EPOCH) // timedelta(seconds=1)
    return seconds * 10**9 + (int(fraction[1].ljust(9, "0")) if fraction else 0)


def format_time(unix_nano: int) -> str:
    """RFC 3339 in UTC with milliseconds, for people."""
    try:
        moment = _EPOCH + timedelta(microseconds=unix_nano // 1000)
    except OverflowError:
        return str(unix_nano)
    return moment.strftime("%Y-%m-%d %H:%M:%S.") + f"{unix_nano // 10**6 % 1000:03}Z"
