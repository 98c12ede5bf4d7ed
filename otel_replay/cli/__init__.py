"""The command line: ``otel-replay serve``, and reading what it stored."""

from __future__ import annotations

import sys
from typing import NoReturn

import click

from otel_replay import __version__
from otel_replay.cli import care, keys, privacy, reading, serving
from otel_replay.cli.options import examples
from otel_replay.cli.show import harmless
from otel_replay.errors import InvalidRequest, NotFound, ReplayError, Unauthenticated, UnsupportedRequest

EXIT_FAILED, EXIT_USAGE, EXIT_NOT_FOUND = 1, 2, 4

KEY_HINT = "give it with --key, or in OTEL_REPLAY_KEY; otel-replay keys create makes one"
"""In place of how programs send one, which servers tell."""

LATER = {
    "export": "exporting sessions",
    "import": "importing sessions",
    "insights": "insights by a language model",
    "sql": "SQL over typed rows",
    "mcp": "the model-context server",
}
"""Commands that the interface names and this version does not have."""


class _Commands(click.Group):
    """Lists commands as they are added, and knows those that come later: asking for one is answered with that."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in LATER:
            raise click.UsageError(f"'{cmd_name}' is not in version {__version__}: {LATER[cmd_name]} comes later.", ctx)
        return super().get_command(ctx, cmd_name)


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "otel-replay serve", "otel-replay sessions", "otel-replay timeline TRACE_ID", "otel-replay serve --help"
    ),
)
@click.version_option(__version__, prog_name="otel-replay")
def cli() -> None:
    """Session replay, traces and LLM calls in one small OpenTelemetry receiver."""


for command in (
    serving.serve,
    reading.timeline,
    reading.sessions,
    reading.stats,
    reading.search,
    reading.traces,
    reading.recording,
    keys.keys,
    care.check,
    care.backup,
    privacy.erase,
    privacy.prune,
    privacy.audit,
    serving.bench,
):
    cli.add_command(command)


def main() -> NoReturn:
    """Entry point: errors become one line on standard error and an exit code (0, 1, 2, 4)."""
    try:
        cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(EXIT_FAILED)
    except ReplayError as error:
        click.echo(f"otel-replay: {harmless(error.message)}", err=True)
        if hint := KEY_HINT if isinstance(error, Unauthenticated) else error.hint:
            click.echo(f"  {harmless(hint)}", err=True)
        sys.exit(_exit_code(error))
    except BrokenPipeError:
        sys.stderr.close()  # the reader has gone; so has the reason to complain
        sys.exit(EXIT_FAILED)
    sys.exit(0)


def _exit_code(error: ReplayError) -> int:
    if isinstance(error, NotFound):
        return EXIT_NOT_FOUND
    return EXIT_USAGE if isinstance(error, InvalidRequest | UnsupportedRequest) else EXIT_FAILED
