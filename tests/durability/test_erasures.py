"""Erasures that are killed (SIGKILL), and from a large file: nothing stays of what was to go, and all else does."""

from __future__ import annotations

import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
import zstandard
from hypothesis import settings

from otel_replay.store.sqlite import SqliteReader, SqliteStore, scrubbing
from otel_replay.store.sqlite.erasure import Subject
from otel_replay.store.sqlite.integrity import check
from tests.conformance.processes import MIB, Process, serving
from tests.durability import files
from tests.durability.files import fill_with_noise, tell_of
from tests.outside.outside import eventually, running
from tests.store.bytes_of import places_of
from tests.store.test_erasure import NAMES, answers, everything_of, fill, needles, settle, trace_id

pytestmark = [pytest.mark.feature("K16"), pytest.mark.slow]

SOAK = settings.get_current_profile_name() == "soak"
STATEMENTS = 40 if SOAK else 3
"""At which a process is killed, of each kind of erasure."""

KILLS = 60 if SOAK else 3
"""Of a server."""

ROOT = Path(__file__).parents[2]
KEY = 7
OTHERS = ("alice", "carol")
SUBJECTS = [
    Subject("session", "session-bobby"),
    Subject("user", "user-bobby"),
    Subject("trace", trace_id("bobby")),
    Subject("key", str(KEY)),
]


def needles_of(subject: Subject, name: str) -> list[bytes]:
    """What may stand nowhere. A trace goes without the recording of its session."""
    if subject.kind == "trace":
        return [bytes.fromhex(trace_id(name)), f"only{name}word".encode(), f"plain-{name}".encode()]
    return needles(name)


@pytest.fixture(params=SUBJECTS, ids=lambda subject: subject.kind)
def subject(request: pytest.FixtureRequest) -> Subject:
    found: Subject = request.param
    return found


@pytest.fixture
def filled(subject: Subject, tmp_path: Path) -> Path:
    """A file with three people; where the erasure is of a key, one of them wrote with it."""
    path = tmp_path / "filled.db"
    with closing(SqliteStore(path)) as store:
        if subject.kind != "key":
            fill(store)
        for number, name in enumerate(NAMES if subject.kind == "key" else ()):
            for one in everything_of(name, number):
                store.commit(replace(one, key_id=KEY if name == "bobby" else 0, quarantined=()))
        settle(store)
    return path


