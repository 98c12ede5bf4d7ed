"""Answers as people read them on a terminal, and as programs do."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import click


def print_answer(form: str, answer: dict[str, Any], as_text: Any) -> None:
    """JSON, or what ``as_text`` prints."""
    if form == "json":
        print_json(answer)
    else:
        as_text(answer)


def print_json(document: Any) -> None:
    click.echo(json.dumps(document))


def harmless(text: str) -> str:
    """Without control characters: ids and names come from anywhere."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _console(width: int = 200) -> Any:
    """As wide as the terminal; a file is as wide as a line may become."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else width)


class _Table:
    """Columns of plain text."""

    def __init__(self, headings: Sequence[str], *, whole: str = "", right: Sequence[str] = ()) -> None:
        from rich.table import Table

        self._table = Table(box=None, pad_edge=False)
        for heading in headings:
            justify: Any = "right" if heading in right else "left"
            self._table.add_column(heading, no_wrap=heading == whole, justify=justify)

    def add(self, *cells: Any) -> None:
        from rich.text import Text

        self._table.add_row(*(Text("" if cell is None else harmless(str(cell))) for cell in cells))

    def print(self, otherwise: str) -> None:
        _console().print(self._table if self._table.row_count else otherwise)


def print_sessions(page: dict[str, Any]) -> None:
    from otel_replay.query.times import format_time

    headings = ("session", "started", "user", "feature", "calls", "actions", "errors", "recording")
    table = _Table(headings, whole="session")
    for one in page["sessions"]:
        started, recording = format_time(int(one["start_unix_nano"])), "yes" if one["has_recording"] else "no"
        counts = (one["interactions"], one["actions"], one["errors"])
        table.add(one["session_id"], started, one["user"], one["feature"], *counts, recording)
    table.print("no sessions")
    if page["next_cursor"]:
        total = f"more than {page['total']}" if page["total_at_least"] else page["total"]
        click.echo(f"{total} in all; more with --cursor {page['next_cursor']}", err=True)


def print_traces(page: dict[str, Any]) -> None:
    from otel_replay.query.times import format_time

    headings = ("trace", "started", "service", "name", "ms", "spans", "errors", "session")
    table = _Table(headings, whole="trace", right=("ms",))
    for one in page["traces"]:
        started, milliseconds = format_time(int(one["start_unix_nano"])), f"{int(one['duration_ns']) / 10**6:.3f}"
        root = (one["root_service"], one["root_name"])
        table.add(one["trace_id"], started, *root, milliseconds, one["spans"], one["errors"], one["session_id"])
    table.print("no traces")
    if page["next_cursor"]:
        click.echo(f"more with --cursor {page['next_cursor']}", err=True)


def print_stats(table: dict[str, Any]) -> None:
    if not table["groups"]:
        _console().print("no model calls")
    else:
        lines = [*table["groups"], {"group": "all", **table["total"]}]
        (_print_side_by_side if table["by"] == "variant" else _print_lines)(table["by"], lines)
    if table["waiting"]:
        click.echo(f"{table['waiting']} more are stored and not counted yet", err=True)
    costs = table["total"]["costs_usd"] or {}
    for source, told in (("override", "your own prices"), ("computed", "price lists")):
        if Decimal(costs.get(source, 0)):
            click.echo(f"{costs[source]} of {table['total']['cost_usd']} USD computed from {told}", err=True)


def _print_lines(by: str, lines: Sequence[dict[str, Any]]) -> None:
    """A line for each group."""
    numbers = ("calls", "errors", "tokens in", "out", "cost USD", "p50 ms", "p95 ms", "p99 ms")
    shown = _Table((by, *numbers), right=numbers)
    for one in lines:
        times = (_ms(one["latency_ns"], name) for name in ("p50", "p95", "p99"))
        counts = (one["interactions"], one["errors"], one["tokens"]["input"], one["tokens"]["output"], one["cost_usd"])
        shown.add(one["group"] or "(none)", *counts, *times)
    shown.print("")


def _print_side_by_side(by: str, lines: Sequence[dict[str, Any]]) -> None:
    """A column for each group, so that they can be compared."""
    names = [one["group"] or "(none)" for one in lines]
    shown = _Table((by, *names), right=names)
    shown.add("calls", *(one["interactions"] for one in lines))
    shown.add("errors", *(one["errors"] for one in lines))
    shown.add("errors, % of calls", *(_each(one, 100 * one["errors"], 1) for one in lines))
    for name in ("input", "output"):
        shown.add(f"{name} tokens a call", *(_each(one, one["tokens"][name], 1) for one in lines))
    shown.add("cost USD", *(one["cost_usd"] for one in lines))
    shown.add("cost USD a call", *(_each(one, one["cost_usd"], 6) for one in lines))
    for title, times in (("latency", "latency_ns"), ("first token", "time_to_first_token_ns")):
        for name in ("p50", "p95", "p99", "mean"):
            shown.add(f"{title} {name} ms", *(_ms(one[times], name) for one in lines))
    shown.print("")


def _ms(times: dict[str, str] | None, name: str) -> str:
    return f"{int(times[name]) / 10**6:.1f}" if times else ""


def _each(one: dict[str, Any], total: int | str | None, digits: int) -> str:
    """A sum by calls."""
    calls = one["interactions"]
    return "" if total is None or not calls else f"{Decimal(total) / calls:.{digits}f}"


def print_hits(page: dict[str, Any]) -> None:
    from rich.text import Text

    from otel_replay.query.times import format_time

    console = _console(300)
    for hit in page["hits"]:
        about = (format_time(int(hit["start_unix_nano"])), hit["service"], hit["model"], hit["session_id"])
        console.print(Text(harmless("  ".join(filter(None, about)))), style="dim")
        snippet = Text("  " + harmless(hit["snippet"]))
        for start, end in hit["highlights"]:
            snippet.stylize("bold", 2 + start, 2 + end)
        console.print(snippet)
    if not page["hits"]:
        console.print("nothing found")
    if page["next_cursor"]:
        click.echo(f"more with --cursor {page['next_cursor']}", err=True)
    if page["waiting"]:
        click.echo(f"{page['waiting']} more texts are stored and not searchable yet", err=True)


def print_new_key(key: dict[str, Any]) -> None:
    """The key alone on standard output, for a program to keep; what it is for beside it."""
    click.echo(key["key"])
    about = f"{key['id']}  {key['name']}  {', '.join(key['scopes'])}  project {key['project']}"
    click.echo(harmless(f"{about}: shown this once"), err=True)


def print_keys(page: dict[str, Any]) -> None:
    from otel_replay.query.times import format_time

    table = _Table(("key", "name", "project", "scopes", "state", "created", "expires", "origins"), whole="key")
    for one in page["keys"]:
        created, expires = (one[f"{name}_unix_nano"] for name in ("created", "expires"))
        times = (format_time(int(created)), format_time(int(expires)) if expires else "")
        about = (one["id"], one["name"], one["project"], " ".join(one["scopes"]), one["state"])
        table.add(*about, *times, " ".join(one["origins"]))
    table.print("no keys")


def print_check(report: dict[str, Any]) -> None:
    counts = ", ".join(f"{count:,} {what}" for what, count in report["checked"].items())
    click.echo(f"{report['database']}: {counts} checked, {'nothing damaged' if report['ok'] else 'damaged:'}")
    for one in report["damaged"]:
        click.echo(harmless(f"  {' '.join(filter(None, (one['what'], one['place'])))}: {one['reason']}"))
    for text in report["advice"]:
        click.echo(text)


def print_backup(report: dict[str, Any]) -> None:
    click.echo(f"{report['file']}: {report['bytes']:,} bytes")
    print_check(report)
