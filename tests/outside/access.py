"""A receiver with keys, and requests that carry them."""

from __future__ import annotations

from typing import Any

import requests

from otel_replay.access.administration import Administration
from otel_replay.access.guard import KEYLESS
from tests.outside.outside import TIMEOUT_S, Outside

SCOPES = ("ingest", "read", "share", "admin")


def make_key(receiver: Outside, *scopes: str, **given: Any) -> str:
    """A new key of the receiver, as ``otel-replay keys create`` makes it."""
    desk = Administration(receiver.server.registry, receiver.server.registry._clock)
    return str(desk.create_key(KEYLESS, {"name": "-".join(scopes), "scopes": list(scopes), **given})["key"])


def bearer(key: str | None) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"} if key else {}


def ask(receiver: Outside, method: str, path: str, key: str | None = None, **options: Any) -> requests.Response:
    """A request with a client of its own: cookies of one test are not those of another."""
    headers = {**bearer(key), **options.pop("headers", {})}
    options.setdefault("timeout", TIMEOUT_S)
    with requests.Session() as http:
        http.trust_env = False
        return http.request(method, receiver.url + path, headers=headers, allow_redirects=False, **options)


def cookies_of(answer: requests.Response) -> dict[str, str]:
    return {cookie.name: cookie.value or "" for cookie in answer.cookies}
