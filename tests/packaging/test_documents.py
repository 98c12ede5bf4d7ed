"""What README.md and docs tell people to type, ask and set exists."""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib
import inspect
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from sqlite_utils import Database

import otel_replay
from otel_replay.access.scopes import ROUTES
from otel_replay.cli import cli
from otel_replay.config import environment_name, read_config
from otel_replay.query.parameters import SEARCH, SESSIONS, TRACES
from otel_replay.store.sqlite.schema import migrations

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
MARKDOWN = {path.relative_to(ROOT).as_posix(): path.read_text() for path in (README, *sorted(ROOT.glob("docs/*.md")))}
DEPLOYMENT = {path.name: path.read_text() for path in sorted((ROOT / "docs/deploy").iterdir())}
PAGES = MARKDOWN | DEPLOYMENT
ALL = "\n".join(PAGES.values())
HTTP = MARKDOWN["docs/http.md"]


def blocks(*languages: str) -> list[tuple[str, str]]:
    """The fenced blocks of these languages, each with its page."""
    fenced = re.compile(r"^```(\w*)\n(.+?)^```", re.M | re.S)
    return [(page, code) for page, text in MARKDOWN.items() for kind, code in fenced.findall(text) if kind in languages]


def shell() -> str:
    """All that is typed into a shell."""
    return "\n".join(code for _, code in blocks("", "sh"))


# Commands


def commands() -> Iterator[str]:
    """Every command line of ours: in blocks, in the files of docs/deploy, and in running text."""
    for code in (*(code for _, code in blocks("", "sh", "ini")), *DEPLOYMENT.values()):
        yield from re.findall(r"^(?:.*/)?otel-replay ([a-z].*)$", code, re.M)
    for text in MARKDOWN.values():
        yield from re.findall(r"`otel-replay ([a-z][^`\n]*)`", re.sub(r"^```.+?^```", "", text, flags=re.M | re.S))


def examples() -> Iterator[str]:
    """Those that ``--help`` shows."""
    groups = [one for one in cli.commands.values() if isinstance(one, click.Group)]
    for one in (cli, *cli.commands.values(), *(below for group in groups for below in group.commands.values())):
        yield from re.findall(r"^  otel-replay (.+)$", one.epilog or "", re.M)


COMMANDS = sorted({*commands(), *examples()})


def test_commands_were_found() -> None:
    assert {line.split()[0] for line in commands()} == {*cli.commands}


def test_every_command_has_an_example() -> None:
    shown = [line.split() for line in examples()]
    for name, one in cli.commands.items():
        below = [[name, sub] for sub in one.commands] if isinstance(one, click.Group) else [[name]]
        assert all(any(line[: len(words)] == words for line in shown) for words in below), name


@pytest.mark.parametrize("line", COMMANDS)
def test_the_command_line_knows_command_and_options(line: str) -> None:
    words = shlex.split(line, comments=True)
    one, options = cli.commands[words[0]], words[1:]
    if isinstance(one, click.Group) and options:
        one = one.commands[options.pop(0)]
    known = {name: param for param in one.params for name in param.opts}
    for option, value in zip(options, [*options[1:], ""], strict=False):
        if option.startswith("-") and option not in ("-h", "--help"):
            assert option in known, f"{words[0]} has no {option}"
            _check_value(known[option], value)


def _check_value(param: click.Parameter, value: str) -> None:
    """A placeholder stands for anything, and a file need not be there."""
    is_flag = isinstance(param, click.Option) and param.is_flag
    if not is_flag and not isinstance(param.type, click.Path) and not re.match(r"[A-Z]|-|$", value):
        param.type.convert(value, param, None)


@pytest.mark.parametrize(
    "verb", sorted({*re.findall(r"`make ([a-z-]+)`", ALL), *re.findall(r"^make ([a-z-]+)", shell(), re.M)})
)
def test_make_knows_the_verb(verb: str) -> None:
    assert re.search(rf"^  make {verb} ", help_of_make(), re.M)


@functools.cache
def help_of_make() -> str:
    return subprocess.run(["make", "help"], cwd=ROOT, check=True, capture_output=True, text=True).stdout


def test_the_first_commands_are_run_and_test() -> None:
    first_block = README.read_text().split("```")[1]
    assert re.findall(r"^make (\w+)", first_block, re.M) == ["run", "test"]


