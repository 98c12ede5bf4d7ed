"""Where an exporter sends to, and how: from its arguments, ``OTEL_REPLAY_*`` and ``OTEL_EXPORTER_OTLP_*``.

An argument wins over ``OTEL_REPLAY_ENDPOINT`` and ``OTEL_REPLAY_API_KEY``, and these over ``OTEL_EXPORTER_OTLP_*``, of
which a signal's own variable (``OTEL_EXPORTER_OTLP_TRACES_ENDPOINT``) wins over the common one.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from opentelemetry.util.re import parse_env_headers

from otel_replay.errors import UnsupportedRequest

_log = logging.getLogger(__name__)

Signal = Literal["traces", "logs"]
Protocol = Literal["grpc", "http/protobuf", "sink"]

ENDPOINT, API_KEY = "OTEL_REPLAY_ENDPOINT", "OTEL_REPLAY_API_KEY"
DEFAULT_ENDPOINT = "http://127.0.0.1:4318"
HINT = "http://HOST:4318, http://HOST:4317 for gRPC, or sqlite:///FILE"

_PROTOCOLS: dict[str, Protocol] = {"grpc": "grpc", "http/protobuf": "http/protobuf"}
_PORTS: dict[int, Protocol] = {4317: "grpc", 4318: "http/protobuf"}
_PATHS: dict[Signal, str] = {"traces": "/v1/traces", "logs": "/v1/logs"}
_COMPRESSIONS = ("none", "gzip")
_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Destination:
    """``url`` is the whole address for HTTP, ``scheme://host:port`` for gRPC, and ``scheme:///path`` for a sink."""

    signal: Signal
    url: str
    protocol: Protocol
    headers: Mapping[str, str]
    timeout_s: float
    is_compressed: bool = False
    certificate_file: str | None = None
    client_certificate_file: str | None = None
    client_key_file: str | None = None


@dataclass(frozen=True, slots=True)
class _Endpoint:
    """An address, and what may be taken from ``OTEL_EXPORTER_OTLP_*`` with it."""

    url: str
    is_complete: bool = False  # A signal's own variable holds the path too.
    is_ours: bool = False  # From OTEL_REPLAY_ENDPOINT: the keys of OTEL_EXPORTER_OTLP_HEADERS are another receiver's.
    is_theirs: bool = False  # From OTEL_EXPORTER_OTLP_*: its protocol variable speaks of this address.


def destination(
    signal: Signal,
    endpoint: str | None = None,
    protocol: str | None = None,
    headers: Mapping[str, str] | None = None,
    timeout_s: float | None = None,
) -> Destination:
    """Raises ``UnsupportedRequest`` for an endpoint or a protocol that is not understood."""
    found = _Endpoint(endpoint) if endpoint else _endpoint(signal)
    url, port = _split(found.url)
    chosen = _protocol(signal, found, url, port, protocol)
    return Destination(
        signal=signal,
        url=_address(signal, found, url, chosen),
        protocol=chosen,
        headers=_headers(signal, found, headers),
        timeout_s=timeout_s or _timeout_s(signal),
        is_compressed=_is_compressed(signal),
        certificate_file=_told(signal, "CERTIFICATE"),
        client_certificate_file=_told(signal, "CLIENT_CERTIFICATE"),
        client_key_file=_told(signal, "CLIENT_KEY"),
    )


def _endpoint(signal: Signal) -> _Endpoint:
    if ours := os.environ.get(ENDPOINT):
        return _Endpoint(ours, is_ours=True)
    if complete := os.environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT"):
        return _Endpoint(complete, is_complete=True, is_theirs=True)
    if theirs := os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return _Endpoint(theirs, is_theirs=True)
    return _Endpoint(DEFAULT_ENDPOINT)


def _split(endpoint: str) -> tuple[SplitResult, int | None]:
    try:
        url = urlsplit(endpoint)
        return url, url.port
    except ValueError as error:
        raise UnsupportedRequest(f"exporter endpoint {endpoint!r} is not a URL: {error}", hint=HINT) from None


def _protocol(signal: Signal, found: _Endpoint, url: SplitResult, port: int | None, asked: str | None) -> Protocol:
    """The well-known ports win over the protocol variable: the stock distribution sets that one to gRPC by itself."""
    if asked is not None and asked not in _PROTOCOLS:
        raise UnsupportedRequest(f"exporter protocol {asked!r} is not known", hint=f"one of {', '.join(_PROTOCOLS)}")
    if url.scheme not in ("http", "https"):
        return "sink"
    if asked is not None:
        return _PROTOCOLS[asked]
    if port in _PORTS:
        return _PORTS[port]
    told = _told(signal, "PROTOCOL") if found.is_theirs else None
    return _PROTOCOLS.get(told or "", "http/protobuf")


def _address(signal: Signal, found: _Endpoint, url: SplitResult, protocol: Protocol) -> str:
    if protocol == "sink":
        if not found.url.startswith(f"{url.scheme}:///") or not url.path.removeprefix("/"):
            raise UnsupportedRequest(f"exporter endpoint {found.url!r} is not understood", hint=HINT)
        return found.url
    if not url.hostname:
        raise UnsupportedRequest(f"exporter endpoint {found.url!r} names no host", hint=HINT)
    if protocol == "grpc":
        return f"{url.scheme}://{url.netloc}"
    if found.is_complete:
        return found.url
    path = url.path.rstrip("/")
    for known in _PATHS.values():
        path = path.removesuffix(known)
    return url._replace(path=path + _PATHS[signal]).geturl()


def _headers(signal: Signal, found: _Endpoint, given: Mapping[str, str] | None) -> dict[str, str]:
    """Names in lower case, as gRPC wants them."""
    told = None if found.is_ours else _told(signal, "HEADERS")
    headers = dict(parse_env_headers(told or "", liberal=True))
    if key := os.environ.get(API_KEY, "").strip():  # a secret that is read from a file ends with its line
        headers["authorization"] = f"Bearer {key}"
    return headers | {name.lower(): value for name, value in (given or {}).items()}


def _timeout_s(signal: Signal) -> float:
    """Seconds, as the Python exporters of OpenTelemetry read the variable."""
    told = _told(signal, "TIMEOUT")
    try:
        return float(told) if told and float(told) > 0 else _TIMEOUT_S
    except ValueError:
        _log.warning("OTEL_EXPORTER_OTLP_TIMEOUT is %r, which is no number of seconds: it is %s", told, _TIMEOUT_S)
        return _TIMEOUT_S


def _is_compressed(signal: Signal) -> bool:
    told = (_told(signal, "COMPRESSION") or "none").strip().lower()
    if told not in _COMPRESSIONS:
        _log.warning("OTEL_EXPORTER_OTLP_COMPRESSION is %r: nothing is compressed; gzip would be", told)
    return told == "gzip"


def _told(signal: Signal, name: str) -> str | None:
    """``OTEL_EXPORTER_OTLP_<SIGNAL>_<NAME>``, else ``OTEL_EXPORTER_OTLP_<NAME>``."""
    own = os.environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_{name}")
    return own or os.environ.get(f"OTEL_EXPORTER_OTLP_{name}") or None
