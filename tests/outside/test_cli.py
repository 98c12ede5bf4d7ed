"""The command line: help, environment, exit codes, and nothing but the answer on standard output."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest

from otel_replay import __version__
from otel_replay.cli import KEY_HINT, LATER, cli, main
from otel_replay.config import environment_name
from otel_replay.model import Signal
from tests.outside.access import make_key
from tests.outside.outside import Outside, answered, command, running
from tests.outside.telemetry import CHAT, custom, page, span, traces

COMMANDS = {
    " ".join(filter(None, (name, below))): one
    for name, command_or_group in cli.commands.items()
    for below, one in getattr(command_or_group, "commands", {"": command_or_group}).items()
}
OPTIONS = [
    (name, option)
    for name, one in COMMANDS.items()
    for option in one.params
    if isinstance(option, click.Option) and option.name != "help"
]


class Ended(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """The entry point itself, in this process, with its exit code."""

    def call(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["otel-replay", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert isinstance(ended.value.code, int)
        return Ended(ended.value.code, *capsys.readouterr())

    return call


# Help


def test_there_are_options() -> None:
    assert {name for name, _ in OPTIONS} == set(COMMANDS)
    assert len(OPTIONS) > 20


def test_every_command_says_what_it_does() -> None:
    overview = command("--help").stdout
    for name, one in cli.commands.items():
        assert one.help
        assert re.search(rf"^  {name} +{re.escape(one.get_short_help_str(200)[:25])}", overview, re.MULTILINE)
        assert command(name, "-h").stdout == command(name, "--help").stdout


@pytest.mark.parametrize(("name", "option"), OPTIONS, ids=lambda one: one if isinstance(one, str) else one.opts[0])
def test_every_option_has_help_and_shows_its_variable(name: str, option: click.Option) -> None:
    text = " ".join(command(*name.split(), "--help").stdout.split())
    assert option.opts[0] in text
    assert option.help
    assert option.help in text
    assert f"env var: {environment_name(option.opts[0])}" in text


@pytest.mark.parametrize(("name", "option"), OPTIONS, ids=lambda one: one if isinstance(one, str) else one.opts[0])
def test_every_option_reads_its_variable(name: str, option: click.Option) -> None:
    value: Any = (
        str(option.type.min or 5)
        if isinstance(option.type, click.IntRange | click.FloatRange)
        else "1"
        if option.is_flag
        else "json"
    )
    if isinstance(option.type, click.Choice):
        value = option.type.choices[-1]
    if isinstance(option.type, click.Path) and option.type.exists:
        value = "." if option.type.dir_okay else __file__
    value = {"time": "15m", "duration": "1s", "boolean": "true", "url": "http://127.0.0.1:1"}.get(
        option.type.name, value
    )
    one = COMMANDS[name]
    arguments = ["an id" for argument in one.params if isinstance(argument, click.Argument) and argument.required]
    needed = [one for one in one.params if isinstance(one, click.Option) and one.required and one is not option]
    arguments += [word for one in needed for word in (one.opts[0], one.type.choices[0])]  # type: ignore[attr-defined]
    variable = "OTEL_REPLAY_" + option.opts[0].lstrip("-").upper().replace("-", "_")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(variable, "-" if option.name == "output" else value)
        context = one.make_context(name, arguments)
        source = context.get_parameter_source(option.name or "")
        context.close()
    assert source is click.core.ParameterSource.ENVIRONMENT


def test_a_variable_stands_in_for_its_option(receiver: Outside) -> None:
    listed = command("sessions", OTEL_REPLAY_DB=str(receiver.database), OTEL_REPLAY_FORMAT="json")
    assert answered(listed)["total"] >= 0
    by_url = command("sessions", "--format", "json", OTEL_REPLAY_URL=receiver.url)
    assert answered(by_url) == answered(listed)


def test_the_version() -> None:
    assert command("--version").stdout == f"otel-replay, version {__version__}\n"


# Exit codes


@pytest.mark.parametrize("name", LATER)
def test_commands_that_come_later_say_so(run: Any, name: str) -> None:
    code, out, err = run(name, "--anything")
    assert (code, out) == (2, "")
    assert f"'{name}' is not in version {__version__}: {LATER[name]} comes later." in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["timeline"], "Name one of TRACE_ID, --session ID and --conversation ID."),
        (["timeline", "ab" * 16, "--session", "s"], "Name one of"),
        (["timeline", "xyz"], "'xyz' is not a trace id"),
        (["timeline", "ab" * 16, "--format", "xml"], "'xml' is not one of"),
        (["timeline", "ab" * 16, "--spam"], "No such option"),
        (["sessions", "--limit", "0"], "0 is not in the range"),
        (["sessions", "--since", "15"], "'15' is not a time"),
        (["sessions", "--cursor", "x"], "the cursor is not one"),
        (["recording"], "Missing argument 'SESSION_ID'"),
        (["serve", "--http-port", "70000"], "70000 is not in the range"),
        (["sessions", "--url", "ftp://example"], "'ftp://example' cannot be opened"),
        (["sessions", "--url", "127.0.0.1:4318"], "write it with its scheme, http://127.0.0.1:4318"),
        (["erase", "--user", "u", "--url", "127.0.0.1:4318"], "write it with its scheme, http://127.0.0.1:4318"),
    ],
)
def test_wrong_usage(run: Any, receiver: Outside, arguments: list[str], words: str) -> None:
    if arguments[0] in ("timeline", "sessions", "recording"):
        arguments = [*arguments, "--db", str(receiver.database)]
    code, out, err = run(*arguments)
    assert (code, out) == (2, ""), err
    assert words in " ".join(err.split())


@pytest.mark.parametrize("source", ["--db", "--url"])
@pytest.mark.parametrize(
    "arguments", [["timeline", "ff" * 16], ["timeline", "--session", "nobody"], ["recording", "nobody"]]
)
def test_not_found(run: Any, receiver: Outside, source: str, arguments: list[str]) -> None:
    where = str(receiver.database) if source == "--db" else receiver.url
    code, out, err = run(*arguments, source, where)
    assert (code, out) == (4, "")
    assert err.startswith("otel-replay: ")
    assert arguments[-1] in err


def test_failures(run: Any, tmp_path: Path) -> None:
    missing = run("sessions", "--db", str(tmp_path / "missing.db"))
    assert (missing.code, missing.out) == (1, "")
    assert "start one with: otel-replay serve --db" in missing.err
    (tmp_path / "other.db").write_bytes(b"something else" * 1_000)
    for arguments in (["sessions"], ["serve", "--grpc-port", "0", "--http-port", "0"]):
        other = run(*arguments, "--db", str(tmp_path / "other.db"))
        assert (other.code, other.out) == (1, "")
        assert "is not an SQLite database" in other.err
    assert (tmp_path / "other.db").read_bytes() == b"something else" * 1_000
    silent = run("sessions", "--url", "http://127.0.0.1:1")
    assert (silent.code, silent.out) == (1, "")
    assert silent.err.startswith("otel-replay: no answer from http://127.0.0.1:1: Failed to establish a new connection")
    assert "is the server running?" in silent.err


def test_a_server_that_is_not_the_one_to_ask(run: Any, receiver: Outside) -> None:
    over_grpc = run("sessions", "--url", f"http://{receiver.server.grpc_address}")
    assert (over_grpc.code, over_grpc.out) == (1, "")
    assert "it speaks gRPC" in over_grpc.err
    assert "4318" in over_grpc.err
    encrypted = run("sessions", "--url", receiver.url.replace("http:", "https:"))
    assert "http:// for a server without a certificate" in encrypted.err


@pytest.mark.slow
def test_the_process_itself(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "otel_replay", "sessions", "--db", str(tmp_path / "missing.db")]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "there is no database at" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_key(run: Any, tmp_path: Path) -> None:
    with running(tmp_path / "replay.db") as closed:
        make_key(closed, "admin")
        for arguments in (["sessions", "--url", closed.url], ["keys", "list", "--db", str(closed.database)]):
            code, out, err = run(*arguments)
            assert (code, out) == (1, "")
            assert err.splitlines()[0].startswith("otel-replay: a key is needed")
            assert err.splitlines()[1] == f"  {KEY_HINT}"


@pytest.mark.slow
@pytest.mark.parametrize(("taken", "free"), [("--grpc-port", "--http-port"), ("--http-port", "--grpc-port")])
def test_a_taken_port_is_named_with_its_option(tmp_path: Path, taken: str, free: str) -> None:
    """On two lines, without what grpcio writes of it."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        line = [
            sys.executable,
            "-m",
            "otel_replay",
            "serve",
            taken,
            port,
            free,
            "0",
            "--db",
            str(tmp_path / "replay.db"),
        ]
        done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    said, hint = done.stderr.splitlines()
    assert said.startswith(f"otel-replay: port {port} cannot be opened: ")
    assert hint.endswith(f"choose another with {taken}")


