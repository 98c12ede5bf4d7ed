"""A failure of the power at the moment of an acknowledgement: what was acknowledged is on disk."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import settings

from otel_replay.store.sqlite import SqliteReader, SqliteStore

ROOT = Path(__file__).parents[2]
SOAK = settings.get_current_profile_name() == "soak"
FAILURES = 300 if SOAK else 40
LOOKED_UP = 40
"""Items looked for in each copy: the newest, and some others."""

pytestmark = [pytest.mark.feature("X6"), pytest.mark.slow]


class Failure(NamedTuple):
    """What was left, and what had been acknowledged."""

    directory: Path
    acknowledged: list[tuple[str, int]]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None and not os.environ.get("CI"):
        pytest.skip("needs a C compiler")
    made = tmp_path_factory.mktemp("library") / "power_loss.so"
    source = Path(__file__).with_name("power_loss.c")
    subprocess.run([compiler or "cc", "-shared", "-fPIC", "-O2", "-o", made, source, "-ldl", "-lpthread"], check=True)
    return made


def failures(library: Path, folder: Path, count: int, synchronous: str) -> Iterator[Failure]:
    images, copies = folder / "images", folder / "copies"
    images.mkdir()
    copies.mkdir()
    database = folder / "replay.db"
    arguments = [str(database), str(copies), str(count), synchronous, str(random.randrange(2**31))]
    environment = {
        **os.environ,
        "LD_PRELOAD": str(library),
        "POWER_LOSS_DATABASE": str(database),
        "POWER_LOSS_IMAGES": str(images),
    }
    command = [sys.executable, "-m", "tests.durability.powerless", *arguments]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said = json.loads(line)
            failure = Failure(Path(said["directory"]), [(kind, number) for kind, number in said["acknowledged"]])
            yield failure
            shutil.rmtree(failure.directory)
    assert process.returncode == 0


def lost(failure: Failure) -> list[tuple[str, int]]:
    """What was acknowledged and is not there, of the newest and some others."""
    *before, newest = failure.acknowledged
    chosen = [newest, *random.sample(before, min(len(before), LOOKED_UP))]
    path = failure.directory / "replay.db"
    if not path.exists():
        return chosen
    SqliteStore(path).close()  # as a server would after the power is back
    reader = SqliteReader(path)
    chunks = {chunk.seq for chunk in reader.chunks(1, "s", "main")}

    def is_there(kind: str, number: int) -> bool:
        if kind == "chunk":
            return number in chunks
        trace = f"{number:032x}"
        return len(reader.spans_of_trace(1, trace) if kind == "span" else reader.logs_of_trace(1, trace)) == 1

    try:
        return [item for item in chosen if not is_there(*item)]
    finally:
        reader.close()


def test_what_was_acknowledged_is_on_disk(library: Path, tmp_path: Path) -> None:
    """Every second failure leaves some sectors more than were synced, in no order."""
    seen = 0
    for failure in failures(library, tmp_path, FAILURES, "FULL"):
        assert lost(failure) == []
        with closing(sqlite3.connect(failure.directory / "replay.db")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        seen += 1
    assert seen == FAILURES


@pytest.mark.parametrize("synchronous", ["NORMAL", "OFF"])
def test_without_waiting_for_the_disk_it_is_not(library: Path, tmp_path: Path, synchronous: str) -> None:
    """The test above can fail: SQLite's weaker settings lose what they acknowledged."""
    found = []
    for failure in failures(library, tmp_path, 10, synchronous):
        try:
            found.append(bool(lost(failure)))
        except Exception:  # noqa: BLE001 - what is left may be no database at all
            found.append(True)
    assert any(found)
    assert len(found) == 10
