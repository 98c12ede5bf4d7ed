"""Metrics: their services and times, and the session that a resource names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from otel_replay.model import Signal
from otel_replay.otlp.requests import AcceptedRequest, groups, records, scopes
from otel_replay.receiver.prepare.findings import Findings
from otel_replay.receiver.prepare.surroundings import Surroundings, surroundings


def read_metrics(accepted: AcceptedRequest, found: Findings) -> None:
    times: list[int] = []
    parsed = (scope for group in groups(Signal.METRICS, accepted.message) for scope in scopes(Signal.METRICS, group))
    for scope, sliced in zip(parsed, accepted.scopes, strict=True):
        if sliced.size:
            times += _note(records(Signal.METRICS, scope), surroundings(sliced), found)
    if times:
        found.times = min(times), max(times), max(times)


def _note(metrics: Any, around: Surroundings, found: Findings) -> list[int]:
    """Counts metrics and sees their session; gives the times of their points."""
    found.services.add(around.service)
    found.items += len(metrics)
    times = [point.time_unix_nano for metric in metrics for point in _points(metric)]
    if around.identity.session_id and times:
        found.see(around.identity.session_id, min(times), max(times))
    return times


def _points(metric: Any) -> Iterator[Any]:
    kind = metric.WhichOneof("data")
    return iter(getattr(metric, kind).data_points) if kind else iter(())
