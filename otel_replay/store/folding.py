"""Folds whose result does not depend on the order of arrival. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

import orjson

from otel_replay.store.base import AttributeValue, SessionSighting


def merge_attributes(
    one: Mapping[str, AttributeValue], other: Mapping[str, AttributeValue]
) -> Mapping[str, AttributeValue]:
    """Per attribute the value with the greatest (event time, digest)."""
    if not one or not other:
        return one or other
    merged = dict(one)
    for name, value in other.items():
        if name not in merged or merged[name][:2] < value[:2]:
            merged[name] = value
    return merged


def merge_sightings(one: SessionSighting, other: SessionSighting) -> SessionSighting:
    """Earliest start, latest end, attributes merged."""
    return SessionSighting(
        one.session_id,
        min(one.start_unix_nano, other.start_unix_nano),
        max(one.end_unix_nano, other.end_unix_nano),
        merge_attributes(one.attributes, other.attributes),
    )


def fold_sightings(sightings: Iterable[SessionSighting]) -> dict[str, SessionSighting]:
    """One sighting for each session."""
    folded: dict[str, SessionSighting] = {}
    for sighting in sightings:
        known = folded.get(sighting.session_id)
        folded[sighting.session_id] = merge_sightings(known, sighting) if known else sighting
    return folded


def dump_attributes(attributes: Mapping[str, AttributeValue]) -> str:
    """As stored: ``[[event_unix_nano, digest, {name: value}], ...]``, for a span tells several attributes at once."""
    told = sorted((value.event_unix_nano, value.digest, name) for name, value in attributes.items())
    groups = [
        [time, digest, {name: attributes[name].value for _, _, name in members}]
        for (time, digest), members in groupby(told, key=lambda one: one[:2])
    ]
    try:
        return orjson.dumps(groups).decode()
    except TypeError:  # integers beyond 64 bits
        return json.dumps(groups, separators=(",", ":"))


def load_attributes(text: str | None) -> dict[str, AttributeValue]:
    return {
        name: AttributeValue(time, digest, value)
        for time, digest, told in json.loads(text or "[]")
        for name, value in told.items()
    }


def plain_attributes(attributes: Mapping[str, AttributeValue]) -> dict[str, Any]:
    """Only the winning values."""
    return {name: value.value for name, value in attributes.items()}
