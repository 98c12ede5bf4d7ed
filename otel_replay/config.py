"""Settings of a server, and what the environment says of them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from otel_replay.errors import InvalidRequest
from otel_replay.privacy.policy import Policies, read_policy
from otel_replay.privacy.retention import Retentions, read_retention

if TYPE_CHECKING:
    from otel_replay.genai.overrides import Override

ENVIRONMENT_PREFIX = "OTEL_REPLAY_"
"""Each option ``--some-name`` of the command line is also read from ``OTEL_REPLAY_SOME_NAME``."""

LOOPBACK_ORIGINS = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?"
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Settings:
    """What ``serve`` needs to know. Port 0 asks the system for a free one."""

    database: Path = Path("replay.db")
    host: str = "127.0.0.1"
    grpc_port: int = 4317
    http_port: int = 4318
    browser_origins: str = LOOPBACK_ORIGINS
    """Regular expression of the web origins that may send telemetry from a browser."""
    allow_unauthenticated: bool = False
    """Serve whoever asks, until there is an admin key."""
    ui_port: int | None = None
    """A port of its own for page and API, which the port of telemetry then does not serve."""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    """PEM files; with the last, clients need a certificate of that authority."""
    max_body_bytes: int = 64 * 1024 * 1024
    """Of one request, as it comes and unpacked; OTLP 1.11 recommends this limit."""
    max_in_flight_bytes: int = 128 * 1024 * 1024
    """Of all requests that are being worked on; at least two of the largest, which are one packed and unpacked."""

    upstreams: tuple[str, ...] = ()
    """Addresses of other receivers, which are asked, too, for whatever is asked of this one."""
    upstream_key: str | None = None
    """A key that they take: of the scope ``read``, and ``admin`` to erase there as well."""
    upstream_ca: Path | None = None
    """PEM file of the authority that they are known by."""

    config: Path | None = None
    """Rules of redaction and retention, and prices: :func:`read_config`."""

    @property
    def is_loopback(self) -> bool:
        return self.host in LOOPBACK_HOSTS


def environment_name(option: str) -> str:
    """The variable of an option: ``--http-port`` is ``OTEL_REPLAY_HTTP_PORT``."""
    return ENVIRONMENT_PREFIX + option.lstrip("-").replace("-", "_").upper()


@dataclass(frozen=True, slots=True)
class Rules:
    """What the configuration file says."""

    policies: Policies = field(default_factory=Policies)
    retentions: Retentions = field(default_factory=Retentions)
    prices: tuple[Override, ...] = ()


def read_config(path: Path | None) -> Rules:
    """Reads ``[privacy]`` and ``[retention]``, for one project ``[projects.NAME.privacy]`` and so on; ``[[prices]]``.

    Without a file, or without a section, the defaults hold. Raises :class:`InvalidRequest` that names the place.
    """
    if path is None:
        return Rules()
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidRequest(f"{path}: {error}") from error
    prices = _prices(document.pop("prices", []))
    projects = _tables(document.get("projects", {}), "projects")
    _refuse_unknown(document, "privacy retention projects", str(path), "prices")
    for name, told in projects.items():
        _refuse_unknown(told, "privacy retention", f"projects.{name}")
    policies = {
        name: read_policy(told["privacy"], f"projects.{name}.privacy")
        for name, told in projects.items()
        if "privacy" in told
    }
    retentions = {
        name: read_retention(told["retention"], f"projects.{name}.retention")
        for name, told in projects.items()
        if "retention" in told
    }
    return Rules(
        Policies(read_policy(document.get("privacy", {}), "privacy"), policies),
        Retentions(read_retention(document.get("retention", {}), "retention"), retentions),
        prices,
    )


def _prices(told: Any) -> tuple[Override, ...]:
    # Not with the module: what it stands beside loads protobuf, which takes longer than `--help` should.
    from otel_replay.genai.overrides import read_overrides

    return read_overrides(told)


def _tables(told: Any, where: str) -> dict[str, dict[str, Any]]:
    if not isinstance(told, dict) or not all(isinstance(one, dict) for one in told.values()):
        raise InvalidRequest(f"{where}: expected tables")
    return told


def _refuse_unknown(document: dict[str, Any], known: str, where: str, *more: str) -> None:
    unknown = sorted(set(document) - set(known.split()))
    if unknown:
        raise InvalidRequest(f"{where}: {unknown[0]!r} is unknown", hint=f"known here: {' '.join((known, *more))}")
    for name in document:
        if not isinstance(document[name], dict):
            raise InvalidRequest(f"{where}: {name} is no table")
