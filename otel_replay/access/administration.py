"""Managing keys and links, as documents: what the command line and the HTTP interface both speak.

Every method is asked by a caller, and speaks of that caller's project; an admin of the default project may name others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from otel_replay.access.guard import Caller
from otel_replay.access.keys import Key, Shared, Token, check_origins
from otel_replay.access.registry import SERVER_PROJECT, Registry
from otel_replay.access.scopes import Scope, scopes_of
from otel_replay.errors import Forbidden, InvalidRequest, NotFound

DAY_NS = 86_400 * 10**9
SHARE_NS = 7 * DAY_NS
MAX_LASTS_NS = 3_660 * DAY_NS
BROWSER_REQUESTS = 200
BROWSER_BYTES = 16 * 1024 * 1024
"""What a key for browsers may send a second unless it says otherwise: everybody on the site together."""

_NAME_CHARACTERS = 200
_MAX_ORIGINS = 100


class Administration:
    """``clock`` gives Unix nanoseconds."""

    def __init__(self, registry: Registry, clock: Callable[[], int]) -> None:
        self._registry = registry
        self._clock = clock

    def create_key(self, caller: Caller, given: Mapping[str, Any]) -> dict[str, Any]:
        """``name`` and ``scopes``; ``project``, ``origins``, ``requests_per_second``, ``bytes_per_second`` and
        ``expires_in_ns``. The document has the key's text as ``key``, this once."""
        known = "name scopes project origins requests_per_second bytes_per_second expires_in_ns"
        _refuse_unknown(given, known)
        now, scopes = self._clock(), scopes_of(given.get("scopes"))
        origins = _origins(given.get("origins"), scopes)
        lasts = _whole(given, "expires_in_ns", MAX_LASTS_NS)
        key = Key(
            id=0,
            project=project_of(self._registry, caller, given.get("project"), create=True),
            name=_name(given, "name"),
            scopes=scopes,
            secret_hash=b"",
            created_unix_nano=now,
            origins=origins,
            requests_per_second=_whole(given, "requests_per_second") or (BROWSER_REQUESTS if origins else None),
            bytes_per_second=_whole(given, "bytes_per_second") or (BROWSER_BYTES if origins else None),
            expires_unix_nano=None if lasts is None else now + lasts,
        )
        created, text = self._registry.create(key)
        return {**self._key_dict(created), "key": text}

    def keys(self, caller: Caller) -> dict[str, Any]:
        """``{"keys": [...]}``, oldest first."""
        return {"keys": [self._key_dict(key) for key in self._registry.all_keys() if _manages(caller, key.project)]}

    def rotate_key(self, caller: Caller, key_id: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Another key like this one, which holds for ``overlap_ns`` more (a day)."""
        _refuse_unknown(given, "overlap_ns")
        key = self._managed(caller, key_id)
        overlap = _whole(given, "overlap_ns", MAX_LASTS_NS, least=0)
        created, text = self._registry.rotate(key.id, DAY_NS if overlap is None else overlap)
        return {**self._key_dict(created), "key": text, "replaces": f"{key.id:08x}"}

    def revoke_key(self, caller: Caller, key_id: str) -> dict[str, Any]:
        return self._key_dict(self._registry.revoke(self._managed(caller, key_id).id))

    def link(self, caller: Caller, given: Mapping[str, Any]) -> dict[str, Any]:
        """An address that logs a browser in to ``project``, once: ``{"path", "expires_unix_nano"}``."""
        _refuse_unknown(given, "project")
        project = project_of(self._registry, caller, given.get("project"))
        token, secret = self._registry.link(project, caller.key_id)
        return {"path": f"/s/{secret}", "expires_unix_nano": str(token.expires_unix_nano)}

    def share(self, caller: Caller, shared: Shared, given: Mapping[str, Any]) -> dict[str, Any]:
        """A link to one session or trace for ``expires_in_ns`` (a week); its document has the ``path``, this once."""
        _refuse_unknown(given, "expires_in_ns")
        lasts = _whole(given, "expires_in_ns", MAX_LASTS_NS, least=10**9) or SHARE_NS
        token, secret = self._registry.share(caller.project, caller.key_id, shared, lasts)
        return {**_share_dict(token), "path": f"/s/{secret}"}

    def shares(self, caller: Caller) -> dict[str, Any]:
        """``{"shares": [...]}`` that hold, oldest first."""
        return {"shares": [_share_dict(token) for token in self._registry.shares(caller.project)]}

    def remove_share(self, caller: Caller, share_id: str) -> dict[str, Any]:
        if not (share_id.isascii() and share_id.isdigit() and len(share_id) < 19):
            raise NotFound(f"no share {share_id[:40]!r}")
        self._registry.remove_share(caller.project, int(share_id))
        return {"id": share_id, "removed": True}

    def _managed(self, caller: Caller, key_id: str) -> Key:
        """A key that the caller may change; others are not even there."""
        try:
            key = self._registry.key_by_id(int(key_id, 16))
        except ValueError:
            raise NotFound(f"no key {key_id[:40]!r}", hint="otel-replay keys list shows them") from None
        if not _manages(caller, key.project):
            raise NotFound(f"no key {key_id[:40]}", hint="otel-replay keys list shows them")
        return key

    def _key_dict(self, key: Key) -> dict[str, Any]:
        return {
            "id": f"{key.id:08x}",
            "project": self._registry.project_name(key.project),
            "name": key.name,
            "scopes": sorted(key.scopes),
            "origins": list(key.origins),
            "requests_per_second": key.requests_per_second,
            "bytes_per_second": key.bytes_per_second,
            "state": key.state(self._clock()),
            "created_unix_nano": str(key.created_unix_nano),
            "expires_unix_nano": _text(key.expires_unix_nano),
            "revoked_unix_nano": _text(key.revoked_unix_nano),
        }


def project_of(registry: Registry, caller: Caller, name: object, *, create: bool = False) -> int:
    """The project of this name, the caller's own for None. Raises :class:`Forbidden` for one of others, and
    :class:`NotFound` for an unknown one that is not to be created."""
    if name is None:
        return caller.project
    if caller.project == SERVER_PROJECT:
        return registry.project(_name({"project": name}, "project"), create=create)
    if name == registry.project_name(caller.project):
        return caller.project
    raise Forbidden("this key manages its own project", hint="others take an admin key of the default project")


def _manages(caller: Caller, project: int) -> bool:
    return caller.project in (SERVER_PROJECT, project)


def _share_dict(token: Token) -> dict[str, Any]:
    assert token.shared is not None
    return {
        "id": str(token.id),
        f"{token.shared.kind}_id": token.shared.id,
        "created_unix_nano": str(token.created_unix_nano),
        "expires_unix_nano": str(token.expires_unix_nano),
    }


def _origins(given: object, scopes: frozenset[Scope]) -> tuple[str, ...]:
    if given in (None, [], ()):
        return ()
    if not isinstance(given, list | tuple) or len(given) > _MAX_ORIGINS:
        raise InvalidRequest(f"origins is no list of at most {_MAX_ORIGINS}")
    if scopes != {Scope.INGEST}:
        raise InvalidRequest("a key for browsers can be read by anybody", hint="give it the scope ingest alone")
    return check_origins(given)


def _name(given: Mapping[str, Any], field: str) -> str:
    name = given.get(field)
    if not isinstance(name, str) or not name.strip() or len(name) > _NAME_CHARACTERS or not name.isprintable():
        raise InvalidRequest(f"{field} is no line of 1 to {_NAME_CHARACTERS} characters")
    return name


def _whole(given: Mapping[str, Any], field: str, most: int = 2**40, least: int = 1) -> int | None:
    value = given.get(field)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise InvalidRequest(f"{field} is not a whole number from {least} to {most}")
    return value


def _refuse_unknown(given: Mapping[str, Any], known: str) -> None:
    unknown = sorted(set(given) - set(known.split()))
    if unknown:
        raise InvalidRequest(f"unknown field {unknown[0][:40]!r}", hint=f"this takes: {known}")


def _text(unix_nano: int | None) -> str | None:
    return None if unix_nano is None else str(unix_nano)
