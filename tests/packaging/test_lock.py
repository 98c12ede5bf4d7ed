"""requirements.lock: pinned, hashed, free of hosts, and no older than pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
LOCK = (ROOT / "requirements.lock").read_text()
PINNED = re.compile(
    r"^(?P<name>[a-z0-9.-]+)==(?P<version>[^ ]+)(?: ; .+)? \\\n(?P<hashes>(?:    --hash=sha256:\w+.*\n)+)", re.M
)


def test_every_entry_is_pinned_with_hashes() -> None:
    entries = [line for line in LOCK.splitlines() if line and not line.startswith(" ")]
    assert len(entries) > 50
    assert len(PINNED.findall(LOCK)) == len(entries)


def test_names_no_host() -> None:
    assert "://" not in LOCK
    assert not re.search(r"^\s*(-i|-f|--\w*index|--find-links|--trusted-host)", LOCK, re.M)


def declared() -> Iterator[str]:
    pyproject: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    yield from pyproject["build-system"]["requires"]
    yield from pyproject["project"]["dependencies"]
    for extra in (*pyproject["project"]["optional-dependencies"].values(), *pyproject["dependency-groups"].values()):
        yield from extra


@pytest.mark.parametrize("text", sorted({text for text in declared() if not text.startswith("otel-replay[")}))
def test_holds_what_pyproject_asks_for(text: str) -> None:
    requirement = Requirement(text)
    versions = [match["version"] for match in PINNED.finditer(LOCK) if match["name"] == requirement.name]
    assert versions, f"{requirement.name} is not in requirements.lock: run `make lock`"
    assert all(requirement.specifier.contains(version, prereleases=True) for version in versions)
