"""Why a server gave no answer, in words for the person who asked."""

from __future__ import annotations

from http.client import BadStatusLine

import requests

from otel_replay.errors import RetryableError

_FRAME = "\0\0"
"""HTTP/2, and so gRPC, begins with a frame of settings (RFC 9113, section 3.4): three bytes of a small length."""


def no_answer(url: str, error: requests.RequestException) -> RetryableError:
    """What to raise for a request to ``url`` that ended so, with the next step."""
    reason = _innermost(error)
    if isinstance(reason, BadStatusLine) and str(reason).startswith(_FRAME):
        return RetryableError(f"no answer from {url}: it speaks gRPC", hint="queries go to the HTTP port, usually 4318")
    if isinstance(error, requests.exceptions.SSLError):
        hint = "http:// for a server without a certificate; --tls-ca FILE for an authority of your own"
        return RetryableError(f"no answer from {url}: {_words(reason)}", hint=hint)
    if isinstance(error, requests.Timeout):
        return RetryableError(f"no answer from {url} in time", hint="is the server busy? ask for less at once")
    return RetryableError(f"no answer from {url}: {_words(reason)}", hint="is the server running? otel-replay serve")


def _innermost(error: BaseException) -> BaseException:
    """What requests and urllib3 have wrapped: each gives what it wraps as its reason, or as an argument."""
    inner = [getattr(error, "reason", None), *error.args]
    return next((_innermost(one) for one in inner if isinstance(one, BaseException)), error)


def _words(reason: BaseException) -> str:
    """``HTTPConnection(host='127.0.0.1', port=9): Failed to establish ...`` without the object in front."""
    said = str(reason)
    _, separator, rest = said.partition("): ")
    return rest if separator and said.startswith("HTTP") else said
