"""Erasing, forgetting, and the trail of who did what, as documents: what command line and HTTP interface both speak."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

from otel_replay.access.administration import project_of
from otel_replay.access.guard import Caller
from otel_replay.access.registry import SERVER_PROJECT, Registry
from otel_replay.errors import Forbidden, InvalidRequest, NotFound
from otel_replay.privacy.retention import Retention, Retentions
from otel_replay.store.sqlite import SqliteStore
from otel_replay.store.sqlite.erasure import SUBJECTS, Subject
from otel_replay.store.sqlite.retention import Pruned

MAX_ENTRIES = 1_000


class PrivacyDesk:
    """Every call is about the project of the caller; an admin of the default project may name another as ``project``.

    Everything that is asked for here stands in the audit trail.
    """

    def __init__(self, store: SqliteStore, registry: Registry, retentions: Retentions) -> None:
        self._store = store
        self._privacy = store.privacy
        self._audit = store.audit
        self._registry = registry
        self._retentions = retentions

    def erase(self, caller: Caller, given: Mapping[str, Any]) -> dict[str, Any]:
        """``kind`` (session, trace, user, key) and ``id``; ``vacuum`` to write the file anew. Gives how much went.

        What a key wrote is looked for in its project, where none is named. Raises :class:`NotFound` where nothing was
        there, having kept it from coming.
        """
        _refuse_unknown(given, "kind id vacuum project")
        subject, vacuum = _subject(given), given.get("vacuum")
        if vacuum is not None and not isinstance(vacuum, bool):
            raise InvalidRequest("vacuum is neither true nor false")
        name = self._written_by(caller, subject) if given.get("project") is None else given["project"]
        project = project_of(self._registry, caller, name)
        with self._noted(project, caller.key_id, "erase", subject):
            erased = self._privacy.erase(project, subject, vacuum=vacuum)
        self._registry.refresh()
        if erased.is_nothing and erased.scrubbed:
            raise NotFound(
                f"nothing is stored of {subject.kind} {str(given['id'])[:200]}",
                hint="it is noted all the same: what comes of it within a week is not stored",
            )
        return asdict(erased)

    def finish_erasing(self, stopping: Callable[[], bool]) -> None:
        """Goes on with erasures that were cut off."""
        if self._privacy.finish(stopping):
            self._registry.refresh()

    def prune(self, caller: Caller, given: Mapping[str, Any]) -> dict[str, Any]:
        """Forgets what is older, or more, than the project keeps, or each of ``all_projects``. Gives how much went."""
        _refuse_unknown(given, "project all_projects")
        kept = {project: self._kept(project) for project in self._to_prune(caller, given)}
        ruled = {project: retention for project, retention in kept.items() if not retention.keeps_all}
        if not ruled:
            raise InvalidRequest("nothing says how long data is kept", hint="write [retention] into --config FILE")
        pruned = Pruned()
        for project, retention in ruled.items():
            with self._noted(project, caller.key_id, "prune", Subject("", "")):
                pruned += self._privacy.prune(project, retention)
        self._registry.refresh()
        return asdict(pruned)

    def forget_old(self, stopping: Callable[[], bool]) -> None:
        """Prunes every project that has a rule for it, but for its features."""
        pruned = Pruned()
        for project in self._store.projects():
            retention = replace(self._kept(project), features={})
            if not retention.keeps_all and not stopping():
                pruned += self._privacy.prune(project, retention, stopping)
        if pruned.sessions:
            self._registry.refresh()

    def forget_features(self) -> bool:
        """A step of forgetting sessions whose feature is kept less long; False when none was due."""
        forgotten = any(self._privacy.forget_features(one, self._kept(one)) for one in self._store.projects())
        if forgotten:
            self._registry.refresh()
        return forgotten

    def audit(self, caller: Caller, given: Mapping[str, Any]) -> dict[str, Any]:
        """``{"entries": [...], "next_before"}``, newest first; ``kind`` and ``id``: only what was done to that one."""
        _refuse_unknown(given, "kind id limit before project")
        project = project_of(self._registry, caller, given.get("project"))
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

    def _kept(self, project: int) -> Retention:
        return self._retentions.of(self._registry.project_name(project))

    def _to_prune(self, caller: Caller, given: Mapping[str, Any]) -> list[int]:
        is_all = given.get("all_projects", False)
        if not isinstance(is_all, bool):
            raise InvalidRequest("all_projects is neither true nor false")
        if not is_all:
            return [project_of(self._registry, caller, given.get("project"))]
        if given.get("project") is not None:
            raise InvalidRequest("project and all_projects say two things", hint="give one of them")
        if caller.project != SERVER_PROJECT:
            raise Forbidden("this key manages its own project", hint="all take an admin key of the default project")
        return self._store.projects()

    def _written_by(self, caller: Caller, subject: Subject) -> str | None:
        """The name of the project of a key, for who may manage it."""
        keys = self._registry.all_keys() if subject.kind == "key" and caller.project == SERVER_PROJECT else ()
        projects = [key.project for key in keys if str(key.id) == subject.id]
        return self._registry.project_name(projects[0]) if projects else None

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
