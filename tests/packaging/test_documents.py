"""What README.md and docs/deploy tell people to type exists."""

from __future__ import annotations

import functools
import re
import subprocess
import sys
from pathlib import Path

import pytest

import otel_replay

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
DOCUMENTS = "\n".join([README, *(path.read_text() for path in sorted((ROOT / "docs/deploy").iterdir()))])

MAKE_VERBS = sorted(set(re.findall(r"^make ([a-z-]+)|`make ([a-z-]+)`", README, re.M)))
COMMANDS = sorted(set(re.findall(r"(?:^|/)otel-replay ([a-z].*)$", DOCUMENTS, re.M)))
PYTHON = re.findall(r"^```python\n(.+?)^```", README, re.M | re.S)
LINKS = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)


def test_the_first_commands_are_run_and_test() -> None:
    first_block = README.split("```")[1]
    assert re.findall(r"^make (\w+)", first_block, re.M) == ["run", "test"]


@pytest.mark.parametrize("verb", [verb for pair in MAKE_VERBS for verb in pair if verb])
def test_make_knows_the_verb(verb: str) -> None:
    done = subprocess.run(["make", "help"], cwd=ROOT, check=True, capture_output=True, text=True)
    assert re.search(rf"^  make {verb} ", done.stdout, re.M)


@functools.cache
def help_of(command: str) -> str:
    argv = [sys.executable, "-m", "otel_replay", command, "--help"]
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout


@pytest.mark.parametrize("line", COMMANDS)
def test_the_command_line_knows_command_and_options(line: str) -> None:
    command, *rest = line.split()
    options = [word for word in rest if word.startswith("--")]
    assert [option for option in options if option not in help_of(command)] == []


def test_commands_were_found() -> None:
    assert {line.split()[0] for line in COMMANDS} >= {"serve", "timeline"}


@pytest.mark.parametrize("snippet", PYTHON)
def test_python_names_exist(snippet: str) -> None:
    compile(snippet, "README.md", "exec")
    names = re.findall(r"\botel_replay\.(\w+)\(", snippet)
    assert names
    assert [name for name in names if not hasattr(otel_replay, name)] == []


@pytest.mark.parametrize("link", LINKS)
def test_links_lead_somewhere(link: str) -> None:
    assert (ROOT / link).exists()
