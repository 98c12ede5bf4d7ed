"""One recorded session for all tests of a module: real receiver, real application, real browser."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e import processes
from tests.e2e.conversation import Visit, chromium, visit, wait_for_story


@dataclass(frozen=True, slots=True)
class RecordedSession:
    """A visit that has arrived as a whole, in a receiver that is running."""

    visit: Visit
    receiver: processes.Receiver

    def timeline(self, *arguments: str) -> dict[str, Any]:
        """The answer of ``otel-replay timeline``, which reads the file while the receiver has it open."""
        answer: dict[str, Any] = processes.command(
            "timeline", *arguments, "--db", str(self.receiver.db), "--format", "json"
        )
        return answer


@pytest.fixture(scope="module")
def recorded_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RecordedSession]:
    """The two-question conversation of ``conversation.QUESTIONS``."""
    db = tmp_path_factory.mktemp("e2e") / "replay.db"
    with processes.receiver(db) as receiver:
        with processes.chat_example(receiver) as page_url, chromium() as browser:
            visited = visit(browser, page_url)
            for turn in visited.turns:
                wait_for_story(receiver.url, turn)
        yield RecordedSession(visited, receiver)
