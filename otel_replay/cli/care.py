"""``otel-replay check`` and ``otel-replay backup``: on the file, also while a server writes it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from otel_replay.cli import show
from otel_replay.cli.options import database_option, examples, form_option

EXIT_DAMAGED = 1


@click.command(epilog=examples("otel-replay check --db replay.db"))
@database_option("SQLite file to check.")
@form_option("text", "json")
def check(db: Path, form: str) -> None:
    """Read every byte of a file, and say what is damaged.

    Exit code 1 if anything is. Pages and indexes are checked by SQLite; blocks of spans and logs, what was said,
    recordings and page events by the checksums they are stored with; and what refers to what. Nothing is changed.
    """
    from otel_replay.store.sqlite.integrity import check as check_file

    with _progress() as tell:
        report = check_file(db, tell).document(db)
    show.print_answer(form, report, show.print_check)
    if report["damaged"]:
        sys.exit(EXIT_DAMAGED)


@click.command(epilog=examples("otel-replay backup copy.db --db replay.db"))
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@database_option("SQLite file to copy.")
@form_option("text", "json")
def backup(file: Path, db: Path, form: str) -> None:
    """Copy the database to FILE as it is now, and check the copy.

    A server may write on meanwhile. FILE must not exist. The copy is a database like any other: read it with --db, or
    put it in the place of a lost one.
    """
    from otel_replay.store.sqlite.backup import copy_database
    from otel_replay.store.sqlite.integrity import check as check_file

    with _progress() as tell:
        size = copy_database(db, file, lambda done, total: tell("copying", done, total))
        report = {"file": str(file), "bytes": size, **check_file(file, tell, alone=True).document(file)}
    show.print_answer(form, report, show.print_backup)
    if report["damaged"]:
        sys.exit(EXIT_DAMAGED)


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar on standard error, where that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _what, _done, _total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, Any] = {}

        def tell(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=None)
            bars.update(tasks[what], completed=done, total=total or None)

        yield tell
