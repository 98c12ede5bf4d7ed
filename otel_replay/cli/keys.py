"""``otel-replay keys``: through the running server, or, where none runs, on the file."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import click

from otel_replay.cli import show
from otel_replay.cli.desk import desk_at, registry_of
from otel_replay.cli.options import (
    Duration,
    database_option,
    examples,
    form_option,
    option,
    server_access,
    server_options,
)


class _Desk(Protocol):
    """What keys are managed by, in documents: :mod:`otel_replay.access.administration` says which."""

    url: str

    def create_key(self, given: Mapping[str, Any]) -> dict[str, Any]: ...
    def keys(self) -> dict[str, Any]: ...
    def rotate_key(self, key_id: str, given: Mapping[str, Any]) -> dict[str, Any]: ...
    def revoke_key(self, key_id: str) -> dict[str, Any]: ...
    def link(self, given: Mapping[str, Any]) -> dict[str, Any]: ...


@click.group()
def keys() -> None:
    """Make, list, replace and revoke keys; links that log in.

    The first key with the scope admin closes the server: from then on every request needs a key.
    """


def _desk_options(command: Any) -> Any:
    return database_option("SQLite file; its running server is asked.")(
        server_options(form_option("text", "json")(command))
    )


@keys.command(
    epilog=examples(
        "otel-replay keys create me --scope read --scope share --scope admin",
        "otel-replay keys create ci --scope ingest --project shop --expires 90d",
        "otel-replay keys create web --scope ingest --origin https://app.example.com",
    )
)
@click.argument("name")
@option(
    "--scope",
    "scopes",
    type=click.Choice(["ingest", "read", "share", "admin"]),
    multiple=True,
    required=True,
    help="What it is for; repeatable, none holds another.",
)
@option("--project", help="Whose data it writes and reads; made when there is none of this name.")
@option(
    "--origin", "origins", multiple=True, help="For browsers on pages of https://app.example.com alone; repeatable."
)
@option("--requests-per-second", type=click.IntRange(1), help="At most; of a key for browsers 200.")
@option("--bytes-per-second", type=click.IntRange(1), help="At most; of a key for browsers 16 MiB.")
@option("--expires", "expires_in_ns", type=Duration(), help="Holds for 12h, 90d; else until it is revoked.")
@_desk_options
def create(db: Path, url: str | None, form: str, **given: Any) -> None:
    """Make a key. It is shown this once: what is kept is a hash of it."""
    with _desk(db, url, creates=True) as desk:
        show.print_answer(form, desk.create_key(_told(given)), show.print_new_key)


@keys.command(name="list", epilog=examples("otel-replay keys list --format json"))
@_desk_options
def list_keys(db: Path, url: str | None, form: str) -> None:
    """What keys there are."""
    with _desk(db, url) as desk:
        show.print_answer(form, desk.keys(), show.print_keys)


@keys.command(epilog=examples("otel-replay keys rotate 00000002 --overlap 24h"))
@click.argument("key_id")
@option("--overlap", "overlap_ns", type=Duration(), default="24h", show_default=True, help="The old one holds as long.")
@_desk_options
def rotate(key_id: str, db: Path, url: str | None, form: str, **given: Any) -> None:
    """Make a key like KEY_ID, which ends after the overlap.

    Links that it made stay.
    """
    with _desk(db, url) as desk:
        show.print_answer(form, desk.rotate_key(key_id, _told(given)), show.print_new_key)


@keys.command(epilog=examples("otel-replay keys revoke 00000001"))
@click.argument("key_id")
@_desk_options
def revoke(key_id: str, db: Path, url: str | None, form: str) -> None:
    """End a key now, with all links and logins that it made."""
    with _desk(db, url) as desk:
        show.print_answer(form, desk.revoke_key(key_id), lambda one: click.echo(f"{one['id']} is {one['state']}"))


@keys.command(epilog=examples("otel-replay keys link"))
@option("--project", help="Whose data it shows.")
@_desk_options
def link(db: Path, url: str | None, form: str, **given: Any) -> None:
    """Make an address that logs a browser in, once, within ten minutes."""
    with _desk(db, url) as desk:
        made = desk.link(_told(given))
        made = {**made, "url": f"{desk.url}{made['path']}"}
    show.print_answer(form, made, lambda one: click.echo(one["url"]))


def _told(given: Mapping[str, Any]) -> dict[str, Any]:
    """What was said on the command line."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in given.items()
        if value not in (None, ())
    }


def _desk(db: Path, url: str | None, *, creates: bool = False) -> AbstractContextManager[_Desk]:
    missing = None if creates else "make its first key with: otel-replay keys create"
    return desk_at(db, url, _Local, _Remote, missing=missing)


class _Local:
    """On the file: whoever may write that may do everything."""

    url = ""

    def __init__(self, store: Any) -> None:
        import time

        from otel_replay.access.administration import Administration
        from otel_replay.access.guard import KEYLESS

        self._caller = KEYLESS
        self._desk = Administration(registry_of(store), time.time_ns)

    def create_key(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return self._desk.create_key(self._caller, given)

    def keys(self) -> dict[str, Any]:
        return self._desk.keys(self._caller)

    def rotate_key(self, key_id: str, given: Mapping[str, Any]) -> dict[str, Any]:
        return self._desk.rotate_key(self._caller, key_id, given)

    def revoke_key(self, key_id: str) -> dict[str, Any]:
        return self._desk.revoke_key(self._caller, key_id)

    def link(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return self._desk.link(self._caller, given)


class _Remote:
    """Through a server, with ``--key``."""

    def __init__(self, url: str) -> None:
        from otel_replay.query.remote import Http

        self.url = url.rstrip("/")
        self._http = Http(url, **server_access())

    def create_key(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return self._ask("POST", "keys", given)

    def keys(self) -> dict[str, Any]:
        return self._ask("GET", "keys")

    def rotate_key(self, key_id: str, given: Mapping[str, Any]) -> dict[str, Any]:
        return self._ask("POST", f"keys/{_quoted(key_id)}/rotate", given)

    def revoke_key(self, key_id: str) -> dict[str, Any]:
        return self._ask("DELETE", f"keys/{_quoted(key_id)}")

    def link(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return self._ask("POST", "links", given)

    def _ask(self, method: str, path: str, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
        found: dict[str, Any] = self._http.ask(method, f"/api/v1/{path}", json=given).json()
        return found


def _quoted(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")
