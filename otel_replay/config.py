"""Settings of a server, and what the environment says of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

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
    """Serve beyond loopback although there are no keys yet."""

    @property
    def is_loopback(self) -> bool:
        return self.host in LOOPBACK_HOSTS


def environment_name(option: str) -> str:
    """The variable of an option: ``--http-port`` is ``OTEL_REPLAY_HTTP_PORT``."""
    return ENVIRONMENT_PREFIX + option.lstrip("-").replace("-", "_").upper()
