"""Commands that read what is stored, from a file or from a running server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TextIO

import click

from otel_replay.cli import show
from otel_replay.cli.options import (
    Duration,
    Time,
    call_options,
    examples,
    form_option,
    limit_option,
    opened,
    option,
    page_options,
    period_options,
    source_options,
    wait_option,
)


@click.command(
    epilog=examples(
        "otel-replay timeline 4bf92f3577b34da6a3ce929d0e0e4736",
        "otel-replay timeline --session SESSION_ID --format json --url http://127.0.0.1:4318",
    )
)
@click.argument("trace_id", required=False)
@option("--session", "session_id", metavar="ID", help="The timeline of a session.")
@option("--conversation", "conversation_id", metavar="ID", help="The timeline of a conversation.")
@source_options
@form_option("text", "json", "jsonl")
def timeline(
    trace_id: str | None,
    session_id: str | None,
    conversation_id: str | None,
    db: Path,
    url: str | list[str] | None,
    form: str,
) -> None:
    """The story of a trace, a session or a conversation, in order.

    TRACE_ID is 32 hexadecimal digits, as logs and traceparent headers have it.
    """
    if sum(map(bool, (trace_id, session_id, conversation_id))) != 1:
        raise click.UsageError("Name one of TRACE_ID, --session ID and --conversation ID.")
    with opened(db, url) as replay:
        found = replay.timeline(trace_id, session_id=session_id, conversation_id=conversation_id)
    if form == "text":
        found.print()
    elif form == "json":
        show.print_json(found.to_dict())
    else:
        for entry in found.entries:
            show.print_json(entry.to_dict())


@click.command(
    epilog=examples(
        "otel-replay sessions --user u1 --since 2d --has-error",
        "otel-replay sessions --model gpt-4o --text refund --format json",
    )
)
@option("--user", help="Only sessions of this user.id.")
@option("--feature", help="Only sessions of this feature.")
@option("--label", help="Only sessions with this label.")
@option("--tag", help="Only sessions to which a session manager gave this tag.")
@option("--service", help="Only sessions with an AI span of this service.")
@option("--model", help="Only sessions with an AI span of this model, asked for or answering.")
@option("--state", type=click.Choice(["active", "paused", "ended"]), help="Only sessions in this state.")
@option(
    "--has-error",
    type=click.BOOL,
    is_flag=False,
    flag_value="true",
    help="Only sessions in which something failed; =false: in which nothing did.",
)
@option("--text", help="Only sessions in whose AI spans all these words were said.")
@period_options("Started")
@page_options("Sessions")
@option("--page", type=click.IntRange(min=1), help="The page of this number instead.")
@source_options
@form_option("text", "json")
def sessions(db: Path, url: str | list[str] | None, form: str, **filters: Any) -> None:
    """What sessions there are, newest first."""
    with opened(db, url) as replay:
        found = replay.sessions(**filters)
    show.print_answer(form, found, show.print_sessions)


@click.command(epilog=examples("otel-replay stats --by feature --since 7d", "otel-replay stats --session SESSION_ID"))
@option(
    "--by",
    type=click.Choice(
        ["model", "provider", "service", "operation", "user", "feature", "variant", "day", "session", "conversation"]
    ),
    default="model",
    show_default=True,
    help="What to group by.",
)
@call_options("calls")
@period_options("Started")
@limit_option("Groups shown.", 100)
@wait_option("all that is stored is counted")
@source_options
@form_option("text", "json")
def stats(db: Path, url: str | list[str] | None, form: str, **filters: Any) -> None:
    """What calls cost, how long they took, how many failed.

    Each call of a model counts once, whoever tells of it. By variant they stand side by side.

    Times are widened to whole hours, to whole days by user and by day; percentiles are within 1 %.
    """
    with opened(db, url) as replay:
        found = replay.stats(**filters)
    show.print_answer(form, found, show.print_stats)


@click.command(
    epilog=examples(
        "otel-replay search refund --since 2d",
        "otel-replay search '\"where is my order\" refun*' --model gpt-4o",
    )
)
@click.argument("query")
@call_options("in calls")
@period_options("Said")
@page_options("Texts")
@wait_option("all that is stored is searchable")
@source_options
@form_option("text", "json")
def search(query: str, db: Path, url: str | list[str] | None, form: str, **filters: Any) -> None:
    """What was said in prompts, answers and tool calls.

    Newest first; each text once, where it was said first. Every word has to occur. "Words in quotes" have to follow
    each other, and refun* is the beginning of a word.
    """
    with opened(db, url) as replay:
        found = replay.search(query, **filters)
    show.print_answer(form, found, show.print_hits)


@click.command(
    epilog=examples(
        "otel-replay traces --service checkout --status error --since 2h",
        "otel-replay traces --attr http.response.status_code=500 --min-duration 250ms",
    )
)
@option("--service", help="Only spans of this service.")
@option("--operation", help="Only spans of this name.")
@option(
    "--attr",
    "attributes",
    metavar="KEY=VALUE",
    multiple=True,
    help="Only spans with this attribute, on span, resource, scope or event; repeatable, all must hold on one span.",
)
@option("--status", type=click.Choice(["ok", "error", "unset"]), help="Only spans with this status.")
@option("--min-duration", "min_duration_ns", type=Duration(), help="Only spans that take at least 250ms, 1.5s, 2m.")
@option("--max-duration", "max_duration_ns", type=Duration(), help="Only spans that take at most so long.")
@period_options("Started")
@page_options("Traces")
@source_options
@form_option("text", "json")
def traces(db: Path, url: str | list[str] | None, form: str, **filters: Any) -> None:
    """Which traces have a span that is all of this, newest first.

    An attribute's value is a string, or a number or boolean where it is written like one: --attr http.route=/cart
    --attr http.response.status_code=500. In quotes it is a string (n='"5"'), * stands for any value, and the prefixes
    span., resource., scope. and event. say where the key has to stand.
    """
    with opened(db, url) as replay:
        found = replay.traces(**filters)
    show.print_answer(form, found, show.print_traces)


@click.command(
    epilog=examples(
        "otel-replay recording SESSION_ID -o events.json",
        "otel-replay recording SESSION_ID --stream main --from 15m",
    )
)
@click.argument("session_id")
@option("--stream", help="The stream (tab) to write, where a session has several.")
@option("--from", "from_unix_nano", type=Time(), help="From the nearest full snapshot before this time on.")
@option("--to", "to_unix_nano", type=Time(), help="Up to this time.")
@option("--output", "-o", type=click.File("w", lazy=True), default="-", help="File to write; -: standard output.")
@source_options
def recording(
    session_id: str, stream: str | None, output: TextIO, db: Path, url: str | list[str] | None, **period: int | None
) -> None:
    """The rrweb events of a session, as an array of JSON."""
    with opened(db, url) as replay:
        found = replay.recordings.download(session_id, stream, **period)
    if len(found) > 1:
        names = show.harmless(", ".join(one.stream_id for one in found))
        raise click.UsageError(f"The session has several streams; choose one with --stream: {names}")
    json.dump(found[0].events, output)
    output.write("\n")
