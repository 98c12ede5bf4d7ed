"""TLS of both transports, from the files that the options name."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import grpc

from otel_replay.config import Settings
from otel_replay.errors import ReplayError


def uvicorn_options(settings: Settings) -> dict[str, Any]:
    """What uvicorn takes; nothing without TLS. Raises :class:`ReplayError` for files that cannot be used."""
    if settings.tls_cert is None:
        return {}
    _check(settings)
    wants_client = settings.tls_client_ca is not None
    return {
        "ssl_certfile": settings.tls_cert,
        "ssl_keyfile": settings.tls_key,
        "ssl_ca_certs": str(settings.tls_client_ca) if wants_client else None,
        "ssl_cert_reqs": ssl.CERT_REQUIRED if wants_client else ssl.CERT_NONE,
    }


def grpc_credentials(settings: Settings) -> grpc.ServerCredentials | None:
    """What grpcio takes; None without TLS."""
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    client_ca = settings.tls_client_ca.read_bytes() if settings.tls_client_ca else None
    pair = (settings.tls_key.read_bytes(), settings.tls_cert.read_bytes())
    return grpc.ssl_server_credentials([pair], root_certificates=client_ca, require_client_auth=client_ca is not None)


def _check(settings: Settings) -> None:
    """grpcio would say so only in its log, and serve nobody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(_given(settings.tls_cert), _given(settings.tls_key))
        if settings.tls_client_ca:
            context.load_verify_locations(settings.tls_client_ca)
    except (OSError, ssl.SSLError) as error:
        raise ReplayError(
            f"the files of --tls-cert, --tls-key and --tls-client-ca cannot be used: {error}",
            hint="give PEM files: a certificate with its chain, and its key without a password",
        ) from error


def _given(path: Path | None) -> Path:
    if path is None:
        raise ReplayError("--tls-cert and --tls-key go together", hint="give both, or none")
    return path
