"""How long and how much is kept, as an operator writes it down. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from otel_replay.errors import InvalidRequest

_AGE = re.compile(r"([0-9]{1,6})(h|d|w)")
_HOURS = {"h": 1, "d": 24, "w": 7 * 24}
_SIZE = re.compile(r"([0-9]{1,6})(MB|GB|TB)")
_BYTES = {"MB": 10**6, "GB": 10**9, "TB": 10**12}
HOUR_NS = 3600 * 10**9


@dataclass(frozen=True, slots=True)
class Retention:
    """What one project keeps; None: for ever, however much. ``features`` are ages of sessions by their feature."""

    max_age_ns: int | None = None
    max_bytes: int | None = None
    features: Mapping[str, int] = field(default_factory=dict)

    @property
    def keeps_all(self) -> bool:
        return self.max_age_ns is None and self.max_bytes is None and not self.features


@dataclass(frozen=True, slots=True)
class Retentions:
    """By name of project; others have the default."""

    default: Retention = Retention()
    projects: Mapping[str, Retention] = field(default_factory=dict)

    def of(self, project: str) -> Retention:
        return self.projects.get(project, self.default)


def read_retention(document: Mapping[str, Any], where: str) -> Retention:
    """From a TOML table: ``max_age = "30d"``, ``max_bytes = "20GB"``, ``features = {chat = "7d"}``."""
    unknown = sorted(set(document) - {"max_age", "max_bytes", "features"})
    if unknown:
        raise InvalidRequest(f"{where}.{unknown[0]}: unknown", hint="known here: max_age max_bytes features")
    features = document.get("features", {})
    if not isinstance(features, dict):
        raise InvalidRequest(f"{where}.features: expected a table of ages by feature")
    return Retention(
        max_age_ns=_age(document["max_age"], f"{where}.max_age") if "max_age" in document else None,
        max_bytes=_size(document["max_bytes"], f"{where}.max_bytes") if "max_bytes" in document else None,
        features={name: _age(told, f"{where}.features.{name}") for name, told in features.items()},
    )


def _age(told: Any, where: str) -> int:
    match = _AGE.fullmatch(told) if isinstance(told, str) else None
    if not match or not int(match[1]):
        raise InvalidRequest(f"{where}: {str(told)[:40]!r} is no age", hint="write 12h, 30d or 8w")
    return int(match[1]) * _HOURS[match[2]] * HOUR_NS


def _size(told: Any, where: str) -> int:
    match = _SIZE.fullmatch(told) if isinstance(told, str) else None
    if not match or not int(match[1]):
        raise InvalidRequest(f"{where}: {str(told)[:40]!r} is no size", hint="write 500MB, 20GB or 1TB")
    return int(match[1]) * _BYTES[match[2]]
