"""What is in the repository: the agreed top level, and nothing of the machine it was written on."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOP_LEVEL = {
    "CHANGELOG.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "collector_config",
    "docs",
    "otel_replay",
    "proto",
    "pyproject.toml",
    "requirements.lock",
    "tests",
}

# In pieces, so that this file does not hold what it looks for.
BUILD_MACHINE = rb"(?<![\w.*-])/(?:" + b"|".join((b"wo" + b"rk", b"ro" + b"ot")) + rb")/"
REGISTRIES = ("py" + "pi.org", "pythonhosted" + ".org", "npmjs" + ".org", "yarnpkg" + ".com", "npmjs" + ".com")
MACHINE_DEPENDENT = re.compile(BUILD_MACHINE + b"|" + b"|".join(re.escape(host).encode() for host in REGISTRIES))


@pytest.fixture(scope="module")
def files() -> list[Path]:
    """Every file that is, or would be, committed; relative to the repository."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    listed = sorted(Path(name) for name in done.stdout.split("\0") if name)
    return [path for path in listed if (ROOT / path).is_file()]


def test_top_level_is_the_agreed_one(files: list[Path]) -> None:
    assert {path.parts[0] for path in files if not path.parts[0].startswith(".")} == TOP_LEVEL


def test_nothing_names_the_build_machine_or_a_registry(files: list[Path]) -> None:
    found = {}
    for path in files:
        for number, line in enumerate((ROOT / path).read_bytes().splitlines(), start=1):
            if MACHINE_DEPENDENT.search(line):
                found[f"{path}:{number}"] = line[:200]
    assert found == {}


def test_the_pattern_finds_what_it_should() -> None:
    for text in ("/ro" + "ot/x", "file:///wo" + "rk/main", "https://py" + "pi.org/simple", "registry.npmjs" + ".org"):
        assert MACHINE_DEPENDENT.search(text.encode()), text
    for text in ("framework/main", "web/work" + "/x", "doc-ro" + "ot/"):
        assert not MACHINE_DEPENDENT.search(text.encode()), text


def test_nothing_large(files: list[Path]) -> None:
    large = {str(path): size for path in files if (size := (ROOT / path).stat().st_size) > 1 << 20}
    assert large == {}


def test_build_scripts_start_no_npm_of_their_own(files: list[Path]) -> None:
    """On a machine without Node.js npm is started by its file (.ci/npm): the wheel's own bin/npm is a dangling link."""
    packages = [path for path in files if path.name == "package.json"]
    assert packages
    for path in packages:
        scripts = json.loads((ROOT / path).read_text())["scripts"]
        assert not any("npm" in script for script in scripts.values()), path
