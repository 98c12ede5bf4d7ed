"""Erasing, forgetting, and the trail of who did what, as documents: what command line and HTTP interface both speak."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from otel_replay.errors import InvalidRequest
from otel_replay.privacy.retention import Retention, Retentions
from otel_replay.store.sqlite import SqliteStore
from otel_replay.store.sqlite.erasure import SUBJECTS, Subject

MAX_ENTRIES = 1_000


class PrivacyDesk:
    """``name_of`` gives the name of a project. Everything that is done here stands in the audit trail."""

    def __init__(self, store: SqliteStore, retentions: Retentions, name_of: Callable[[int], str]) -> None:
        self._privacy = store.privacy
        self._audit = store.audit
        self._retentions = retentions
        self._name_of = name_of

    def erase(self, project: int, key_id: int, given: Mapping[str, Any]) -> dict[str, Any]:
        """``kind`` (session, trace, user, key) and ``id``; ``vacuum`` to write the file anew. Gives how much went."""
        _refuse_unknown(given, "kind id vacuum")
        subject, vacuum = _subject(given), given.get("vacuum")
        if vacuum is not None and not isinstance(vacuum, bool):
            raise InvalidRequest("vacuum is neither true nor false")
        with self._noted(project, key_id, "erase", subject):
            return asdict(self._privacy.erase(project, subject, vacuum=vacuum))

    def prune(self, project: int, key_id: int, stopping: Callable[[], bool] = lambda: False) -> dict[str, Any]:
        """Forgets what is older, or more, than the project keeps. Gives how much went."""
        retention = self._retentions.of(self._name_of(project))
        if retention.keeps_all:
            raise InvalidRequest("nothing says how long data is kept", hint="write [retention] into --config FILE")
        with self._noted(project, key_id, "prune", Subject("", "")):
            return asdict(self._privacy.prune(project, retention, stopping))

    def forget_old(self, projects: Callable[[], list[int]], stopping: Callable[[], bool]) -> None:
        """Prunes every project that has a rule for it."""
        for project in projects():
            retention: Retention = self._retentions.of(self._name_of(project))
            if not retention.keeps_all and not stopping():
                self._privacy.prune(project, retention, stopping)

    def audit(self, project: int, given: Mapping[str, Any]) -> dict[str, Any]:
        """``{"entries": [...], "next_before"}``, newest first; ``kind`` and ``id``: only what was done to that one."""
        _refuse_unknown(given, "kind id limit before")
        limit, before = (_whole(given, name) for name in ("limit", "before"))
        kind, subject = str(given.get("kind") or ""), str(given.get("id") or "")
        if bool(kind) != bool(subject):
            raise InvalidRequest("kind and id belong together")
        wanted = min(limit or 100, MAX_ENTRIES)
        found = self._audit.entries(project, kind=kind, subject=subject, limit=wanted, before=before)
        entries = [
            one._asdict()
            | {"id": str(one.id), "time_unix_nano": str(one.time_unix_nano), "key_id": f"{one.key_id:08x}"}
            for one in found
        ]
        return {"entries": entries, "next_before": str(found[-1].id) if len(found) == wanted else None}

    def _noted(self, project: int, key_id: int, action: str, subject: Subject) -> _Noted:
        return _Noted(lambda outcome: self._note(project, key_id, action, subject, outcome))

    def _note(self, project: int, key_id: int, action: str, subject: Subject, outcome: str) -> None:
        self._audit.note(project, key_id, action, subject.kind, subject.id, outcome)
        self._audit.flush()


class _Noted:
    """Notes that something begins, and how it ended: a kill in between leaves the beginning."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note

    def __enter__(self) -> None:
        self._note("begun")

    def __exit__(self, kind: object, error: object, _trace: object) -> None:
        self._note("ok" if error is None else "failed")


def _subject(given: Mapping[str, Any]) -> Subject:
    kind, name = given.get("kind"), given.get("id")
    if kind not in SUBJECTS:
        raise InvalidRequest(f"kind {str(kind)[:40]!r} cannot be erased", hint=f"one of {', '.join(SUBJECTS)}")
    if not isinstance(name, str) or not name:
        raise InvalidRequest("the id is missing")
    if kind == "key":
        try:
            return Subject("key", str(int(name, 16)))
        except ValueError:
            raise InvalidRequest(f"{name[:40]!r} is no id of a key", hint="otel-replay keys list shows them") from None
    return Subject(kind, name.lower() if kind == "trace" else name)


def _whole(given: Mapping[str, Any], name: str) -> int | None:
    value = given.get(name)
    if value is None:
        return None
    text = str(value)
    if not (text.isascii() and text.isdigit() and len(text) < 19) or int(text) == 0:
        raise InvalidRequest(f"{name} {text[:40]!r} is not a whole number above 0")
    return int(text)


def _refuse_unknown(given: Mapping[str, Any], known: str) -> None:
    unknown = sorted(set(given) - set(known.split()))
    if unknown:
        raise InvalidRequest(f"unknown parameter {unknown[0][:40]!r}", hint=f"this takes: {known}")
