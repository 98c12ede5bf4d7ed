"""Options that several commands have, each also read from its environment variable."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from otel_replay.config import environment_name
from otel_replay.errors import InvalidRequest

Function = TypeVar("Function", bound=Callable[..., Any])


def option(*names: str, **settings: Any) -> Callable[[Function], Function]:
    """A click option that is also read from its environment variable, which ``--help`` shows."""
    return click.option(*names, envvar=environment_name(names[0]), show_envvar=True, **settings)


class Time(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.5
    """A time of the command line as Unix nanoseconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from otel_replay.query.times import parse_time

        try:
            return parse_time(value, time.time_ns())
        except InvalidRequest as error:
            self.fail(str(error), param, ctx)


class Duration(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.5
    """A duration of the command line in nanoseconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from otel_replay.query.times import parse_duration

        try:
            return parse_duration(value)
        except InvalidRequest as error:
            self.fail(str(error), param, ctx)


class Address(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.5
    """The address of a server."""

    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not str(value).startswith(("http://", "https://")):
            self.fail(f"{value!r} cannot be opened: write it with its scheme, http://127.0.0.1:4318", param, ctx)
        return str(value)


def examples(*lines: str) -> str:
    """The epilog of a command: lines that can be copied, shown as they stand."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])


def form_option(*forms: str) -> Callable[[Function], Function]:
    """``--format``; the first is what is written unless told otherwise."""
    return option("--format", "form", type=click.Choice(forms), default=forms[0], show_default=True, help="Output.")


def period_options(since: str) -> Callable[[Function], Function]:
    """``--since`` and ``--until``; ``since`` says of what."""

    def decorate(command: Function) -> Function:
        command = option("--until", "until_unix_nano", type=Time(), help=f"{since} before.")(command)
        text = f"{since} at or after: RFC 3339, Unix nanoseconds, or 15m, 2d ago."
        return option("--since", "since_unix_nano", type=Time(), help=text)(command)

    return decorate


def page_options(what: str, usual: int = 50) -> Callable[[Function], Function]:
    """``--limit`` and ``--cursor``."""

    def decorate(command: Function) -> Function:
        command = option("--cursor", help="The next_cursor of the page before.")(command)
        return limit_option(f"{what} on a page.", usual)(command)

    return decorate


def limit_option(text: str, usual: int) -> Callable[[Function], Function]:
    return option("--limit", type=click.IntRange(1, 1000), default=usual, show_default=True, help=text)


def call_options(only: str) -> Callable[[Function], Function]:
    """What model calls are chosen by; ``only`` is what is left of them."""
    texts = {
        "--user": f"Only {only} for this user.id.",
        "--feature": f"Only {only} of this feature.",
        "--label": "Only in sessions with this label.",
        "--service": f"Only {only} by this service.",
        "--model": f"Only {only} of this model, asked for or answering.",
        "--provider": f"Only {only} by this provider.",
        "--variant": f"Only {only} of this variant.",
    }

    def decorate(command: Function) -> Function:
        for name, text in reversed(texts.items()):
            command = option(name, help=text)(command)
        command = option("--conversation", "conversation_id", metavar="ID", help="Only in this conversation.")(command)
        return option("--session", "session_id", metavar="ID", help="Only in this session.")(command)

    return decorate


def wait_option(until: str) -> Callable[[Function], Function]:
    return option("--wait", "wait_ns", type=Duration(), default="0s", help=f"Wait so long at most until {until}.")


def source_options(command: Function) -> Function:
    """``--db`` and ``--url``: where to read from, of which :func:`opened` makes one."""
    text = "Ask a running server (http://127.0.0.1:4318), not a file; repeatable: several answer as one."
    url = option("--url", type=Address(), metavar="URL", multiple=True, callback=_one_or_several, help=text)
    return database_option("SQLite file to read.")(url(_access_options(command)))


def _one_or_several(_ctx: click.Context, _param: click.Parameter, value: tuple[str, ...]) -> str | list[str] | None:
    return [*value] if len(value) > 1 else next(iter(value), None)


def server_options(command: Function) -> Function:
    """``--url`` with ``--key`` and ``--tls-ca``, which :func:`server_access` gives to who needs them."""
    return _address_option(_access_options(command))


def address_options(command: Function) -> Function:
    """``--url`` with ``--tls-ca``."""
    return _address_option(_authority_option(command))


def _address_option(command: Function) -> Function:
    text = "Ask a running server (http://127.0.0.1:4318), not a file."
    return option("--url", type=Address(), metavar="URL", help=text)(command)


def _access_options(command: Function) -> Function:
    text = "Key for that server; safer in the variable."
    return _authority_option(option("--key", metavar="KEY", help=text, **_KEPT)(command))


def _authority_option(command: Function) -> Function:
    path = click.Path(exists=True, dir_okay=False)
    text = "Authority of the server's certificate."
    return option("--tls-ca", metavar="FILE", type=path, help=text, **_KEPT)(command)


def _keep(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    ctx.meta[f"otel_replay.{param.name}"] = value


_KEPT: dict[str, Any] = {"expose_value": False, "callback": _keep}


def server_access() -> dict[str, str | None]:
    """``key`` and ``ca`` as the command's options say."""
    meta = click.get_current_context().meta
    return {"key": meta.get("otel_replay.key"), "ca": meta.get("otel_replay.tls_ca")}


def database_option(text: str) -> Callable[[Function], Function]:
    path = click.Path(dir_okay=False, path_type=Path)
    return option("--db", type=path, default="replay.db", show_default=True, help=text)


@contextmanager
def opened(db: Path, url: str | list[str] | None) -> Iterator[Any]:
    """The :class:`~otel_replay.query.local.LocalReplay`, or what is asked like it, that ``--db`` and ``--url`` name."""
    from otel_replay.query.opening import open_replay

    replay = open_replay(url or str(db), **server_access())
    try:
        yield replay
    finally:
        replay.close()
