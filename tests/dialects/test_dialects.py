"""The real libraries, each playing one conversation against a stub of its provider: the same interactions."""

from __future__ import annotations

import pytest

from tests.dialects.conftest import Stage
from tests.dialects.dialect import Dialect, allowed, differences
from tests.dialects.differences import DIALECTS
from tests.dialects.expected import WEATHER_TOOL
from tests.dialects.framework_differences import FRAMEWORKS
from tests.dialects.heard import agents_run, errors_beside, errors_of, heard, tokens_of, tools_run
from tests.dialects.playing import play, play_javascript

pytestmark = [pytest.mark.slow, pytest.mark.feature("X5"), pytest.mark.feature("C6")]


@pytest.mark.parametrize("dialect", DIALECTS + FRAMEWORKS, ids=str)
def test_the_same_conversation_gives_the_same_interactions(stage: Stage, dialect: Dialect) -> None:
    session = recorded(stage, dialect)
    timeline = stage.receiver.timeline(f"/api/v1/sessions/{session}/timeline")
    calls = heard(timeline)
    assert differences(dialect, calls) == allowed(dialect)
    assert tokens_of(calls) == timeline["tokens"]
    total = stage.receiver.document("/api/v1/stats", session=session, wait="10s")["total"]
    errors = errors_of(calls) + errors_beside(timeline)
    assert (total["tokens"], total["errors"]) == (timeline["tokens"], errors)
    assert tools_run(timeline) == [{**WEATHER_TOOL, **tool} for tool in dialect.tools]
    assert agents_run(timeline) == dialect.agents


def recorded(stage: Stage, dialect: Dialect) -> str:
    """The session that the dialect's application has recorded."""
    if dialect.client == "vercel":
        return play_javascript(dialect.recorders[0], stage.stub_url, stage.receiver.url)
    return play(dialect.environment, dialect.client, dialect.recorders, stage.stub_url, stage.receiver.url)