def erasing(path: Path, subject: Subject, vacuum: str, statement: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.durability.erasing", str(path), *subject, vacuum, str(statement)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def was_asked(path: Path) -> bool:
    """Whether the request to erase was committed, and there is still something to do."""
    with closing(sqlite3.connect(path)) as connection:
        return bool(connection.execute("SELECT count(*) FROM erasures").fetchone()[0])


def others(path: Path, names: Iterable[str]) -> dict[str, list[Any]]:
    reader: Any = SqliteReader(path)
    with closing(reader):
        return {name: answers(reader, name) for name in names}


def test_an_erasure_killed_at_any_statement_is_finished_by_the_next_start(
    subject: Subject, filled: Path, tmp_path: Path
) -> None:
    before = others(filled, OTHERS)
    vacuum = random.choice(["vacuum", "wipe"])
    whole = erasing(Path(shutil.copy(filled, tmp_path / "whole.db")), subject, vacuum, 0)
    statements = int(whole.stdout)
    asked = 0
    for statement in random.sample(range(1, statements + 1), STATEMENTS):
        path = Path(shutil.copy(filled, tmp_path / f"killed-at-{statement}.db"))
        assert erasing(path, subject, vacuum, statement).returncode == -signal.SIGKILL
        is_asked = was_asked(path)
        asked += is_asked
        with closing(SqliteStore(path)) as store:
            store.privacy.finish()
            if not is_asked:  # nothing was promised
                store.privacy.erase(1, subject, vacuum=vacuum == "vacuum")
            assert places_of(path, needles_of(subject, "bobby")) == set(), statement
        assert not was_asked(path)
        assert others(path, OTHERS) == before, statement
        assert check(path).damaged == []
    assert asked


def test_a_server_that_is_killed_while_it_erases_goes_on_when_it_is_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "replay.db"
    people = [f"p{number:04}" for number in range(KILLS + 10)]
    with closing(SqliteStore(path)) as store:
        for number, name in enumerate(people):
            for one in everything_of(name, number):
                store.commit(one)
        settle(store)
    takes_s = erased_undisturbed(path, people.pop())
    finished = 0
    for name in people[:KILLS]:
        witnesses = random.sample([one for one in people if one > name], 3)
        before = others(path, witnesses)
        kill_while_erasing(path, name, after_s=random.uniform(0, takes_s))
        is_asked = was_asked(path)
        finished += is_asked
        with serving(path) as process:
            assert eventually(lambda: not was_asked(path), bool), "it does not go on by itself"
            if session_status(process, name) != 404:
                assert not is_asked
                assert others(path, [name])[name][0], "nothing was promised, so nothing is gone"
                erase(process, name)
            assert session_status(process, name) == 404
            assert places_of(path, needles(name)) == set()
        assert others(path, witnesses) == before
        assert check(path).damaged == []
    with capsys.disabled():
        sys.stdout.write(f"{KILLS} kills of a server that erases, {finished} after the request was committed\n")


def erased_undisturbed(path: Path, name: str) -> float:
    """How many seconds it takes."""
    with serving(path) as process:
        session_status(process, name)
        began = time.monotonic()
        erase(process, name)
        return time.monotonic() - began


def kill_while_erasing(path: Path, name: str, *, after_s: float) -> None:
    with serving(path) as process:
        session_status(process, name)
        asking = threading.Thread(target=erase_if_possible, args=(process, name))
        asking.start()
        time.sleep(after_s)
        process.popen.kill()
        asking.join()


def erase(process: Process, name: str) -> None:
    answer = requests.delete(f"{process.url}/api/v1/sessions/session-{name}", timeout=60)
    assert answer.status_code == 200, answer.text


def erase_if_possible(process: Process, name: str) -> None:
    with suppress(requests.ConnectionError):
        erase(process, name)


def session_status(process: Process, name: str) -> int:
    return requests.get(f"{process.url}/api/v1/sessions/session-{name}/timeline", timeout=20).status_code


@pytest.mark.timeout(600)
def test_from_a_file_too_large_to_be_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Main file, log and shared memory are searched, and all that is compressed in them."""
    if not SOAK:
        monkeypatch.setattr(scrubbing, "VACUUM_BYTES", 16 * MIB)
    path = tmp_path / "replay.db"
    fill_with_noise(path, scrubbing.VACUUM_BYTES * 5 // 4)
    with running(path) as receiver:
        for name in OTHERS[0], "bobby", OTHERS[1]:
            tell_of(receiver.url, name)
        needles = [*files.needles_of("bobby"), *compressed_pieces(path, "bobby")]
        assert {needle for needle, _ in places_of(path, needles)} == set(needles)
        erased = receiver.http.delete(f"{receiver.url}/api/v1/sessions/session-bobby", timeout=120)
        assert (erased.json()["records"], erased.json()["chunks"], erased.json()["scrubbed"]) == (3, 1, True)
        assert path.stat().st_size > scrubbing.VACUUM_BYTES
        with closing(sqlite3.connect(path)) as connection:
            free = connection.execute("PRAGMA freelist_count").fetchone()[0]
        assert free > 0, "the file was written anew"
        assert places_of(path, needles) == set()
        for name in OTHERS:
            assert receiver.get(f"/api/v1/sessions/session-{name}/timeline").status_code == 200


def compressed_pieces(path: Path, name: str) -> list[bytes]:
    """Some pieces, each of another page, of the compressed values that hold something of a person."""
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT data FROM blocks UNION ALL SELECT data FROM body_blocks"
        values = [data for (data,) in connection.execute(query)]
    unpack, needles = zstandard.ZstdDecompressor().decompress, files.needles_of(name)
    mine = [data for data in values if any(needle in unpack(data) for needle in needles)]
    pieces = [data[at : at + 32] for data in mine for at in range(100, len(data) - 32, 8_000)]
    assert len(pieces) > 50, "over many pages"
    return random.sample(pieces, 8)
