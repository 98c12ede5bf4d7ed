"""What erasing says of what was there, and that what was not there stays away all the same."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from otel_replay.cli import main
from otel_replay.model import Signal
from tests.outside.outside import PROBLEM, Outside, running
from tests.outside.telemetry import page, span, traces

pytestmark = pytest.mark.feature("K16")

TRACE = "e0" * 16
KEY = "00000099"


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Outside]:
    with running(tmp_path / "replay.db") as outside:
        told = {"session.id": "visit", "user.id": "ada"}
        outside.export(Signal.TRACES, traces(span(TRACE, 1, attributes=told)).SerializeToString())
        outside.upload("visit", page())
        yield outside


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], receiver: Outside) -> Any:
    """``otel-replay erase``: exit code, output, errors."""

    def erase(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["otel-replay", "erase", *words, "--db", str(receiver.database)])
        with pytest.raises(SystemExit) as ended:
            main()
        assert isinstance(ended.value.code, int)
        return (ended.value.code, *capsys.readouterr())

    return erase


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--session", "visit"), "erased: 1 records, 1 chunks, 1 sessions, 0 contents\n"),
        (("--user", "ada"), "erased: 1 records, 1 chunks, 1 sessions, 0 contents\n"),
        (("--trace", TRACE), "erased: 1 records, 0 chunks, 0 sessions, 0 contents\n"),
    ],
)
def test_it_says_what_was_there_and_then_that_nothing_is(run: Any, words: tuple[str, str], said: str) -> None:
    assert run(*words) == (0, said, "")
    code, out, err = run(*words)
    assert (code, out) == (4, "")
    assert f"nothing is stored of {words[0].removeprefix('--')} {words[1]}" in err


@pytest.mark.parametrize(
    "words", [("--session", "nobody"), ("--user", "nobody"), ("--trace", "0f" * 16), ("--key", KEY)]
)
def test_of_what_is_unknown_nothing_is_erased(run: Any, receiver: Outside, words: tuple[str, str]) -> None:
    code, out, err = run(*words)
    assert (code, out) == (4, "")
    assert f"nothing is stored of {words[0].removeprefix('--')} {words[1]}" in err
    assert receiver.document("/api/v1/sessions")["total"] == 1


def test_over_http_it_is_not_found(receiver: Outside) -> None:
    for path in ("/api/v1/sessions/nobody", f"/api/v1/traces/{'0f' * 16}"):
        answer = receiver.http.delete(receiver.url + path, timeout=30)
        assert (answer.status_code, answer.headers["content-type"]) == (404, PROBLEM)
        assert "nothing is stored of" in answer.json()["detail"]


def test_an_unknown_session_stays_away_all_the_same(run: Any, receiver: Outside) -> None:
    """Its recording may be on the way: whoever asked first was right."""
    assert run("--session", "to come")[0] == 4
    receiver.upload("to come", page())
    assert [one["session_id"] for one in receiver.document("/api/v1/sessions")["sessions"]] == ["visit"]
