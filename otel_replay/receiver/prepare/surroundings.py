"""What the records of a scope share: the service, and the session and user that scope or resource name."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from otel_replay.genai.identity import Identity, scope_identity
from otel_replay.otlp.attributes import attributes_under
from otel_replay.otlp.thin import ScopeSlice

_KEPT, _KEPT_BYTES = 1_024, 4_096
"""A process sends the same resource with every request: at most 4 MiB of them are remembered."""


class Surroundings(NamedTuple):
    """``resource`` is the encoding of the resource."""

    service: str
    scope_name: str
    identity: Identity
    resource: bytes


def surroundings(scope: ScopeSlice) -> Surroundings:
    """Of the records of a scope group."""
    is_small = len(scope.resource) + len(scope.scope) <= _KEPT_BYTES
    return (_kept_surroundings if is_small else _surroundings)(scope.resource, scope.scope)


def _surroundings(resource_raw: bytes, scope_raw: bytes) -> Surroundings:
    resource, scope = Resource.FromString(resource_raw), InstrumentationScope.FromString(scope_raw)
    service = attributes_under(resource.attributes, ("service.name",)).get("service.name")
    return Surroundings(
        service=service if isinstance(service, str) else "",
        scope_name=scope.name,
        identity=scope_identity(scope, resource),
        resource=resource_raw,
    )


_kept_surroundings = lru_cache(_KEPT)(_surroundings)