@pytest.mark.parametrize("extra", sorted({*re.findall(r"otel-replay\[([a-z-]+)\]", ALL)}))
def test_extras_exist(extra: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert extra in project["optional-dependencies"]


def test_the_container_is_built_from_all_that_the_wheel_is_made_of() -> None:
    install = DEPLOYMENT["Dockerfile"].split("AS install")[1].split("FROM ")[0]
    copied = {path for line in re.findall(r"^COPY (?!--)(.+) \S+$", install, re.M) for path in line.split()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    about = {project["project"]["readme"], *project["project"]["license-files"], "pyproject.toml"}
    assert {*about, *wheel["packages"], *wheel["force-include"]} <= copied
    assert copied <= {*re.findall(r"^!(.+)$", DEPLOYMENT["Dockerfile.dockerignore"], re.M)}


# Python


@pytest.mark.parametrize(("page", "snippet"), blocks("python"))
def test_python_names_exist(page: str, snippet: str) -> None:
    for node in ast.walk(ast.parse(snippet, page)):
        match node:
            case ast.ImportFrom(module=str(module), names=names) if module.startswith("otel_replay"):
                for one in names:
                    assert hasattr(importlib.import_module(module), one.name), f"{module}.{one.name}"
            case ast.Attribute(value=ast.Name(id="otel_replay"), attr=name):
                assert hasattr(otel_replay, name), name
            case ast.Call(func=ast.Attribute(value=ast.Name(id="otel_replay"), attr=name), keywords=keywords):
                _check_keywords(getattr(otel_replay, name), {one.arg for one in keywords})


def _check_keywords(called: Any, given: set[str | None]) -> None:
    known = inspect.signature(called).parameters
    if not any(one.kind is one.VAR_KEYWORD for one in known.values()):
        assert given <= {*known}, called


def test_python_was_found() -> None:
    assert {"README.md", "docs/query.md", "docs/instrument.md", "docs/sessions.md"} <= {p for p, _ in blocks("python")}


# Settings


@pytest.mark.parametrize("variable", sorted({*re.findall(r"\bOTEL_REPLAY_[A-Z][A-Z_]*[A-Z]\b", ALL)}))
def test_variables_are_read_by_something(variable: str) -> None:
    groups = [one for one in cli.commands.values() if isinstance(one, click.Group)]
    every = [*cli.commands.values(), *(below for group in groups for below in group.commands.values())]
    options = {environment_name(param.opts[0]) for one in every for param in one.params if param.opts[0][0] == "-"}
    assert variable in options or variable in sources()


@functools.cache
def sources() -> str:
    """The text of the package."""
    return "\n".join(path.read_text() for path in sorted((ROOT / "otel_replay").rglob("*.py")))


@pytest.mark.parametrize(("page", "text"), [one for one in blocks("toml") if one[0] != "docs/collector.md"])
def test_configurations_can_be_read(page: str, text: str, tmp_path: Path) -> None:
    file = tmp_path / "replay.toml"
    file.write_text(text)
    assert read_config(file) != read_config(None), page


@pytest.mark.parametrize("metric", sorted({*re.findall(r"`(otel_replay_[a-z_]+)", ALL)}))
def test_metrics_exist(metric: str) -> None:
    name = metric.removesuffix("_total")
    assert any(f'"{one}"' in sources() for one in (name, name.removeprefix("otel_replay_")))


def test_every_option_of_the_recorder_is_told() -> None:
    options = (ROOT / "otel_replay/browser/src/options.ts").read_text()
    (declared,) = re.findall(r"interface RecordOptions {\n(.+?)^}", options, re.M | re.S)
    names = {*re.findall(r"^  (\w+)\??:", declared, re.M)}
    assert len(names) > 10
    assert {name for name in names if f"`{name}" not in MARKDOWN["docs/browser.md"]} == set()


def test_every_table_is_told() -> None:
    with contextlib.closing(Database(memory=True)) as database:
        migrations.apply(database)
        tables = {name for name in database.table_names() if not name.startswith(("sqlite_", "_sqlite", "texts_"))}
    assert {name for name in tables if f"`{name}`" not in MARKDOWN["docs/ARCHITECTURE.md"]} == set()


# HTTP


def plain(path: str) -> str:
    """An address with the ids in it named alike."""
    return re.sub(r"{[^}]*}", "{}", path.split("?")[0])


SERVED = {plain(row) for row in ROUTES}
TOLD = {
    page: {plain(row) for row in re.findall(r"`((?:GET|POST|DELETE) /[^` ]*)`", text)} for page, text in PAGES.items()
}


@pytest.mark.parametrize("page", [page for page, rows in TOLD.items() if rows])
def test_routes_exist(page: str) -> None:
    assert TOLD[page] - SERVED == set()


def test_every_route_is_told() -> None:
    with_a_slash = {row for row in SERVED if row.startswith("POST /v1/") and row.endswith("/")}
    assert SERVED - with_a_slash - {"GET /assets"} == TOLD["docs/http.md"]


@pytest.mark.parametrize("parameters", [SESSIONS, TRACES, SEARCH])
def test_parameters_are_told(parameters: str) -> None:
    assert f"`{parameters}`" in HTTP


# Links


@pytest.mark.parametrize("module", sorted({*re.findall(r"`([a-z_/]+\.py)`", "\n".join(MARKDOWN.values()))}))
def test_modules_exist(module: str) -> None:
    assert any(f"/{path}".endswith(f"/{module}") for path in modules())


@functools.cache
def modules() -> list[str]:
    """Every module of the package and of the tests."""
    found = [*(ROOT / "otel_replay").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
    return [path.relative_to(ROOT).as_posix() for path in found]


@pytest.mark.parametrize(
    ("page", "link"),
    [(page, link) for page, text in MARKDOWN.items() for link in re.findall(r"\]\((?!https?:)(.+?)\)", text)],
)
def test_links_lead_somewhere(page: str, link: str) -> None:
    name, _, anchor = link.partition("#")
    target = (ROOT / page).parent / name if name else ROOT / page
    assert target.exists()
    if anchor:
        headings = re.findall(r"^#+ (.+)$", target.read_text(), re.M)
        assert anchor in [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]


def test_every_page_can_be_found_from_the_readme() -> None:
    found, new = {"README.md"}, ["README.md"]
    while new:
        page = new.pop()
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", MARKDOWN[page]):
            name = ((ROOT / page).parent / link).resolve().relative_to(ROOT).as_posix()
            if name in MARKDOWN and name not in found:
                found.add(name)
                new.append(name)
    assert {*MARKDOWN} - found == set()