# Output


EVIL = "\x1b]0;owned\x07\x1b[2J\r\x9b31m\u202egnp"


@pytest.fixture(scope="module")
def evil(receiver: Outside) -> str:
    """A trace whose every text would like to drive the terminal; its session's id is as bad."""
    trace_id = "e1" * 16
    said = {"session.id": EVIL, "user.id": EVIL, "feature": EVIL, **CHAT, "gen_ai.request.model": EVIL, EVIL: EVIL}
    receiver.export(
        Signal.TRACES, traces(span(trace_id, 1, name=EVIL, attributes=said), service=EVIL).SerializeToString()
    )
    receiver.upload("harmless", [*page(), custom(1, EVIL, text=EVIL, trace_id=trace_id)])
    receiver.timeline("/api/v1/sessions/harmless/timeline")
    return trace_id


@pytest.mark.parametrize("form", ["text", "json", "jsonl"])
def test_stored_text_does_not_reach_the_terminal_as_commands(run: Any, receiver: Outside, evil: str, form: str) -> None:
    asked: list[list[str]] = [
        ["timeline", evil],
        ["timeline", "--session", EVIL],
        ["timeline", "--session", "harmless"],
    ]
    asked += [["sessions"]] if form != "jsonl" else []
    for arguments in asked:
        code, out, _ = run(*arguments, "--format", form, "--db", str(receiver.database))
        assert code == 0
        assert [one for one in out if not one.isprintable() and one != "\n"] == []
        assert "owned" in out


