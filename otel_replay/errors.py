"""Every error this package raises on purpose.

::

    ReplayError                 carries a message and a hint: the next step for a person
    ├── PermanentError          sending the same thing again cannot help
    │   ├── InvalidRequest      the bytes, or a part of them, are not what they claim to be
    │   ├── UnsupportedRequest  a content type, encoding or option that is not served
    │   ├── RequestTooLarge     over a size limit
    │   ├── Unauthenticated     no key, or one that does not hold
    │   ├── Forbidden           whoever sends this, or from where: it is not allowed
    │   └── NotFound            no such trace, session, conversation or stream
    ├── RetryableError          the same thing may succeed later; nothing was stored
    │   ├── RateLimited         a key sends more than it may
    │   ├── Overloaded          too much is in flight
    │   ├── Stopping            the receiver lets nothing in any more
    │   └── StoreUnavailable    locked, full or shutting down
    └── StoreError              the database cannot be used as it is
        ├── NotOurDatabase      the file is not an otel-replay database, or of a newer version
        └── DatabaseInUse       another process holds the write lock
"""

from __future__ import annotations


class ReplayError(Exception):
    """Base of all errors of this package; ``str()`` gives the message, with the hint after it where there is one."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class PermanentError(ReplayError):
    """Sending the same thing again cannot help."""


class InvalidRequest(PermanentError):
    """What was sent is not what it claims to be; the message says what and where."""


class UnsupportedRequest(PermanentError):
    """A content type, encoding or option that is not served."""


class RequestTooLarge(PermanentError):
    """Over a size limit; the message names the limit."""


class Unauthenticated(PermanentError):
    """No key, or one that does not hold."""


class Forbidden(PermanentError):
    """For whoever sends this, or from where it is sent, it is not allowed."""


class NotFound(PermanentError):
    """No such trace, session, conversation or stream."""


class RetryableError(ReplayError):
    """The same thing may succeed later; nothing of it was stored."""


class RateLimited(RetryableError):
    """A key sends more than it may; it may go on after ``retry_after_s`` seconds."""

    def __init__(self, message: str, *, hint: str = "", retry_after_s: int = 1) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class Overloaded(RetryableError):
    """Too much is in flight."""


class Stopping(RetryableError):
    """The receiver lets nothing in any more."""


class StoreUnavailable(RetryableError):
    """The store cannot take or give data just now: locked, full or shutting down."""


class StoreError(ReplayError):
    """The database cannot be used as it is."""


class NotOurDatabase(StoreError):
    """The file is not an otel-replay database, or one of a newer version."""


class DatabaseInUse(StoreError):
    """Another process holds the write lock of the file."""
