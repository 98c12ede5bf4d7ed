"""``otel-replay erase``, ``prune`` and ``audit``: through the running server, or, where none runs, on the file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import click

from otel_replay.cli import show
from otel_replay.cli.desk import desk_at, registry_of
from otel_replay.cli.options import (
    address_options,
    database_option,
    examples,
    form_option,
    option,
    server_access,
    server_options,
)
from otel_replay.config import environment_name, read_config

KEY_START = "orpl_"
"""Of the text of a key; its id is eight hexadecimal digits. The variable of --key holds a text, for all commands."""


class _Desk(Protocol):
    def erase(self, given: Mapping[str, Any]) -> dict[str, Any]: ...
    def prune(self, given: Mapping[str, Any]) -> dict[str, Any]: ...
    def audit(self, given: Mapping[str, Any]) -> dict[str, Any]: ...


def _project_option(text: str) -> Callable[[Any], Any]:
    return option("--project", metavar="NAME", help=f"{text}; else that of the key, or the default one.")


@click.command(epilog=examples("otel-replay erase --session SESSION_ID", "otel-replay erase --user u1 --project shop"))
@option("--session", metavar="ID", help="Erase this session with its traces, logs and recordings.")
@option("--trace", metavar="ID", help="Erase this trace.")
@option("--user", metavar="ID", help="Erase all sessions of this user, and all that names the user.")
@option("--key", metavar="ID", help="Erase all that this key wrote: its id. A whole key is shown to the server.")
@_project_option("Erase in this project")
@click.option(
    "--admin-key",
    metavar="KEY",
    envvar=[environment_name("--admin-key"), environment_name("--key")],
    show_envvar=True,
    help="Key for the server, beside --key ID.",
)
@address_options
@option(
    "--vacuum",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="Write the whole file anew; auto: up to 256 MiB.",
)
@database_option("SQLite file; its running server is asked.")
@form_option("text", "json")
@click.pass_context
def erase(
    ctx: click.Context,
    /,
    db: Path,
    url: str | None,
    form: str,
    vacuum: str,
    admin_key: str | None,
    project: str | None,
    **subject: str | None,
) -> None:
    """Erase a session, trace, user, or what a key wrote, for good.

    It goes from every table, index, text and free page, and senders that try again for a week do not bring it back.
    """
    shown = [key for key in (admin_key, subject["key"]) if key and key.startswith(KEY_START)]
    ctx.meta["otel_replay.key"] = shown[0] if shown else None
    given = [(kind, name) for kind, name in subject.items() if name and name not in shown]
    if len(given) != 1:
        raise click.UsageError("Say what to erase: one of --session, --trace, --user, --key.")
    kind, name = given[0]
    with _desk(db, url, None) as desk:
        told = {"kind": kind, "id": name, "vacuum": {"always": True, "never": False}.get(vacuum)}
        show.print_answer(form, desk.erase(told | _in(project)), _print_erased)


@click.command(epilog=examples("otel-replay prune", "otel-replay prune --all-projects --vacuum --config replay.toml"))
@_project_option("Prune this project")
@option("--all-projects", is_flag=True, help="Prune every project that has a rule for it.")
@option("--config", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Rules, where no server runs.")
@option("--vacuum", is_flag=True, help="Then write the file anew, as small as it can be; only where no server runs.")
@server_options
@database_option("SQLite file; its running server is asked.")
@form_option("text", "json")
def prune(
    db: Path,
    url: str | None,
    form: str,
    config: Path | None,
    vacuum: bool,
    project: str | None,
    all_projects: bool,
) -> None:
    """Forget what is older, or more, than [retention] says.

    The rules are those of the running server, else of --config. Freed space is used again.
    """
    with _desk(db, url, config) as desk:
        if vacuum and not isinstance(desk, _Local):
            raise click.UsageError("--vacuum writes the file anew: stop the server first.")
        told = _in(project) | ({"all_projects": True} if all_projects else {})
        show.print_answer(form, desk.prune(told), _print_pruned)
        if isinstance(desk, _Local) and vacuum:
            desk.vacuum()


@click.command(epilog=examples("otel-replay audit", "otel-replay audit --session SESSION_ID"))
@option("--session", metavar="ID", help="Only what was done to this session.")
@option("--trace", metavar="ID", help="Only what was done to this trace.")
@option("--user", metavar="ID", help="Only what was done to this user.")
@_project_option("The trail of this project")
@option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="Entries shown.")
@server_options
@database_option("SQLite file; its running server is asked.")
@form_option("text", "json")
def audit(db: Path, url: str | None, form: str, limit: int, project: str | None, **subject: str | None) -> None:
    """Who read, exported, shared or erased what, newest first.

    Ids are kept as hashes: ask for one, and it is found.
    """
    given = [{"kind": kind, "id": name} for kind, name in subject.items() if name]
    if len(given) > 1:
        raise click.UsageError("Ask for one of --session, --trace, --user.")
    with _desk(db, url, None) as desk:
        told = {"limit": limit, **(given[0] if given else {}), **_in(project)}
        show.print_answer(form, desk.audit(told), _print_audit)


def _in(project: str | None) -> dict[str, str]:
    return {} if project is None else {"project": project}


def _desk(db: Path, url: str | None, config: Path | None) -> AbstractContextManager[_Desk]:
    return desk_at(db, url, lambda store: _Local(store, config), _Remote, missing="name another with --db")


class _Local:
    """On the file: whoever may write that may do everything."""

    def __init__(self, store: Any, config: Path | None) -> None:
        from otel_replay.access.guard import KEYLESS
        from otel_replay.query.privacy import PrivacyDesk

        self._store, self._caller = store, KEYLESS
        self._desk = PrivacyDesk(store, registry_of(store), read_config(config).retentions)

    def erase(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return self._desk.erase(self._caller, given)

    def prune(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return self._desk.prune(self._caller, given)

    def audit(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return self._desk.audit(self._caller, given)

    def vacuum(self) -> None:
        self._store.privacy.vacuum()


class _Remote:
    """Through a server."""

    def __init__(self, url: str) -> None:
        from otel_replay.query.remote import Http

        self._http = Http(url, **server_access())

    def erase(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return self._ask("POST", "erase", json=given)

    def prune(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return self._ask("POST", "prune", json=given)

    def audit(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return self._ask("GET", "audit", params=given)

    def _ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        found: dict[str, Any] = self._http.ask(method, f"/api/v1/{path}", **options).json()
        return found


def _print_erased(erased: dict[str, Any]) -> None:
    counts = ", ".join(f"{erased[name]} {name}" for name in ("records", "chunks", "sessions", "contents"))
    click.echo(f"erased: {counts}")
    if not erased["scrubbed"]:
        click.echo("a reader holds on to the write-ahead log; erase again once it has ended", err=True)


def _print_pruned(pruned: dict[str, Any]) -> None:
    click.echo("forgotten: " + ", ".join(f"{number} {name}" for name, number in pruned.items()))


def _print_audit(page: dict[str, Any]) -> None:
    from otel_replay.query.times import format_time

    for one in page["entries"]:
        time = format_time(int(one["time_unix_nano"]))
        click.echo(f"{time}  key {one['key_id']}  {one['action']} {one['kind']} {one['subject']}  {one['outcome']}")
    if not page["entries"]:
        click.echo("nothing was done yet")