def test_errors_are_harmless_too(run: Any, receiver: Outside) -> None:
    for arguments in (["timeline", "--session", f"{EVIL}!"], ["recording", EVIL], ["timeline", EVIL]):
        for source in (["--db", str(receiver.database)], ["--url", receiver.url]):
            code, out, err = run(*arguments, *source)
            assert (code in (2, 4), out) == (True, "")
            assert [one for one in err if not one.isprintable() and one != "\n"] == []


def test_a_recording_goes_to_a_file(run: Any, receiver: Outside, evil: str, tmp_path: Path) -> None:
    target = tmp_path / "events.json"
    code, out, err = run("recording", "harmless", "-o", str(target), "--db", str(receiver.database))
    assert (code, out, err) == (0, "", "")
    assert json.loads(target.read_text())[:2] == page()
    kept = target.read_bytes()
    assert run("recording", "nobody", "-o", str(target), "--db", str(receiver.database)).code == 4
    assert target.read_bytes() == kept, "what is not found does not empty the file"


def test_lists_for_people(run: Any, receiver: Outside, evil: str) -> None:
    listed = run("sessions", "--db", str(receiver.database))
    [line] = [one for one in listed.out.splitlines() if one.startswith("harmless")]
    assert line.split()[-1] == "yes"
    first = run("sessions", "--limit", "1", "--db", str(receiver.database))
    assert len(first.out.splitlines()) == 2
    assert "2 in all; more with --cursor " in first.err
    none = run("sessions", "--user", "nobody", "--db", str(receiver.database))
    assert (none.code, none.out) == (0, "no sessions\n")
