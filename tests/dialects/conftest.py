"""One stub and one receiver for all applications of a module."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.dialects.stub.server import Stub, serving
from tests.outside.outside import Outside, running


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the conversation is played: the model's address, and the receiver that hears of it."""

    stub: Stub
    stub_url: str
    receiver: Outside


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stub = Stub()
    database = tmp_path_factory.mktemp("dialects") / "replay.db"
    with serving(stub) as url, running(database) as receiver:
        yield Stage(stub, url, receiver)
