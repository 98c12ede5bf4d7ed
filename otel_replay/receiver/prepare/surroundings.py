"""What the records of a scope share: the service, and the session and user that scope or resource name."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from otel_replay.genai.identity import IDENTITY_KEYS, Identity, identity, resource_identity
from otel_replay.otlp.attributes import attributes_under
from otel_replay.otlp.thin import ScopeSlice

_KEPT, _KEPT_BYTES = 1_024, 4_096
"""A process sends the same resource with every request: at most 8 MiB of them and of scopes are remembered."""


class Surroundings(NamedTuple):
    """``resource`` is the encoding of the resource."""

    service: str
    scope_name: str
    identity: Identity
    resource: bytes


def surroundings(scope: ScopeSlice) -> Surroundings:
    """Of the records of a scope group."""
    service, of_resource = (_kept_resource if len(scope.resource) <= _KEPT_BYTES else _resource)(scope.resource)
    name, own = (_kept_scope if len(scope.scope) <= _KEPT_BYTES else _scope)(scope.scope)
    return Surroundings(service, name, own.or_else(of_resource), scope.resource)


_RESOURCE_KEYS = IDENTITY_KEYS.union(["service.name"])


def _resource(encoded: bytes) -> tuple[str, Identity]:
    """The service that a resource names, and whom."""
    told = attributes_under(Resource.FromString(encoded).attributes, _RESOURCE_KEYS)
    service = told.pop("service.name", "")
    return service if isinstance(service, str) else "", resource_identity(told)


def _scope(encoded: bytes) -> tuple[str, Identity]:
    """The name of a scope, and whom its attributes name."""
    scope = InstrumentationScope.FromString(encoded)
    return scope.name, identity(attributes_under(scope.attributes, IDENTITY_KEYS))


_kept_resource = lru_cache(_KEPT)(_resource)
_kept_scope = lru_cache(_KEPT)(_scope)
