"""OTLP over HTTP: one POST of protobuf."""

from __future__ import annotations

import gzip
import time
from datetime import UTC
from email.utils import parsedate_to_datetime

import requests
from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status

import otel_replay
from otel_replay.sdk.destination import Destination
from otel_replay.sdk.sending import Outcome, delivered

_PROTOBUF = "application/x-protobuf"
_RETRYABLE = (429, 502, 503, 504)
_TOLD_CHARS = 300


class HttpSender:
    """Keeps its connections open; a proxy of the environment is used, as by the stock exporter."""

    def __init__(self, destination: Destination) -> None:
        self._url = destination.url
        self._is_compressed = destination.is_compressed
        self._session = requests.Session()
        self._session.headers["content-type"] = _PROTOBUF
        self._session.headers["user-agent"] = f"otel-replay/{otel_replay.__version__}"
        if destination.is_compressed:
            self._session.headers["content-encoding"] = "gzip"
        self._session.headers.update(destination.headers)
        if destination.certificate_file:
            self._session.verify = destination.certificate_file
        if destination.client_certificate_file:
            key = destination.client_key_file
            certificate = destination.client_certificate_file
            self._session.cert = (certificate, key) if key else certificate

    def send(self, body: bytes, timeout_s: float) -> Outcome:
        if self._is_compressed:
            body = gzip.compress(body, 1)
        try:
            return _outcome(self._session.post(self._url, body, timeout=timeout_s, allow_redirects=False))
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            return Outcome("retry", type(error).__name__, str(error))
        except requests.RequestException as error:
            return Outcome("refused", type(error).__name__, str(error))

    def close(self) -> None:
        self._session.close()


def _outcome(answer: requests.Response) -> Outcome:
    if 200 <= answer.status_code < 300:
        return delivered(answer.content)
    code, words = str(answer.status_code), _words(answer)
    reason = f"HTTP {code}" + (f": {words}" if words else "")
    if answer.status_code in _RETRYABLE:
        return Outcome("retry", code, reason, _retry_after_s(answer.headers.get("retry-after")))
    return Outcome("refused", code, reason)


def _words(answer: requests.Response) -> str:
    """Of a ``google.rpc.Status``, which OTLP asks for, or of whatever else has answered."""
    if answer.headers.get("content-type", "").startswith(_PROTOBUF):
        try:
            message: str = Status.FromString(answer.content).message
        except DecodeError:
            return ""
        return message
    return answer.text[:_TOLD_CHARS].strip()


def _retry_after_s(told: str | None) -> float | None:
    """Seconds, or a date (RFC 9110, 10.2.3); None for what is neither."""
    if told is None:
        return None
    if told.strip().isdecimal():
        return float(told)
    try:
        at = parsedate_to_datetime(told)
    except ValueError:
        return None
    return max(0.0, (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - time.time())
