"""What a session manager says of its sessions in their events, and what lists make of it. Pure.

Objects and lists come as JSON. What is malformed is left out here, and stays in the attributes as it came.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

METADATA = "otel_replay.session.metadata"
PREFERENCES = "otel_replay.session.preferences"
TAGS = "otel_replay.session.tags"
EXPIRES = "otel_replay.session.expires_unix_nano"

MANAGED_ATTRIBUTES = (METADATA, PREFERENCES, TAGS, EXPIRES)

MOST_TAGS, MOST_TAG_CHARACTERS = 100, 200
"""Of a session and of each, as far as sessions are found by them."""


def tags_of(attributes: Mapping[str, Any]) -> list[str]:
    """Each once, in the order told."""
    told = _json(attributes, TAGS)
    texts = [one for one in told if isinstance(one, str)] if isinstance(told, list) else []
    return list(dict.fromkeys(texts))


def listed_tags(attributes: Mapping[str, Any]) -> list[str]:
    """Those that sessions are found by."""
    return [tag for tag in tags_of(attributes) if 0 < len(tag) <= MOST_TAG_CHARACTERS][:MOST_TAGS]


def object_of(attributes: Mapping[str, Any], key: str) -> dict[str, Any]:
    told = _json(attributes, key)
    return told if isinstance(told, dict) else {}


def expires_of(attributes: Mapping[str, Any]) -> int | None:
    """When the session ends at the latest; it is told as 0 where it does not."""
    told = attributes.get(EXPIRES)
    return told if isinstance(told, int) and not isinstance(told, bool) and told > 0 else None


def _json(attributes: Mapping[str, Any], key: str) -> Any:
    told = attributes.get(key)
    if not isinstance(told, str):
        return None
    try:
        return json.loads(told)
    except (ValueError, RecursionError):
        return None
